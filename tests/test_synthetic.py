"""Comparisons on the synthetic series, on rows made by hand and on the recorded ones."""

import pandas as pd
import pytest

from tsattn import analysis, runs
from tsattn.ledger import Ledger


def test_rows_get_the_settings_of_their_run_and_an_empty_table_has_the_columns():
    s = runs.toy("recall-4", attention="zero", seed=7)
    rows = pd.DataFrame({"run_id": [s.run_id, "another"], "mse": [0.5, 0.1]})
    found = analysis.beside(rows, [s, s])
    assert found[["dataset", "attention", "seed", "mse"]].values.tolist() == [
        ["recall-4", "zero", 7, 0.5]]
    assert analysis.beside(pd.DataFrame(), [s]).attention.tolist() == []


def test_the_loss_behind_repeated_states_is_a_share_of_all_that_is_lost():
    errors = {"softmax": (2, 1, 10), "zero": (5, 3, 12)}  # by ago; the best possible errs by 1
    rows = pd.DataFrame([
        dict(attention=a, seed=1, ago=ago, error=e, best=1, samples=(10, 10, 80)[ago])
        for a, of in errors.items() for ago, e in enumerate(of)])
    share, lost = analysis.behind_repeats(rows)
    assert share == pytest.approx(0.2)
    assert lost.loc[1, "zero"] == pytest.approx((3 + 2) / (3 + 2 + 2))


def test_the_dial_takes_seed_by_seed_what_attention_recovers():
    rows = pd.DataFrame([
        dict(dataset=f"dial-{w:g}", attention=a, seed=seed, mse=mse, zero_mse=2.0)
        for w, seed, a, mse in ((0.5, 1, "zero", 1.2), (0.5, 1, "softmax", 0.2),
                                (0.5, 2, "zero", 1.0), (0, 1, "softmax", 0.1))])
    assert analysis.dial_gaps(rows).values.tolist() == [[0.5, 1, pytest.approx(0.5)]]


def test_the_head_that_gives_most_is_taken_from_each_run():
    rows = pd.DataFrame({"run_id": ["a", "a", "b"], "head": [1, 2, 1], "lift": [0.5, 2.0, 1.0]})
    assert analysis.heads(rows)["head"].tolist() == [2, 1]


def test_recorded_runs_attention_looks_up_and_events_need_little_of_it():
    recorded = analysis.Synthetic(Ledger())
    assert recorded.recall(16, "softmax") < 0.02 < 0.9 < recorded.recall(16, "zero")
    assert recorded.worse() == {"identity", "zero", "mean"}
    assert recorded.worse(max_steps=200) == set()
    dial = recorded.dial()
    assert (dial.low > 0).tolist() == [False, True, True, True, True, True]
    assert dial.value[1] == pytest.approx(1, abs=0.05)

"""Comparisons from any state of the ledger: what has not been run is missing, what has been is
compared as it should.
"""

import numpy as np
import pandas as pd
import pytest

from tsattn import analysis, runs
from tsattn.ledger import Ledger
from tsattn.training import Result


def record(ledger, settings, mse, val=1.0, best_epoch=1):
    noise = np.random.default_rng(
        [settings.seed, len(settings.attention), int(1e4 * settings.learning_rate)]
    )
    errors = np.float32(mse) + 0.01 * noise.standard_normal(1000).astype(np.float32)
    ledger.record_run(
        Result(
            settings,
            best_epoch=best_epoch,
            val_mse=val,
            test_mse=errors.mean(dtype=float),
            test_mae=0.4,
            test_errors=errors,
            how={"device": "cpu", "threads": 1},
        )
    )


def test_an_empty_ledger_gives_empty_tables_and_stays_empty(tmp_path):
    ledger = Ledger(tmp_path)
    tables = [
        *analysis.families(ledger).values(),
        *(analysis.everywhere(ledger, title) for title in analysis.EVERYWHERE),
        analysis.published(ledger),
        analysis.what_changes(ledger),
        analysis.share_of_zero(ledger, "recall-4"),
    ]
    assert not any(map(len, tables)) and not list(tmp_path.glob("*.csv"))
    assert analysis.talk_table(ledger).iloc[:, 2:].isna().all(axis=None)


def test_replacements_are_one_family_beside_the_authors_differences(tmp_path):
    ledger = Ledger(tmp_path)
    mse = {"softmax": 0.383, "identity": 0.5, "zero": 0.3, "mean": 0.383}
    for s in runs.attentions():
        if s.attention in mse:
            record(ledger, s, mse[s.attention])
    table = analysis.families(ledger)["PatchTST, learning rate 1e-3"].set_index("model")
    assert dict(table.verdict) == {
        "identity": "worse",
        "zero": "better",
        "mean": "equivalent",
    } and set(table.seeds) == {3}
    assert table.authors.round(3).to_dict() == {"identity": 0.010, "zero": 0.008, "mean": 0.003}
    assert table.se_seeds.nunique() == 1, "the spread between seeds is pooled over the variants"
    cells = analysis.published(ledger).set_index(["metric", "attention"])
    assert (
        cells.gap["MSE", "softmax"] == pytest.approx(0, abs=1e-3)
        and cells.z["MSE", "identity"] > 10
    )
    talk = analysis.talk_table(ledger)
    assert talk["PatchTST, learning rate 1e-3"]["zero"] == pytest.approx(0.3, abs=1e-3)
    assert talk["PatchTST, learning rate 1e-3: verdict"]["zero"] == "better"


def test_every_baseline_is_also_taken_at_the_rate_that_validation_prefers(tmp_path):
    ledger = Ledger(tmp_path)
    # Test errors, and validation errors that prefer the smaller rate for softmax alone.
    mse = {
        ("softmax", 1e-3): (0.40, 0.7),
        ("softmax", 1e-4): (0.36, 0.6),
        ("linear", 1e-3): (0.38, 0.6),
        ("linear", 1e-4): (0.30, 0.7),
    }
    for (name, rate), (error, val) in mse.items():
        attentions = [s for s in runs.attentions(learning_rate=rate) if s.attention == name]
        for s in attentions or runs.baselines(learning_rate=rate)[name]:
            record(ledger, s, error, val)
    row = analysis.simple_models(ledger).set_index("model").loc["linear"]
    assert row.reference == pytest.approx(0.36, abs=1e-3) and row.mse == pytest.approx(
        0.38, abs=1e-3
    )
    assert row.verdict == "worse" and analysis.larger_rate(ledger).verdict.tolist() == ["worse"]
    changed = analysis.what_changes(ledger).set_index("what").value
    assert (
        changed["learning rate"] == pytest.approx(0.40 / 0.36 - 1, abs=0.01)
        and "no attention" not in changed
    )


def test_other_horizons_and_data_are_families_of_their_own(tmp_path):
    ledger = Ledger(tmp_path)
    for (dataset, pred_len), zero in (
        (("ETTh2", 96), 0.5),
        (("ETTh2", 336), 0.5),
        (("ETTh1", 720), 0.3),
    ):
        for s in runs.attentions(dataset=dataset, pred_len=pred_len, model="iTransformer"):
            if s.attention in ("softmax", "zero"):
                record(ledger, s, zero if s.attention == "zero" else 0.4)
    table = analysis.everywhere(ledger, "iTransformer, learning rate 1e-4")
    assert table.cell.tolist() == [
        "ETTh1-720",
        "ETTh2-96",
        "ETTh2-336",
    ] and table.verdict.tolist() == ["better", "worse", "worse"]
    of_one = analysis.everywhere(ledger, "iTransformer, learning rate 1e-4", dataset="ETTh2")
    assert of_one.cell.tolist() == ["ETTh2-96", "ETTh2-336"]
    assert analysis.everywhere(ledger, "PatchTST, learning rate 1e-4").empty


def test_the_rate_is_chosen_on_the_seeds_that_both_have(tmp_path):
    ledger = Ledger(tmp_path)
    large, small = (
        [runs.attentions(seeds=[seed], learning_rate=rate)[0] for seed in (2021, 2022)]
        for rate in (1e-3, 1e-4)
    )
    for s, val in zip(
        [*large, small[0]], (0.7, 0.5, 0.6), strict=True
    ):  # on both seeds the larger rate would win
        record(ledger, s, 0.4, val)
    assert (
        analysis.preferred(ledger, large, small) == [small[0]]
        and analysis.preferred(ledger, [], []) == []
    )


def test_validation_is_compared_within_the_seeds_that_all_have(tmp_path):
    ledger = Ledger(tmp_path)
    for s in runs.attentions(seeds=(2021, 2022)):
        if s.attention in ("softmax", "zero"):
            record(
                ledger, s, 0.4, val={"softmax": 0.5, "zero": 0.6}[s.attention] * s.seed
            )  # 20 % more within each seed
    record(ledger, runs.attentions(seeds=(2023,))[0], 0.4, val=9e9)
    table = analysis.relative_mse(ledger, analysis.by_attention(runs.attentions()))
    assert table.zero.to_numpy() == pytest.approx([0.2, 0.2]) and list(table.index) == [2021, 2022]
    assert analysis.relative_mse(
        ledger, analysis.by_attention(runs.attentions(seeds=(2023,)))
    ).empty


def test_what_is_lost_past_the_kept_epoch_is_a_mean_over_complete_runs(tmp_path):
    ledger = Ledger(tmp_path)
    kept_last_status = zip(
        (0.4, 0.4, 0.5, 0.4, 0.4, 0.8),
        (0.6, 0.4, 0.4, 9.0, 0.4, 0.8),
        (*["complete"] * 3, "failed", *["complete"] * 2),
        strict=True,
    )
    for s, (kept, last, status) in zip(
        runs.attentions(seeds=(2021, 2022)), kept_last_status, strict=False
    ):
        curves = [
            dict(epoch=i, train_mse=1.0, val_mse=i, test_mse=mse)
            for i, mse in ((1, kept), (2, last))
        ]
        ledger.record_run(
            Result(
                s,
                status=status,
                best_epoch=1,
                test_mse=kept,
                curves=curves,
                how={"device": "cpu", "threads": 1},
            )
        )
    rise = analysis.past_kept(ledger, runs.attentions(seeds=(2021, 2022)))
    assert rise.to_dict() == pytest.approx(
        {"softmax": 0.25, "identity": 0.0, "zero": -0.2, "fixed": 0.0}
    )


def test_changes_are_relative_to_each_models_own_undisturbed_error():
    softmax = [s for s in runs.attentions(seeds=(1, 2)) if s.attention == "softmax"]
    rows = [
        dict(run_id=s.run_id, intervention=name, layers=layers, test_mse=base * factor)
        for s, base in zip(softmax, (0.3, 0.5), strict=True)
        for name, layers, factor in (
            ("none", "all", 1),
            ("removed", "all", 1.2),
            ("removed", "0", 1.01),
        )
    ]
    table = pd.DataFrame(
        [*rows, dict(run_id="another", intervention="removed", layers="all", test_mse=9.0)]
    )
    assert analysis.changes(table, softmax)["removed"].to_numpy() == pytest.approx([0.2, 0.2])
    assert analysis.changes(table, softmax, "0")["removed"].to_numpy() == pytest.approx(
        [0.01, 0.01]
    )


def test_rows_get_the_settings_of_their_run_and_an_empty_table_has_the_columns():
    s = runs.toy("recall-4", attention="zero", seed=7)
    rows = pd.DataFrame({"run_id": [s.run_id, "another"], "mse": [0.5, 0.1]})
    found = analysis.beside(rows, [s, s])
    assert found[["dataset", "attention", "seed", "mse"]].values.tolist() == [
        ["recall-4", "zero", 7, 0.5]]
    assert analysis.beside(pd.DataFrame(), [s]).attention.tolist() == []

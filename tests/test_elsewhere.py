"""Chapter 9's numbers: other people's pairs, other series, other periods, what is still to run."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from test_analysis import record

from tsattn import analysis, claims, runs
from tsattn.analysis import pairs, places
from tsattn.claims.rules import NO
from tsattn.ledger import ROOT, Ledger
from tsattn.training import Result

# -- pairs of others


def test_the_pairs_are_complete_and_each_stands_once():
    table = pairs.pairs()
    key = list(table.columns[:7])
    assert len(table) == 2214 and not table.duplicated(key).any()
    assert np.isfinite(table.log_ratio).all() and table.dataset.nunique() == 12


def test_a_known_ratio_is_found_and_data_sets_count_once():
    table = pd.DataFrame(dict(dataset=["a"] * 98 + ["b", "c"],
                              log_ratio=np.log([1.3] * 98 + [1.1, 1.2])))
    found = pairs.over_data_sets(table)
    means = np.log([1.3, 1.1, 1.2])
    half = stats.t.ppf(0.975, 2) * stats.sem(means)
    assert found["value"] == pytest.approx(np.exp(means.mean()) - 1)
    assert found["low"] == pytest.approx(np.exp(means.mean() - half) - 1)
    assert (found["data_sets"], found["pairs"], found["lower"]) == (3, 100, 0)


def test_the_interval_covers_as_often_as_it_says():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(300):
        of = rng.normal(0.1, 0.2, 12)
        table = pd.DataFrame(dict(dataset=np.repeat(range(12), 20),
                                  log_ratio=np.repeat(of, 20) + rng.normal(0, 0.5, 240)))
        found = pairs.over_data_sets(table)
        inside += found["low"] < np.exp(0.1) - 1 < found["high"]
    assert 0.91 < inside / 300 < 0.98


def test_the_interval_is_that_of_a_regression_on_the_means():
    means = pairs.pairs().groupby("dataset", as_index=False).log_ratio.mean()
    fit = smf.ols("log_ratio ~ 1", means).fit()
    row = pairs.overview().iloc[0]
    assert np.expm1(fit.conf_int().loc["Intercept"]).tolist() == pytest.approx([row.low, row.high])


def test_the_claim_counts_the_pairs_that_it_names():
    outcome = claims.judge(Ledger(ROOT / "results"), only=("others-pairs",))["others-pairs"]
    assert f"{len(pairs.pairs()):,}" in outcome.claim.en and outcome.verdict == NO
    assert outcome.number.low > 0


# -- other architectures, periods and series


def made_up(ledger, asked, error):
    for i, s in enumerate(asked):
        luck = np.random.default_rng([i, s.stride, s.n_layers])
        record(ledger, s, error(s) * (1 + 1e-3 * luck.standard_normal()))


def test_a_change_of_the_architecture_is_a_question_of_its_own(tmp_path):
    ledger, asked = Ledger(tmp_path), runs.redundancy("smoke")
    asked = {name: asked[name] for name in ("as it is", "1 layer", "pre-norm", "stride 8")}
    loss = {"as it is": 1.02, "1 layer": 1.10, "stride 8": 1.02}
    for name in loss:
        made_up(ledger, asked[name], lambda s, n=name: 0.4 * (loss[n] if s.attention == "zero"
                                                              else 1))
    found = places.redundancy_alone(ledger, asked).set_index("label")
    assert list(found.index) == list(loss), "what has not been run is left out"
    alone = analysis.replacements(ledger, asked["1 layer"]).p_different.iloc[0]
    assert found.p_different["1 layer"] == pytest.approx(alone), "not corrected for the others"
    assert found.change.tolist() == pytest.approx([2, 10, 2], abs=0.5)
    assert found.moved["1 layer"] == pytest.approx(8, abs=0.8)
    assert found.moved_low["1 layer"] > 0 > found.moved_low["stride 8"]
    assert np.isnan(found.moved["as it is"])


def test_a_list_of_runs_speaks_when_it_is_complete_and_three_give_the_next_one(tmp_path):
    ledger, series = Ledger(tmp_path), runs.other_series("smoke")
    assert places.by_list(ledger, series).empty and places.next_place(pd.DataFrame()) == {}
    names = list(series)
    for name in names[:3]:
        made_up(ledger, series[name], lambda s: 0.42 if s.attention == "zero" else 0.4)
    made_up(ledger, series[names[3]][:-1], lambda s: 0.4)
    table = places.by_list(ledger, series)
    assert set(table.cell) == set(names[:3]) and set(table.model) == {"zero", "mean"}
    found = places.next_place(table)
    assert found["places"] == 3 and found["mean"] == pytest.approx(5, abs=0.5)
    assert found["new_low"] <= found["low"] < 5.3 and found["high"] <= found["new_high"]
    done = places.recorded(ledger, ("other series",), "smoke").set_index("part").recorded
    assert done.tolist() == [9, 9, 9, 8]


def test_every_period_stands_by_itself(tmp_path):
    ledger, asked = Ledger(tmp_path), runs.folds("ETTh1", "smoke")
    of = [s for s in asked if s.split in ("fold-1", "fold-3")]
    made_up(ledger, of, lambda s: 0.5 if s.split == "fold-3" and s.attention == "zero" else
            0.4 if s.feed_forward else 0.44)
    table = places.by_fold(ledger, "ETTh1", "smoke").set_index(["cell", "model"]).change
    assert set(table.index.unique("model")) == {"zero", "mean", "attention only"}
    assert table["fold-1", "zero"] == pytest.approx(0, abs=0.5)
    assert table["fold-3", "zero"] == pytest.approx(25, abs=1)
    assert table["fold-1", "attention only"] == pytest.approx(10, abs=1)


def test_the_stretch_that_makes_the_difference_is_found(tmp_path):
    ledger = Ledger(tmp_path)
    for s in runs.attentions("smoke"):
        errors = np.full(600, 0.4, "float32")
        errors[200:300] -= 0.2 * (s.attention == "zero")
        errors[400:600] -= 0.05 * (s.attention == "zero")
        ledger.record_run(Result(s, best_epoch=1, val_mse=1.0, test_mse=errors.mean(dtype=float),
                                 test_mae=0.4, test_errors=errors, how={"device": "cpu"}))
    assert places.largest_share(ledger, {}, profile="smoke") == pytest.approx(20 / 30, abs=1e-4)

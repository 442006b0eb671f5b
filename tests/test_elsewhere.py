"""Chapter 9's numbers: other people's pairs, other series, other periods, what is still to run."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from tsattn import claims
from tsattn.analysis import pairs
from tsattn.claims.rules import NO
from tsattn.ledger import ROOT, Ledger

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

"""Chapter 9: other people's pairs against a regression, and places without runs."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from tsattn import compare, numbers
from tsattn.claims import CLAIMS
from tsattn.ledger import ROOT, Ledger

PAIRS = pd.read_csv(ROOT / "tsattn" / "published" / "timerecipe.csv")


def test_the_pairs_are_complete_and_each_stands_once():
    assert not PAIRS.duplicated(list(PAIRS.columns[:7])).any() and PAIRS.dataset.nunique() == 12
    assert f"{len(PAIRS):,}" in CLAIMS["others-pairs"].en


def test_the_interval_over_data_sets_is_that_of_a_regression_on_their_means():
    ratio = np.log(PAIRS.transformer_mse / PAIRS.mlp_mse).rename("ratio")
    means = ratio.groupby(PAIRS.dataset).mean().reset_index()
    fit = smf.ols("ratio ~ 1", means).fit()
    said = numbers.read(Ledger(record=True)).loc["others-pairs"]
    assert [said.value, said.low, said.high] == pytest.approx(
        np.expm1([fit.params["Intercept"], *fit.conf_int().loc["Intercept"]]))


def test_a_ledger_without_runs_has_a_table_of_comparisons_without_rows(tmp_path):
    table = compare.comparisons(Ledger(tmp_path))
    assert table.empty and {"dataset", "variant", "change", "settings"} <= set(table)

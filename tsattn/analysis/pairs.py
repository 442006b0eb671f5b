"""Other people's pairs: a Transformer encoder against an MLP, everything else equal.

``published/timerecipe.csv`` holds results of TimeRecipe (Zhao et al., ICLR 2026, arXiv:2506.06482;
repository AdityaLab/TimeRecipeResults, commit d2dc31e): test MSE and MAE, mean and standard
deviation over seeds, of 2,214 configurations with either encoder. Whole encoders are compared, not
attention alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..ledger import ROOT
from ..statistics import detectable, interval


def pairs(metric: str = "mse") -> pd.DataFrame:
    """Every pair with ``log_ratio``, the logarithm of the Transformer's error over the MLP's."""
    table = pd.read_csv(ROOT / "tsattn" / "published" / "timerecipe.csv")
    return table.assign(log_ratio=np.log(table[f"transformer_{metric}"] / table[f"mlp_{metric}"]))


def by_data_set(table: pd.DataFrame) -> pd.DataFrame:
    """The Transformer's error against the MLP's in each data set, relative: geometric mean
    (``value``) and ``median`` over its ``pairs``, and the share in which it is ``lower``.

    Best for the Transformer first.
    """
    found = table.groupby("dataset").log_ratio.agg(
        value="mean", median="median", pairs="count", lower=lambda v: (v < 0).mean()
    )
    both = ["value", "median"]
    return found.assign(**np.expm1(found[both])).sort_values("value")


def over_data_sets(table: pd.DataFrame, middle: str = "mean") -> dict:
    """The Transformer's error against the MLP's, relative, for another data set.

    Pairs of one data set are no independent witnesses: its mean (or ``middle`` "median") is one
    value, and the Student-t interval ``low`` to ``high`` is over the data sets. ``detectable``:
    the smallest difference that the two-sided test at 5 % finds in 80 % of cases. ``lower``: the
    share of pairs in which the Transformer's error is the lower one.
    """
    centres = table.groupby("dataset").log_ratio.agg(middle)
    value, low, high = np.expm1(interval(centres))
    return dict(value=value, low=low, high=high, detectable=np.expm1(detectable(centres)),
                data_sets=len(centres), pairs=len(table), lower=(table.log_ratio < 0).mean())


def overview(metric: str = "mse") -> pd.DataFrame:
    """``over_data_sets`` of all pairs, by mean and by median, by embedding, and by instance
    normalisation. One row per ``group``; ``by`` says what it is a group of."""
    table = pairs(metric)
    norm = {True: "with instance normalisation", False: "without instance normalisation"}
    groups = {"embedding": table.embedding, "normalisation": table.instance_norm.map(norm)}
    rows = [dict(by="all", group="all pairs", **over_data_sets(table)),
            dict(by="all", group="all pairs, medians", **over_data_sets(table, "median"))]
    rows += [dict(by=by, group=group, **over_data_sets(table[names == group]))
             for by, names in groups.items() for group in sorted(names.unique())]
    return pd.DataFrame(rows)

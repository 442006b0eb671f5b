"""The rule by which a codebook has or has not woken attention. Its four conditions were set before
the runs; that an excluded one decides where runs for the last two are missing, after some of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from .statistics import holm, interval

TOLERATED = 0.01  # of linear's error: by so much softmax may be worse with a codebook
LEVEL = 0.05


def gaps(errors: pd.DataFrame) -> pd.DataFrame:
    """Attention gaps by embedding and seed: ``absolute``, error of zero less error of softmax, and
    ``relative``, as a share of zero's error. ``errors`` has the columns embedding, attention, seed,
    error; a seed without both is left out."""
    wide = errors.pivot(index=["embedding", "seed"], columns="attention", values="error")
    wide = wide.reindex(columns=["softmax", "zero"]).dropna()
    absolute = wide.zero - wide.softmax
    return pd.DataFrame(dict(absolute=absolute, relative=absolute / wide.zero))


def woken(errors: pd.DataFrame, codebook: str, placebo: str) -> dict:
    """Whether ``codebook`` has woken attention on one data set: ``answer`` and a row of numbers per
    condition.

    ``errors``: columns embedding, attention (softmax, zero, fixed), seed, error. Values are paired
    by seed; all tests are one-sided t tests at 5 %. Conditions:

    i    the relative gap is larger than with ``decoded`` and than with ``mlp`` (Holm over the two)
    ii   softmax's error is not worse than with ``linear`` by 1 % of it (the test is of being worse
         by that much)
    iii  softmax's error is below that of fixed attention, both with the codebook
    iv   softmax's error is below that with the random codebook ``placebo``

    ``answer``: "woken" if all four hold, "wider because zero got worse" if (i) holds without (ii),
    else "not woken". Where a condition has fewer than two common seeds, "cannot tell", unless it is
    one of the last two and another one is excluded (its 95 % interval lies below zero), which then
    decides. ``conditions``: columns mean, low, high (95 % interval of the difference that should be
    above zero), p, holds, by condition.
    """
    softmax, fixed = (
        errors[errors.attention == a].pivot(index="seed", columns="embedding", values="error")
        .reindex(columns=[codebook, placebo, "linear"]) for a in ("softmax", "fixed"))
    gap = gaps(errors).relative.unstack("embedding").reindex(columns=[codebook, "decoded", "mlp"])
    better = {
        "i: gap over decoded": gap[codebook] - gap.decoded,
        "i: gap over mlp": gap[codebook] - gap.mlp,
        "ii: not worse than linear": 1 - softmax[codebook] / softmax.linear + TOLERATED,
        "iii: softmax before fixed": fixed[codebook] - softmax[codebook],
        "iv: before the random codebook": softmax[placebo] - softmax[codebook],
    }
    rows = {}
    for name, values in better.items():
        values = values.dropna()
        mean, low, high = interval(values)
        test = stats.ttest_1samp(values, 0, alternative="greater") if len(values) > 1 else None
        rows[name] = dict(mean=mean, low=low, high=high, p=test.pvalue if test else np.nan)
    table = pd.DataFrame(rows).T
    both = table.index[:2]
    if table.p[both].notna().all():
        table.loc[both, "p"] = holm(table.p[both])
    table["holds"] = table.p < LEVEL
    lacking, excluded = table.p.isna(), (table.high < 0).any()
    if lacking.iloc[:3].any() or lacking.any() and not excluded:
        answer = "cannot tell"
    elif table.holds.all():
        answer = "woken"
    else:
        wider = table.holds[both].all() and not table.holds.iloc[2]
        answer = "wider because zero got worse" if wider else "not woken"
    return dict(answer=answer, conditions=table)

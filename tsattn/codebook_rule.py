"""The rule by which a codebook has or has not woken attention. Its four conditions were set before
the runs; that an excluded one decides where runs for the last two are missing, after some of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from .statistics import holm, paired

TOLERATED = 0.01  # of linear's error: by so much softmax may be worse with a codebook
LEVEL = 0.05


def gaps(errors: pd.DataFrame) -> pd.DataFrame:
    """Attention gaps by embedding and seed: ``absolute``, error of zero less error of softmax, and
    ``relative``, as a share of zero's error. ``errors`` has the columns embedding, attention, seed,
    error; a seed without both is left out.
    """
    wide = errors.pivot(index=["embedding", "seed"], columns="attention", values="error")
    wide = wide.reindex(columns=["softmax", "zero"]).dropna()
    absolute = wide.zero - wide.softmax
    return pd.DataFrame(dict(absolute=absolute, relative=absolute / wide.zero))


def woken(
    errors: pd.DataFrame, codebook: str, placebo: str, linear="linear", decoded="decoded", mlp="mlp"
) -> dict:
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
    one of the last two and another one is excluded (``refuted``), which then decides.
    ``conditions``: columns mean, low, high (95 % interval of the difference that should be above
    zero), p, holds, by condition.
    """
    error = errors.pivot(index="seed", columns=["embedding", "attention"], values="error")
    gap = gaps(errors).relative.unstack("embedding")

    def softmax(embedding):
        return error.get((embedding, "softmax"), pd.Series(np.nan, error.index))

    def gained(other):
        return gap.get(codebook, pd.Series(np.nan, gap.index)) - gap.get(
            other, pd.Series(np.nan, gap.index)
        )

    margin = 1 - softmax(codebook) / softmax(linear)
    better = {
        "i: gap over decoded": gained(decoded),
        "i: gap over mlp": gained(mlp),
        "ii: not worse than linear": margin + TOLERATED,
        "iii: softmax before fixed": error.get((codebook, "fixed"), np.nan) - softmax(codebook),
        "iv: before the random codebook": softmax(placebo) - softmax(codebook),
    }
    rows = {}
    for name, values in better.items():
        values = values.dropna()
        p = (
            stats.ttest_1samp(values, 0, alternative="greater").pvalue
            if len(values) > 1
            else np.nan
        )
        mean, low, high = paired(values, 0) if len(values) else (np.nan,) * 3
        rows[name] = dict(mean=mean, low=low, high=high, p=p)
    table = pd.DataFrame(rows).T
    both = table.index[:2]
    if table.p[both].notna().all():
        table.loc[both, "p"] = holm(table.p[both])
    table["holds"] = table.p < LEVEL
    lacking = table.p.isna()
    if lacking.iloc[:3].any() or lacking.any() and not refuted(table):
        answer = "cannot tell"
    elif table.holds.all():
        answer = "woken"
    else:
        wider = table.holds[both].all() and not table.holds.iloc[2]
        answer = "wider because zero got worse" if wider else "not woken"
    return dict(answer=answer, conditions=table)


def refuted(conditions: pd.DataFrame) -> bool:
    """Whether some condition of ``woken`` is excluded: its 95 % interval lies below zero."""
    return bool((conditions.high < 0).any())

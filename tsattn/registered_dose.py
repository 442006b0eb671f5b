"""The analysis of ETTh1 with a known dose of look-up, fixed before its first run.

``results/PREREGISTRATION-2.md``, R2, states it. Doses, savings and errors are in per cent of
``dose.ERROR``, so that a perfect look-up saves its dose."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from .data.dose import ERROR
from .ledger import Ledger
from .preregistered import LEVEL, contrast
from .runs import doses
from .statistics import block_length, holm

WITHOUT = ("zero", "mean")
PRIMARY = ("zero", 10)  # the test that decides alone: the model without attention, and the dose
LEAST = 1.0  # per cent of ERROR that attention is to be worth


def savings(errors: dict[tuple[str, int], np.ndarray], block: int) -> pd.DataFrame:
    """What softmax saves of each dose: its lead over each model without attention, less the same at
    dose 0.

    ``errors`` [S, W] by attention and dose, all under the same seeds and windows. Seeds (residuals
    pooled over all models) and weeks as in ``preregistered.contrast``. Columns without, dose,
    saved, low, high (95 % interval), share of the dose; p_alone, one-sided, of a saving of
    ``LEAST`` or less, NaN where even a perfect look-up would save no more; p, the primary test's
    own, Holm over the others; ``confirmed``, p < .05.
    """
    rows = []
    for without in WITHOUT:
        for dose in sorted({d for _, d in errors} - {0}):
            weights = {(without, dose): 1, ("softmax", dose): -1,
                       (without, 0): -1, ("softmax", 0): 1}
            d = contrast(errors, weights, block)
            saved, low, high = (100 / ERROR * v for v in (d.mean, *d.interval()))
            p = stats.t.sf((d.mean - LEAST * ERROR / 100) / d.error, d.df)
            rows.append(dict(without=without, dose=dose, saved=saved, low=low, high=high,
                             share=saved / dose, p_alone=p if dose > LEAST else np.nan))
    table = pd.DataFrame(rows)
    first = (table.without == PRIMARY[0]) & (table.dose == PRIMARY[1])
    corrected = table.p_alone.where(first, holm(table.p_alone.mask(first)))
    return table.assign(p=corrected, primary=first, confirmed=corrected < LEVEL)


def worth(table: pd.DataFrame) -> pd.Series:
    """The dose of which softmax saves ``LEAST``, on straight lines between the doses from 0 at 0,
    and where the bounds of the intervals reach it; infinite beyond the largest dose."""
    own = table[table.without == PRIMARY[0]].sort_values("dose")
    x, found = np.r_[0, own.dose], {}
    for name, column in (("dose", "saved"), ("low", "high"), ("high", "low")):
        y = np.r_[0, own[column]]
        above = np.flatnonzero(y >= LEAST)
        k = above[0] if len(above) else None
        found[name] = np.inf if k is None else np.interp(LEAST, y[k - 1 : k + 1], x[k - 1 : k + 1])
    return pd.Series(found)


def judged(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """``savings`` of the registered runs; empty unless all of them are complete."""
    runs = [s for part in doses(profile).values() for s in part]
    if len(ledger.complete(runs)) < len(runs):
        return pd.DataFrame()
    errors: dict = {}
    for s in runs:
        key = s.attention, int(s.dataset.rpartition("-")[2])
        errors.setdefault(key, []).append(ledger.window_errors(s))
    errors = {key: np.stack(e) for key, e in errors.items()}
    windows = errors["softmax", 0].shape[1]
    return savings(errors, block_length(runs[0].seq_len, runs[0].pred_len, windows))

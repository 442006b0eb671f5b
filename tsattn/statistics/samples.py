"""Values of independent seeds: intervals and t tests."""

from __future__ import annotations

import numpy as np
from scipy import stats


def least_found(error, df):
    """The smallest difference with standard ``error`` that a two-sided t test at 5 % finds in 80 %
    of cases.
    """
    return stats.t.ppf([0.975, 0.8], df).sum() * error


def detectable(values) -> float:
    """``least_found`` of the mean of independent values."""
    return least_found(stats.sem(values), len(values) - 1)


def interval(values, level: float = 0.95) -> tuple[float, float, float]:
    """Mean and two-sided Student-t interval of independent values; the bounds are NaN for fewer
    than two, the mean of none is.
    """
    values = np.asarray(values, dtype=float)
    mean = values.mean() if len(values) else np.nan
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values)
    return mean, mean - half, mean + half


def paired(a, b, level: float = 0.95) -> tuple[float, float, float]:
    """``interval`` of the differences a - b of values paired by seed."""
    return interval(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), level)


def equivalence(a, b, margin: float) -> float:
    """p-value of the two one-sided t tests (TOST) that the mean paired difference lies within
    +-``margin``.

    Small values speak for equivalence (Schuirmann 1987). NaN for fewer than two pairs.
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    if len(difference) < 2:
        return np.nan
    return max(
        stats.ttest_1samp(difference, -margin, alternative="greater").pvalue,
        stats.ttest_1samp(difference, margin, alternative="less").pvalue,
    )

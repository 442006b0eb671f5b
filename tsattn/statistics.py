"""Intervals and tests. Every comparison in the report says which of these it uses.

Seeds alone (``of_seeds``); seeds and the weeks that were tested (``difference``); several
comparisons at once (``holm``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

FEW_BLOCKS = 5  # separate blocks; with two, as at 720 hours, 95 % intervals cover about 88 %
MARGIN = 0.01  # of the reference's MSE: smaller differences are called equal; fixed beforehand
MIN_SEEDS = 3  # of a verdict; with two, intervals come out too short where seeds differ much


def least_found(error, df):
    """The smallest difference with standard ``error`` that a two-sided t test at 5 % finds in 80 %
    of cases."""
    return stats.t.ppf([0.975, 0.8], df).sum() * error


def block_length(seq_len: int, pred_len: int, n_windows: int) -> int:
    """Length of a block of test windows, in windows: seq_len + pred_len, but at most half of them.

    Two windows share a time step as long as they start less than seq_len + pred_len apart, so
    pieces of this length are the shortest that are dependent at their edges alone.
    """
    return min(seq_len + pred_len, n_windows // 2)


def block_error(values, block: int) -> float:
    """Standard error of the mean of a dependent series [W], by the moving-block bootstrap
    (Kuensch 1989).

    Drawing W / block of the overlapping blocks gives a mean whose variance is known without
    drawing: that of the block means, divided by W / block. It is too small when there are few
    blocks, because they overlap and spread about their own mean; it is therefore divided by its
    expectation for independent values. Raises ``ValueError`` unless 1 <= block < W.
    """
    values = np.asarray(values, dtype=float)
    if not 1 <= block < len(values):
        raise ValueError(f"block={block}: must be at least 1 and less than the number of windows, "
                         f"{len(values)}.")
    sums = np.concatenate([[0], values.cumsum()])
    means = (sums[block:] - sums[:-block]) / block
    lag, N = np.arange(len(means)), len(means)
    # Of two blocks at this distance, times the number of such pairs:
    shared = np.maximum(1 - lag / block, 0) * (N - lag)
    expected = 1 - (2 * shared.sum() - shared[0]) / N**2
    return np.std(means) * np.sqrt(block / len(values) / expected)


@dataclass(frozen=True)
class Difference:
    """Mean difference of two models' errors, with the uncertainty from two samples at once: the
    seeds that were trained, and the weeks that were tested.

    ``seeds`` and ``windows`` are the two standard errors, ``error`` is both together, ``df`` its
    degrees of freedom and ``df_seeds`` those of the seeds' part. Of a single seed ``seeds`` is
    NaN, and ``error`` is that of the weeks: other seeds are not covered.
    """

    mean: float
    seeds: float
    windows: float
    df: float
    df_seeds: float = np.nan

    @property
    def error(self) -> float:
        one_seed = np.isnan(self.seeds) and self.windows > 0
        return self.windows if one_seed else np.hypot(self.seeds, self.windows)

    @property
    def seeds_alone(self) -> Difference:
        """The same for these very weeks: what other seeds would give on this test split."""
        return replace(self, windows=0.0, df=self.df_seeds)

    def interval(self) -> tuple[float, float]:
        """Two-sided 95 % interval."""
        half = stats.t.ppf(0.975, self.df) * self.error
        return self.mean - half, self.mean + half

    def p_different(self) -> float:
        """Two-sided p-value of no difference."""
        return 2 * stats.t.sf(abs(self.mean) / self.error, self.df)

    def p_equivalent(self, margin: float) -> float:
        """p-value of the two one-sided tests (Schuirmann 1987) of a difference of ``margin`` or
        more, either way."""
        return stats.t.sf((margin - abs(self.mean)) / self.error, self.df)

    def p_not_worse(self, margin: float) -> float:
        """One-sided p-value of a difference of ``margin`` or more: small values show
        non-inferiority."""
        return stats.t.sf((margin - self.mean) / self.error, self.df)

    def detectable(self) -> float:
        """The smallest true difference that the two-sided test at 5 % finds in 80 % of cases."""
        return least_found(self.error, self.df)

    def provable(self) -> float:
        """The smallest margin for which these data show non-inferiority at 5 %: the upper one-sided
        bound."""
        return self.mean + stats.t.ppf(0.95, self.df) * self.error


def of_seeds(values) -> Difference:
    """Mean of independent values; all that says how certain it is is NaN for fewer than two."""
    values, n = np.asarray(values, dtype=float), len(values)
    return Difference(values.mean() if n else np.nan, stats.sem(values) if n > 1 else np.nan,
                      0.0, n - 1)


def interval(values) -> tuple[float, float, float]:
    """Mean and 95 % Student-t interval of independent values (``of_seeds``)."""
    d = of_seeds(values)
    return d.mean, *d.interval()


def difference(a, b, block: int, pooled: tuple[float, float] | None = None) -> Difference:
    """Difference a - b of errors [seeds, windows], paired by seed and window.

    The error of the mean has two parts, as two things were drawn: the seeds, whose part is s /
    sqrt(S) over the means of the S seeds, and the weeks of the test split, which are the same
    for all seeds and whose part is ``block_error`` of the windows' means over the seeds. Their
    squares add up. The degrees of freedom S - 1 and W / block (as many as there are separate
    blocks) are combined by Welch and Satterthwaite's formula: resampling 3 to 5 seeds, or 6
    blocks, and reading off percentiles would give intervals that are far too short. What varies
    with seed and week together is counted in both parts, so that intervals are too long rather
    than too short. A single seed says nothing of others: there is the weeks' part alone, unless
    ``pooled`` gives the seeds' part and its degrees of freedom (``pooled_seeds``).
    """
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    S, W = d.shape
    seeds, df_seeds = pooled or (stats.sem(d.mean(1)) if S > 1 else np.nan, max(S - 1, 1))
    windows = block_error(d.mean(0), block)
    known = np.nan_to_num(seeds)
    with np.errstate(invalid="ignore"):  # one seed, and no spread between weeks either: NaN
        df = (known**2 + windows**2) ** 2 / (known**4 / df_seeds + windows**4 * block / W)
    return Difference(d.mean(), seeds, windows, df, df_seeds)


def pooled_seeds(means) -> tuple[float, float]:
    """Standard error, and degrees of freedom, of the difference of two variants whose ``means``
    [V, S] stand among those of V variants under the same S seeds.

    The variance is that of the residuals of seed plus variant: where all variants scatter alike, it
    has 8 degrees of freedom for five variants and three seeds instead of 2."""
    x = np.asarray(means, dtype=float)
    V, S = x.shape
    df = (V - 1) * (S - 1)
    residual = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    return np.sqrt(2 / S * (residual**2).sum() / df), df


def holm(p) -> np.ndarray:
    """p-values adjusted for their number, so that the chance of any false claim among them stays
    at the level (Holm 1979). NaN stays NaN and does not count."""
    p = np.asarray(p, dtype=float)
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted

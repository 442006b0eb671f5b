"""Two samples at once: the seeds that were trained, and the weeks that were tested."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from .samples import least_found

FEW_BLOCKS = 5  # separate blocks; with two, as at 720 hours, 95 % intervals cover about 88 %


def block_length(seq_len: int, pred_len: int, n_windows: int) -> int:
    """Length of a block of test windows, in windows: seq_len + pred_len, but at most half of the
    windows.

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
        raise ValueError(
            f"block={block}: must be at least 1 and less than the number of windows, {len(values)}."
        )
    sums = np.concatenate([[0], values.cumsum()])
    means = (sums[block:] - sums[:-block]) / block
    lag, N = np.arange(len(means)), len(means)
    shared = np.maximum(1 - lag / block, 0) * (
        N - lag
    )  # of two blocks at this distance, times the number of such pairs
    expected = 1 - (2 * shared.sum() - shared[0]) / N**2
    return np.std(means) * np.sqrt(block / len(values) / expected)


@dataclass(frozen=True)
class Difference:
    """Mean difference of two models' errors, with the uncertainty from the seeds and from the
    weeks tested.

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

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval."""
        half = stats.t.ppf(0.5 + level / 2, self.df) * self.error
        return self.mean - half, self.mean + half

    def p_different(self) -> float:
        """Two-sided p-value of no difference."""
        return 2 * stats.t.sf(abs(self.mean) / self.error, self.df)

    def p_equivalent(self, margin: float) -> float:
        """p-value of the two one-sided tests (Schuirmann 1987) of a difference of ``margin`` or
        more, either way.
        """
        return stats.t.sf((margin - abs(self.mean)) / self.error, self.df)

    def p_not_worse(self, margin: float) -> float:
        """One-sided p-value of a difference of ``margin`` or more: small values show
        non-inferiority.
        """
        return stats.t.sf((margin - self.mean) / self.error, self.df)

    def detectable(self) -> float:
        """The smallest true difference that the two-sided test at 5 % finds in 80 % of cases."""
        return least_found(self.error, self.df)

    def provable(self, level: float = 0.05) -> float:
        """The smallest margin for which these data show non-inferiority: the upper one-sided
        bound.
        """
        return self.mean + stats.t.ppf(1 - level, self.df) * self.error


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
    ``pooled`` gives the seeds' standard error of a difference and its degrees of freedom
    (``pooled_seeds``).
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
    """Standard error, and degrees of freedom, of the difference of two variants' means.

    ``means`` [V, S] holds the error of V variants under the same S seeds. The variance is that
    of the residuals of seed plus variant, with (V - 1)(S - 1) degrees of freedom: where all
    variants scatter alike, 8 for five variants and three seeds instead of 2. Raises
    ``ValueError`` below two of either.
    """
    x = np.asarray(means, dtype=float)
    V, S = x.shape
    if min(V, S) < 2:
        raise ValueError(f"{V} variants and {S} seeds: pooling needs at least two of each.")
    df = (V - 1) * (S - 1)
    residual = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    return np.sqrt(2 / S * (residual**2).sum() / df), df


def over_blocks(a, b, blocks) -> pd.DataFrame:
    """A comparison of errors [seeds, windows] by the length of a block: one row per length."""
    found = {block: difference(a, b, block) for block in blocks}
    return pd.DataFrame(
        [dict(block=k, error=d.error, p_different=d.p_different()) for k, d in found.items()]
    )

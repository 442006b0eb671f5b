"""Intervals and tests. Every comparison in the report says which of these it uses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import optimize, stats


def interval(values, level: float = 0.95) -> tuple[float, float, float]:
    """Mean and two-sided Student-t interval of independent values; the bounds are NaN for fewer
    than two.
    """
    values = np.asarray(values, dtype=float)
    mean = values.mean()
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
    return max(stats.ttest_1samp(difference, -margin, alternative="greater").pvalue,
               stats.ttest_1samp(difference, margin, alternative="less").pvalue)


def not_worse(change, margin: float) -> float:
    """p-value of the one-sided t test that the mean of ``change``, one per seed, is ``margin``
    or more.

    Small values show non-inferiority. NaN for fewer than two.
    """
    return stats.ttest_1samp(change, margin, alternative="less").pvalue if len(change) > 1 else np.nan


# -- two samples at once: the seeds that were trained, and the weeks that were tested


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
        raise ValueError(f"block={block}: must be at least 1 and less than the number of windows, {len(values)}.")
    sums = np.concatenate([[0], values.cumsum()])
    means = (sums[block:] - sums[:-block]) / block
    lag, N = np.arange(len(means)), len(means)
    shared = np.maximum(1 - lag / block, 0) * (N - lag)  # of two blocks at this distance, times the number of such pairs
    expected = 1 - (2 * shared.sum() - shared[0]) / N**2
    return np.std(means) * np.sqrt(block / len(values) / expected)


def diebold_mariano(a, b, lags: int) -> tuple[float, float]:
    """Statistic and two-sided p-value for equal mean errors a, b [W] of two forecasts (Diebold
    and Mariano 1995).

    The long-run variance is Newey and West's, with Bartlett weights up to ``lags``. With so many
    lags for so few windows a normal reference rejects too often; Student's t with W / lags
    degrees of freedom reproduces the critical values of Kiefer and Vogelsang (2005). NaN where
    the two differ by nothing, or by the same in every window.
    """
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    W, e = len(d), d - d.mean()
    products = np.fft.irfft(np.abs(np.fft.rfft(e, 2 * W)) ** 2)[:W] / W  # autocovariances
    weights = np.maximum(1 - np.arange(W) / (lags + 1), 0)
    error = np.sqrt((products[0] + 2 * products[1:] @ weights[1:]) / W)
    statistic = d.mean() / error if error > 0 else np.nan
    return statistic, 2 * stats.t.sf(abs(statistic), W / (lags + 1))


@dataclass(frozen=True)
class Difference:
    """Mean difference of two models' errors, with the uncertainty from the seeds and from the
    weeks tested.

    ``seeds`` and ``windows`` are the two standard errors, ``error`` is both together, ``df`` its
    degrees of freedom and ``df_seeds`` those of the seeds' part.
    """

    mean: float
    seeds: float
    windows: float
    df: float
    df_seeds: float = np.nan

    @property
    def error(self) -> float:
        return np.hypot(self.seeds, self.windows)

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

    def detectable(self, power: float = 0.8, level: float = 0.05) -> float:
        """The smallest true difference that the two-sided test finds with this chance."""
        return (stats.t.ppf(1 - level / 2, self.df) + stats.t.ppf(power, self.df)) * self.error

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
    than too short. NaN for a single seed, unless ``pooled`` gives the seeds' standard error of a
    difference and its degrees of freedom (``pooled_seeds``).
    """
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    S, W = d.shape
    seeds, df_seeds = pooled or (stats.sem(d.mean(1)) if S > 1 else np.nan, max(S - 1, 1))
    windows = block_error(d.mean(0), block)
    df = (seeds**2 + windows**2) ** 2 / (seeds**4 / df_seeds + windows**4 * block / W)
    return Difference(d.mean(), seeds, windows, df, df_seeds)


def pooled_seeds(means) -> tuple[float, float]:
    """Standard error of the difference of two variants' means over seeds, and its degrees of
    freedom.

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
    """How a comparison of errors [seeds, windows] moves with the length of a block: one row per
    length.
    """
    found = {block: difference(a, b, block) for block in blocks}
    return pd.DataFrame([dict(block=k, error=d.error, p_different=d.p_different())
                         for k, d in found.items()])


FEW_BLOCKS = 5  # separate blocks; with two, as at 720 hours, 95 % intervals cover about 88 %


# -- several periods or series


@dataclass(frozen=True)
class RandomEffects:
    """Mean of effects that differ between series, its interval, and where the next series'
    effect may lie.

    ``tau`` is the standard deviation between series beyond sampling, ``share`` (I squared) its
    share of all variance, ``p_same`` the p-value of no heterogeneity (Cochran's Q).
    """

    mean: float
    low: float
    high: float
    tau: float
    share: float
    p_same: float
    new_low: float
    new_high: float


def random_effects(effects, errors, level: float = 0.95) -> RandomEffects:
    """Summary of ``effects`` of K series with standard ``errors``, between which they truly
    differ.

    Between-series variance by Paule and Mandel (1982), interval of the mean by Hartung and Knapp
    (2001), prediction interval with K - 1 degrees of freedom (Partlett and Riley 2017); the
    latter falls short where series differ by less than their errors, as the spread is then often
    estimated as 0. Raises ``ValueError`` below three series.
    """
    y, v = np.asarray(effects, dtype=float), np.asarray(errors, dtype=float) ** 2
    K = len(y)
    if K < 3:
        raise ValueError(f"{K} series: a spread between them needs at least three.")

    def spread(tau2):  # generalised Q, which falls with tau2 and is K - 1 on average at the true one
        w = 1 / (v + tau2)
        return w @ (y - w @ y / w.sum()) ** 2

    q, top = spread(0), 10 * y.var() + 10 * v.max()
    tau2 = optimize.brentq(lambda t: spread(t) - (K - 1), 0, top) if q > K - 1 else 0.0
    w = 1 / (v + tau2)
    mean = w @ y / w.sum()
    error = np.sqrt(w @ (y - mean) ** 2 / (K - 1) / w.sum())
    t = stats.t.ppf(0.5 + level / 2, K - 1)
    new = t * np.sqrt(tau2 + error**2)
    return RandomEffects(mean, mean - t * error, mean + t * error, np.sqrt(tau2), max(0.0, 1 - (K - 1) / max(q, K - 1)),
                         stats.chi2.sf(q, K - 1), mean - new, mean + new)


def next_value(values, level: float = 0.95) -> tuple[float, float]:
    """Prediction interval for one more of these independent values (a new period, a new seed)."""
    x = np.asarray(values, dtype=float)
    half = stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) * np.sqrt(1 + 1 / len(x))
    return x.mean() - half, x.mean() + half


# -- families of tests


def holm(p) -> np.ndarray:
    """p-values adjusted for their number, so that the chance of any false claim among them stays
    at the level (Holm 1979).

    NaN stays NaN and does not count.
    """
    p = np.asarray(p, dtype=float)
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


MARGIN = 0.01  # of the reference's MSE: smaller differences are called equal; fixed beforehand
MARGINS = (MARGIN, 0.005, 0.02)
MIN_SEEDS = 3  # of a verdict; with two, intervals come out too short where seeds differ much
TOO_FEW = "too few seeds"


def verdict(mean: float, p_different: float, p_equivalent: float, level: float = 0.05) -> str:
    """``equivalent`` where a difference beyond the margin is excluded, else ``better``,
    ``worse`` or ``undecided``.

    A difference that is certain but within the margin is equivalent: the margin says what is too
    small to matter.
    """
    if p_equivalent < level:
        return "equivalent"
    if p_different < level:
        return "better" if mean < 0 else "worse"
    return "undecided"


def verdicts(changes: dict) -> dict[str, str]:
    """``verdict`` on each sample of relative changes (name -> one per seed), from t tests
    against 0, as one family.
    """
    different = holm([stats.ttest_1samp(change, 0).pvalue for change in changes.values()])
    equal = holm([equivalence(change, 0 * change, MARGIN) for change in changes.values()])
    return {name: verdict(change.mean(), *p) if len(change) >= MIN_SEEDS else TOO_FEW
            for (name, change), *p in zip(changes.items(), different, equal)}


def compare(errors: dict, base: str, block: int, pooled: bool = False) -> pd.DataFrame:
    """Every model of ``errors`` (name -> seed -> [windows]) against ``base``: one family of
    tests, one row per model.

    Models are paired over the seeds that both have; a model that no seed can change has the
    single seed None and is paired with all. ``pooled``: the spread between seeds is taken over
    all models together, where all have the same three seeds or more (``pooled_seeds``). ``low``
    and ``high`` are for other months, ``split_low`` and ``split_high`` for this test split
    (seeds alone). ``detectable`` and ``provable`` are in units of the MSE. p-values are adjusted
    by Holm, each kind in its own family. The Diebold-Mariano test is on the windows' means over
    the seeds and knows nothing of the spread between seeds.
    """
    rows, shared = [], None
    if pooled and len(errors) > 2 and len(errors[base]) >= MIN_SEEDS and all(set(e) == set(errors[base])
                                                                            for e in errors.values()):
        shared = pooled_seeds([[e[seed].mean(dtype=float) for seed in errors[base]] for e in errors.values()])
    for name in [n for n in errors if n != base]:
        seeds = [seed for seed in errors[base] if seed in errors[name] or None in errors[name]]
        if not seeds:
            continue
        a, b = (np.array([e.get(seed, e.get(None)) for seed in seeds], dtype=float) for e in (errors[name], errors[base]))
        d, mse = difference(a, b, block, shared), b.mean()
        (low, high), (split_low, split_high) = d.interval(), d.seeds_alone.interval()
        rows.append(dict(
            model=name, seeds=len(seeds), mse=a.mean(), reference=mse, difference=d.mean, low=low, high=high,
            se_seeds=d.seeds, se_windows=d.windows, df=d.df, blocks=a.shape[1] / block, p_different=d.p_different(),
            **{f"p_within_{m:.1%}": d.p_equivalent(m * mse) for m in MARGINS},
            **{f"p_not_worse_{m:.1%}": d.p_not_worse(m * mse) for m in MARGINS},
            split_low=split_low, split_high=split_high, p_split=d.seeds_alone.p_different(),
            p_split_not_worse=d.seeds_alone.p_not_worse(MARGIN * mse), detectable=d.detectable(), provable=d.provable(),
            p_diebold_mariano=diebold_mariano(a.mean(0), b.mean(0), block - 1)[1]))
    return as_family(pd.DataFrame(rows)) if rows else pd.DataFrame()


JUDGED = ["p_different", f"p_within_{MARGIN:.1%}", *(f"p_not_worse_{m:.1%}" for m in MARGINS), "p_split", "p_split_not_worse"]


def as_family(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``compare`` with their p-values corrected for one another (Holm), and the verdicts
    that follow.
    """
    table = table.assign(**{p: holm(table[p]) for p in JUDGED})
    return table.assign(verdict=[
        verdict(*v) if seeds >= MIN_SEEDS else TOO_FEW
        for seeds, *v in zip(table.seeds, table.difference, table.p_different, table[f"p_within_{MARGIN:.1%}"])])

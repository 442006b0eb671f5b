"""Intervals and tests. Every comparison in the report says which of these it uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


def interval(values, level: float = 0.95) -> tuple[float, float, float]:
    """Mean and two-sided Student-t interval of independent values; the bounds are NaN for fewer than two."""
    values = np.asarray(values, dtype=float)
    mean = values.mean()
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values)
    return mean, mean - half, mean + half


def as_text(triple, form: str = ".3f") -> str:
    """An ``interval`` as text, every number in the format ``form``: mean [low, high]."""
    mean, low, high = triple
    return f"{mean:{form}}" + (f" [{low:{form}}, {high:{form}}]" if np.isfinite(low) else " (one seed)")


def spread(values, digits: int = 3) -> str:
    """``interval`` as text for a table cell: mean [low, high]."""
    return as_text(interval(values), f".{digits}f")


def paired(a, b, level: float = 0.95) -> tuple[float, float, float]:
    """``interval`` of the differences a - b of values paired by seed."""
    return interval(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), level)


def equivalence(a, b, margin: float) -> float:
    """p-value of the two one-sided t tests (TOST) that the mean paired difference lies within +-``margin``.

    Small values speak for equivalence (Schuirmann 1987). NaN for fewer than two pairs.
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    if len(difference) < 2:
        return np.nan
    return max(stats.ttest_1samp(difference, -margin, alternative="greater").pvalue,
               stats.ttest_1samp(difference, margin, alternative="less").pvalue)


# -- two samples at once: the seeds that were trained, and the weeks that were tested


def block_length(seq_len: int, pred_len: int, n_windows: int) -> int:
    """Length of a block of test windows, in windows: seq_len + pred_len, but at most half of the windows.

    Two windows share a time step as long as they start less than seq_len + pred_len apart, so pieces of this length are
    the shortest that are dependent at their edges alone.
    """
    return min(seq_len + pred_len, n_windows // 2)


def block_error(values, block: int) -> float:
    """Standard error of the mean of a dependent series [W], by the moving-block bootstrap (Kuensch 1989).

    Drawing W / block of the overlapping blocks gives a mean whose variance is known without drawing: that of the block
    means, divided by W / block. It is too small when there are few blocks, because they overlap and spread about their
    own mean; it is therefore divided by its expectation for independent values. Raises ``ValueError`` unless
    1 <= block < W.
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
    """Statistic and two-sided p-value for equal mean errors a, b [W] of two forecasts (Diebold and Mariano 1995).

    The long-run variance is Newey and West's, with Bartlett weights up to ``lags``. With so many lags for so few windows
    a normal reference rejects too often; Student's t with W / lags degrees of freedom reproduces the critical values of
    Kiefer and Vogelsang (2005). NaN where the two differ by nothing, or by the same in every window.
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
    """Mean difference of two models' errors, with the uncertainty from the seeds and from the weeks tested.

    ``seeds`` and ``windows`` are the two standard errors, ``error`` is both together, ``df`` its degrees of freedom.
    """

    mean: float
    seeds: float
    windows: float
    df: float

    @property
    def error(self) -> float:
        return np.hypot(self.seeds, self.windows)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval."""
        half = stats.t.ppf(0.5 + level / 2, self.df) * self.error
        return self.mean - half, self.mean + half

    def p_different(self) -> float:
        """Two-sided p-value of no difference."""
        return 2 * stats.t.sf(abs(self.mean) / self.error, self.df)

    def p_equivalent(self, margin: float) -> float:
        """p-value of the two one-sided tests (Schuirmann 1987) of a difference of ``margin`` or more, either way."""
        return stats.t.sf((margin - abs(self.mean)) / self.error, self.df)


def difference(a, b, block: int) -> Difference:
    """Difference a - b of errors [seeds, windows], paired by seed and window.

    The error of the mean has two parts, as two things were drawn: the seeds, whose part is s / sqrt(S) over the means of
    the S seeds, and the weeks of the test split, which are the same for all seeds and whose part is ``block_error`` of
    the windows' means over the seeds. Their squares add up. The degrees of freedom S - 1 and W / block (as many as there
    are separate blocks) are combined by Welch and Satterthwaite's formula: resampling 3 to 5 seeds, or 6 blocks, and
    reading off percentiles would give intervals that are far too short. What varies with seed and week together is
    counted in both parts, so that intervals are too long rather than too short. NaN for a single seed.
    """
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    (S, W), windows = d.shape, block_error(d.mean(0), block)
    seeds = stats.sem(d.mean(1)) if S > 1 else np.nan
    return Difference(d.mean(), seeds, windows,
                      (seeds**2 + windows**2) ** 2 / (seeds**4 / max(S - 1, 1) + windows**4 * block / W))


def holm(p) -> np.ndarray:
    """p-values adjusted for their number, so that the chance of any false claim among them stays at the level (Holm 1979).

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
    """``equivalent`` where a difference beyond the margin is excluded, else ``better``, ``worse`` or ``undecided``.

    A difference that is certain but within the margin is equivalent: the margin says what is too small to matter.
    """
    if p_equivalent < level:
        return "equivalent"
    if p_different < level:
        return "better" if mean < 0 else "worse"
    return "undecided"


def verdicts(changes: dict) -> dict[str, str]:
    """``verdict`` on each sample of relative changes (name -> one per seed), from t tests against 0, as one family."""
    different = holm([stats.ttest_1samp(change, 0).pvalue for change in changes.values()])
    equal = holm([equivalence(change, 0 * change, MARGIN) for change in changes.values()])
    return {name: verdict(change.mean(), *p) if len(change) >= MIN_SEEDS else TOO_FEW
            for (name, change), *p in zip(changes.items(), different, equal)}


def compare(errors: dict, base: str, block: int) -> pd.DataFrame:
    """Every model of ``errors`` (name -> seed -> [windows]) against ``base``: one family of tests, one row per model.

    Models are paired over the seeds that both have; a model that no seed can change has the single seed None and is
    paired with all. p-values of a difference and of equivalence within ``MARGIN`` are adjusted by Holm, each in its own
    family. The Diebold-Mariano test is on the windows' means over the seeds and knows nothing of the spread between seeds.
    """
    rows = []
    for name in [n for n in errors if n != base]:
        seeds = [seed for seed in errors[base] if seed in errors[name] or None in errors[name]]
        if not seeds:
            continue
        a, b = (np.array([e.get(seed, e.get(None)) for seed in seeds], dtype=float) for e in (errors[name], errors[base]))
        d = difference(a, b, block)
        low, high = d.interval()
        rows.append(dict(model=name, seeds=len(seeds), mse=a.mean(), reference=b.mean(), difference=d.mean, low=low, high=high,
                         se_seeds=d.seeds, se_windows=d.windows, p_different=d.p_different(),
                         **{f"p_within_{margin:.1%}": d.p_equivalent(margin * b.mean()) for margin in MARGINS},
                         p_diebold_mariano=diebold_mariano(a.mean(0), b.mean(0), block - 1)[1]))
    return as_family(pd.DataFrame(rows)) if rows else pd.DataFrame()


def as_family(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``compare`` with their p-values corrected for one another (Holm), and the verdicts that follow."""
    within = f"p_within_{MARGIN:.1%}"
    table = table.assign(p_different=holm(table.p_different), **{within: holm(table[within])})
    return table.assign(verdict=[verdict(*v) if seeds >= MIN_SEEDS else TOO_FEW
                                 for seeds, *v in zip(table.seeds, table.difference, table.p_different, table[within])])

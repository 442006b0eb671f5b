"""Several periods or series that truly differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats


@dataclass(frozen=True)
class RandomEffects:
    """Mean of effects that differ between series, with standard ``error`` and interval, and where
    the next may lie.

    ``tau`` is the standard deviation between series beyond sampling, ``share`` (I squared) its
    share of all variance, ``p_same`` the p-value of no heterogeneity (Cochran's Q).
    """

    mean: float
    error: float
    low: float
    high: float
    tau: float
    share: float
    p_same: float
    new_low: float
    new_high: float


def random_effects(effects, errors, level: float = 0.95) -> RandomEffects:
    """Summary of ``effects`` of K series, whose truths differ, with standard ``errors``.

    Between-series variance by Paule and Mandel (1982), interval of the mean by Hartung and Knapp
    (2001), not narrower than the errors themselves allow where series happen to agree (Knapp and
    Hartung 2003), prediction interval with K - 1 degrees of freedom (Partlett and Riley 2017); the
    latter falls short where series differ by less than their errors, as the spread is then often
    estimated as 0. Raises ``ValueError`` below three series.
    """
    y, v = np.asarray(effects, dtype=float), np.asarray(errors, dtype=float) ** 2
    K = len(y)
    if K < 3:
        raise ValueError(f"{K} series: a spread between them needs at least three.")

    def spread(tau2):  # generalised Q: K - 1 on average at the true tau2
        w = 1 / (v + tau2)
        return w @ (y - w @ y / w.sum()) ** 2

    q, top = spread(0), 10 * y.var() + 10 * v.max()
    tau2 = optimize.brentq(lambda t: spread(t) - (K - 1), 0, top) if q > K - 1 else 0.0
    w = 1 / (v + tau2)
    mean = w @ y / w.sum()
    error = np.sqrt(max(1.0, w @ (y - mean) ** 2 / (K - 1)) / w.sum())
    t = stats.t.ppf(0.5 + level / 2, K - 1)
    new = t * np.sqrt(tau2 + error**2)
    return RandomEffects(
        mean,
        error,
        mean - t * error,
        mean + t * error,
        np.sqrt(tau2),
        1 - (K - 1) / max(q, K - 1),
        stats.chi2.sf(q, K - 1),
        mean - new,
        mean + new,
    )

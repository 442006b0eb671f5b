"""Our statistics against those of statsmodels and arch, which others wrote and many use.

Each test says where the two agree to rounding and, for a resampled figure, within which error.
"""

import numpy as np
import pytest
from arch.bootstrap import MovingBlockBootstrap
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from tsattn.statistics import block_error, equivalence, holm, interval

EXACT = 1e-9
REPEATS = 3000  # of a bootstrap: its standard error is then known to 1 / sqrt(2 * REPEATS), 1.3 %


def autoregressive(seed, n, memory):
    """A stationary series [n] with correlation ``memory`` from one step to the next."""
    rng = np.random.default_rng(seed)
    series = np.zeros(n + 200)
    for t, shock in enumerate(rng.standard_normal(n + 199), start=1):
        series[t] = memory * series[t - 1] + shock
    return series[200:]


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_the_interval_is_that_of_statsmodels(n):
    x = np.random.default_rng(n).normal(0.4, 0.1, n)
    assert interval(x) == pytest.approx((x.mean(), *DescrStatsW(x).tconfint_mean()), rel=EXACT)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("shift", [-0.03, 0.0, 0.004, 0.02])
def test_equivalence_is_the_tost_of_statsmodels(n, shift):
    rng = np.random.default_rng(n)
    b = rng.normal(0.4, 0.05, n)
    a = b + shift + rng.normal(0, 0.01, n)
    assert equivalence(a - b, 0.01) == pytest.approx(ttost_paired(a, b, -0.01, 0.01)[0], rel=EXACT)


@pytest.mark.parametrize("n", [1, 2, 4, 20])
def test_holm_is_that_of_statsmodels(n):
    rng = np.random.default_rng(n)
    for p in (rng.random(n), rng.random(n) ** 4, np.full(n, 0.02), np.zeros(n), np.ones(n)):
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=EXACT)


def test_holm_does_not_count_what_is_unknown():
    p = np.array([0.01, np.nan, 0.04, np.nan, 0.03])
    known = ~np.isnan(p)
    assert holm(p)[known] == pytest.approx(multipletests(p[known], method="holm")[1], rel=EXACT)
    assert np.isnan(holm(p)[~known]).all()


def overlap(n, block):
    """What ``block_error`` divides by, for ``n`` windows, computed from the blocks themselves.

    Of independent values of variance 1 the mean of a block has the variance 1 / block. The blocks
    that can be drawn overlap, so that they spread about their own mean by less, in this ratio.
    """
    blocks = np.array([np.bincount(np.arange(s, s + block), minlength=n) / block
                       for s in range(n - block + 1)])
    covariance = blocks @ blocks.T
    return np.sqrt(block * (np.trace(covariance) / len(blocks) - covariance.mean()))


@pytest.mark.parametrize("n, block", [(600, 1), (600, 12), (600, 60), (600, 150)])
def test_block_error_is_the_moving_block_bootstrap_of_arch(n, block):
    """Theirs, but for the correction for overlap, which theirs does not have."""
    series = autoregressive(2, n, 0.7)
    bootstrap = MovingBlockBootstrap(block, series, seed=0)
    drawn = bootstrap.apply(lambda x: np.array([x.mean()]), REPEATS).std()  # of the mean
    assert block_error(series, block) * overlap(n, block) == pytest.approx(drawn, rel=0.05)

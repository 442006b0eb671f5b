"""Every statistic by hand, by simulation (what it promises must come out near nominal), and against
statsmodels and arch, which others wrote and many use."""

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import MovingBlockBootstrap
from conftest import moving
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from tsattn import statistics
from tsattn.compare import COLUMNS, TOO_FEW, against, family
from tsattn.statistics import block_error, block_length, difference, holm, interval, of_seeds

W, BLOCK = 2785, block_length(336, 96, 2785)  # the test windows of ETTh1 at 336 -> 96
SD = np.sqrt(96 / W)  # of the mean of ``moving(W)``
EXACT = 1e-9


def simulated(seeds, mean=0.0, n=400, between=1.0, common=1.0, own=0.3):
    """``n`` differences [seeds, W]: an effect per seed, one per week common to all seeds, and one
    of both; in units SD."""
    rng = np.random.default_rng(seeds)
    for _ in range(n):
        d = (mean + SD * between * rng.standard_normal((seeds, 1))
             + common * moving(rng, 1, W) + own * moving(rng, seeds, W))
        yield difference(d, np.zeros((seeds, W)), BLOCK)


def covered(seeds, **how):
    """Share of intervals that hold the true difference, 0."""
    return np.mean([low <= 0 <= high for low, high in (d.interval()
                                                       for d in simulated(seeds, **how))])


def found(p, seeds=3, **how):
    """Share of differences for which a test, with the p-value ``p(difference)``, is significant."""
    return np.mean([p(d) < 0.05 for d in simulated(seeds, **how)])


# -- by hand


def test_what_too_few_values_say_is_not_a_number_or_an_error():
    assert interval([1.0])[0] == 1 and np.isnan(interval([1.0])[1:]).all()
    assert np.isnan(interval([])).all() and np.isnan(of_seeds([0.0]).p_equivalent(0.1))
    with pytest.raises(ValueError, match="block=50: .* number of windows, 50"):
        block_error(np.ones(50), 50)


def test_without_a_spread_between_weeks_the_interval_is_the_paired_t_interval():
    a, b = np.array([[0.4], [0.5], [0.45]]) * np.ones((3, 20)), np.full((3, 20), 0.4)
    d = difference(a, b, 5)
    assert (d.mean, *d.interval()) == pytest.approx(interval(a[:, 0] - b[:, 0]))
    assert d.df == pytest.approx(2)


def test_one_seed_gives_the_interval_of_the_weeks_alone():
    x = np.random.default_rng(0).random((1, 50))
    d = difference(x, np.zeros((1, 50)), 5)
    half = stats.t.ppf(0.975, 10) * block_error(x[0], 5)  # ten separate blocks
    assert block_error(x[0], 1) == pytest.approx(stats.sem(x[0]))
    assert d.interval() == pytest.approx((x.mean() - half, x.mean() + half))
    assert 0 < d.p_equivalent(1.0) < 0.05 and np.isnan(d.seeds_alone.interval()).all()


@pytest.mark.parametrize("seeds, mean, p_different, p_equal, word", [
    (3, -0.1, 0.01, 0.5, "better"), (3, 0.1, 0.01, 0.5, "worse"), (3, 0.1, 0.3, 0.5, "undecided"),
    (3, 0.1, 0.3, 0.01, "equivalent"), (3, 0.1, 0.01, 0.01, "equivalent"),
    (3, 0.1, np.nan, np.nan, "undecided"), (2, -0.1, 0.01, 0.5, TOO_FEW)])
def test_verdict_in_words(seeds, mean, p_different, p_equal, word):
    row = dict(seeds=seeds, change=mean, p=p_different, p_equal=p_equal)
    assert family(pd.DataFrame([row], columns=COLUMNS)).verdict[0] == word


# -- by simulation


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("parts",
                         [dict(), dict(between=0.0, own=0.0), dict(between=3.0), dict(between=0.3)])
def test_the_interval_covers_near_its_level(seeds, parts):
    assert 0.92 <= covered(seeds, **parts) <= 0.985


def test_two_seeds_are_too_few_for_a_verdict():
    """Where seeds differ much, the interval of two falls short, that of ``MIN_SEEDS`` does not."""
    assert covered(2, between=3.0) < 0.93 < covered(statistics.MIN_SEEDS, between=3.0)


# A test, the smallest true difference for which it must not hold, one at which it must be found.
@pytest.mark.parametrize("p, edge, inside", [
    (statistics.Difference.p_different, 0, 8 * SD), (lambda d: d.p_equivalent(8 * SD), 8 * SD, 0),
    (lambda d: d.p_not_worse(4 * SD), 4 * SD, -4 * SD)])
def test_a_test_errs_at_its_level_and_has_power(p, edge, inside):
    assert 0.02 <= found(p, mean=edge, n=700) <= 0.08
    assert found(p, mean=inside, n=200) > 0.85


def test_bounds_of_what_is_excluded_and_what_would_be_found():
    several = list(simulated(3, n=200))  # as the size of one estimate scatters
    d, size = several[0], np.mean([d.detectable() for d in several])
    assert d.p_not_worse(d.provable()) == pytest.approx(0.05), "the smallest margin that is proved"
    assert found(statistics.Difference.p_different, mean=size) == pytest.approx(0.8, abs=0.06)


def test_two_separate_blocks_are_too_few_and_six_are_enough():
    """At 720 hours the test split holds two blocks, and intervals over the weeks alone fall short;
    at 96 they are sound."""
    held = {}
    for horizon in (96, 720):
        rng, n = np.random.default_rng(horizon), 2880 - horizon + 1
        block = block_length(336, horizon, n)
        half = stats.t.ppf(0.975, n / block)
        held[n / block] = np.mean([abs(x.mean()) < half * block_error(x, block) for x in (
            moving(rng, n, horizon=horizon) for _ in range(1200))])
    (many, sound), (few, short) = held.items()
    assert block_length(336, 720, 2000) == 1000  # at most half of them
    assert few < statistics.FEW_BLOCKS < many and 0.84 <= short <= 0.92 and 0.93 <= sound <= 0.97


# -- against others


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_seeds_alone_are_judged_as_by_statsmodels(n):
    rng = np.random.default_rng(n)
    b = rng.normal(0.4, 0.05, n)
    for shift in (-0.03, 0.0, 0.004, 0.02):
        a = b + shift + rng.normal(0, 0.01, n)
        assert interval(a) == pytest.approx((a.mean(), *DescrStatsW(a).tconfint_mean()), rel=EXACT)
        d, by_others = of_seeds(a - b), DescrStatsW(a - b)
        assert d.p_equivalent(0.01) == pytest.approx(ttost_paired(a, b, -0.01, 0.01)[0], rel=EXACT)
        assert d.p_different() == pytest.approx(by_others.ttest_mean()[1], rel=EXACT)


@pytest.mark.parametrize("n", [1, 2, 4, 20])
def test_holm_is_that_of_statsmodels_and_does_not_count_what_is_unknown(n):
    rng = np.random.default_rng(n)
    for p in (rng.random(n), rng.random(n) ** 4, np.full(n, 0.02), np.zeros(n), np.ones(n)):
        right = multipletests(p, method="holm")[1]
        assert holm(p) == pytest.approx(right, rel=EXACT)
        np.testing.assert_allclose(holm(np.r_[np.nan, p]), np.r_[np.nan, right])


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
    series = moving(np.random.default_rng(2), n, horizon=6)
    bootstrap = MovingBlockBootstrap(block, series, seed=0)
    drawn = bootstrap.apply(lambda x: np.array([x.mean()]), 3000).std()  # of the mean: to 1.3 %
    assert block_error(series, block) * overlap(n, block) == pytest.approx(drawn, rel=0.05)


# -- several comparisons at once


def test_a_rule_that_no_seed_changes_can_be_compared_with():
    rng = np.random.default_rng(0)
    rule, model = rng.random(50), {seed: rng.random(50) for seed in (1, 2)}
    table = against({"rule": {None: rule}, "model": model, "other": {None: rule + 1}}, "rule", 5)
    by = table.set_index("variant")
    d = difference(np.array(list(model.values())), np.array([rule, rule]), 5)
    assert (by.change["model"], by.low["model"]) == pytest.approx(
        (d.mean / rule.mean(), d.interval()[0] / rule.mean()))
    assert by.seeds["model"] == 2 and by.change["other"] == pytest.approx(1 / rule.mean())


def test_comparison_pairs_seeds_and_corrects_within_the_family():
    rng = np.random.default_rng(0)
    base = {seed: 1 + 0.1 * rng.random(400) for seed in (1, 2, 3, 4)}
    errors = {"softmax": base, "worse": {s: e + 0.5 + 0.01 * rng.random() for s, e in base.items()},
              "same": {s: e + 1e-4 * rng.standard_normal(400) for s, e in base.items() if s != 4},
              "rule": {None: np.full(400, 2.0)}, "one seed": {1: base[1]},
              "other seeds": {9: base[1]}}
    table = against(errors, "softmax", 20).set_index("variant")
    assert list(table.index) == ["worse", "same", "rule", "one seed"]
    assert list(table.seeds) == [4, 3, 4, 1]
    assert list(table.verdict) == ["worse", "equivalent", "worse", TOO_FEW]
    one = difference(np.stack(list(errors["worse"].values())), np.stack(list(base.values())), 20)
    worse, mse = table.loc["worse"], table.reference_mse["worse"]
    assert [worse.low * mse, worse.low_here * mse, worse.se_weeks * mse, worse.excluded * mse] == \
        pytest.approx([one.interval()[0], one.seeds_alone.interval()[0], one.windows,
                       one.provable()])
    alone = against({k: errors[k] for k in ("softmax", "worse")}, "softmax", 20).iloc[0]
    assert worse.p > alone.p == pytest.approx(one.p_different())
    assert table.p_equal["same"] < 0.05 < worse.p_equal
    assert alone.p_not_worse == pytest.approx(one.p_not_worse(0.01 * mse))
    assert against({"softmax": base}, "softmax", 20).empty


def test_a_family_pools_only_where_all_have_the_same_seeds():
    rng = np.random.default_rng(0)
    errors = {name: {seed: 1 + 0.01 * rng.random() + 0.1 * rng.random(400) for seed in (1, 2, 3)}
              for name in "abc"}
    own, pooled = (against(errors, "a", 20, pool) for pool in (False, True))
    assert pooled.se_seeds.nunique() == 1 and own.se_seeds.nunique() == 2
    assert own.change.to_numpy() == pytest.approx(pooled.change.to_numpy())
    mse = np.array([[e.mean() for e in of.values()] for of in errors.values()])  # [variant, seed]
    rest = mse - mse.mean(0) - mse.mean(1, keepdims=True) + mse.mean()
    error = np.sqrt(2 / 3 * (rest**2).sum() / 4)
    assert pooled.se_seeds[0] * mse[0].mean() == pytest.approx(error)
    here = (pooled.high_here - pooled.change)[0] * mse[0].mean()
    assert here == pytest.approx(stats.t.ppf(0.975, 4) * error)
    errors["b"].pop(3)
    assert against(errors, "a", 20, True).se_seeds.equals(against(errors, "a", 20).se_seeds)

"""Every statistic by hand, and by simulation: what it promises must come out near nominal."""

import numpy as np
import pytest
from scipy import stats

from tsattn.statistics import (
    FEW_BLOCKS,
    MIN_SEEDS,
    TOO_FEW,
    Difference,
    block_error,
    block_length,
    compare,
    difference,
    equivalence,
    interval,
    pooled_seeds,
    random_effects,
    verdict,
)

W, HORIZON, BLOCK = 2785, 96, block_length(336, 96, 2785)  # the test windows of ETTh1 at 336 -> 96
SD = np.sqrt(HORIZON / W)  # of the mean of ``moving(W)``


def moving(rng, *shape, horizon=HORIZON):
    """Errors of overlapping windows [*shape]: moving sums of ``horizon`` steps, of variance 1."""
    steps = rng.standard_normal((*shape[:-1], shape[-1] + horizon))
    sums = steps.cumsum(-1)
    return (sums[..., horizon:] - sums[..., :-horizon]) / np.sqrt(horizon)


def simulated(seeds, mean=0.0, n=700, between=1.0, common=1.0, own=0.3):
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


def test_what_too_few_values_say_is_not_a_number_or_an_error():
    assert interval([1.0])[0] == 1 and np.isnan(interval([1.0])[1:]).all()
    assert np.isnan(interval([])).all() and np.isnan(equivalence([0.0], 0.1))
    for call, words in (
            (lambda: block_error(np.ones(50), 50), "block=50: .* number of windows, 50"),
            (lambda: pooled_seeds(np.ones((1, 3))), "1 variants and 3 seeds: pooling needs at"),
            (lambda: random_effects([0.1, 0.2], [0.1, 0.1]), "2 series: a spread between them")):
        with pytest.raises(ValueError, match=words):
            call()


def test_blocks_of_one_window_give_the_ordinary_standard_error():
    x = np.random.default_rng(0).standard_normal(50)
    assert block_error(x, 1) == pytest.approx(stats.sem(x))


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("parts",
                         [dict(), dict(between=0.0, own=0.0), dict(between=3.0), dict(between=0.3)])
def test_the_interval_covers_near_its_level(seeds, parts):
    assert 0.92 <= covered(seeds, **parts) <= 0.985


def test_two_seeds_are_too_few_for_a_verdict():
    """Where seeds differ much, the interval of two falls short, that of ``MIN_SEEDS`` does not."""
    assert covered(2, between=3.0) < 0.93 < covered(MIN_SEEDS, between=3.0)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_equivalence_test_errs_at_its_level_and_has_power(seeds):
    margin = 8 * SD
    assert 0.03 <= found(lambda d: d.p_equivalent(margin), seeds, mean=margin) <= 0.075
    assert found(lambda d: d.p_equivalent(margin), seeds, n=300) > 0.85
    assert not found(lambda d: d.p_equivalent(SD), seeds, n=100), "too little to say equal"


def test_the_test_of_a_difference_errs_at_its_level_and_has_power():
    assert 0.02 <= found(Difference.p_different) <= 0.08
    assert found(Difference.p_different, mean=8 * SD, n=300) > 0.85


def test_non_inferiority_errs_at_its_level_at_the_margin_and_finds_what_is_better():
    margin, d = 4 * SD, next(simulated(3))
    assert 0.02 <= found(lambda d: d.p_not_worse(margin), mean=margin) <= 0.075
    assert found(lambda d: d.p_not_worse(margin), mean=-margin, n=300) > 0.85
    assert d.p_not_worse(d.provable()) == pytest.approx(0.05), "the smallest margin that is proved"


def test_a_detectable_difference_is_found_in_about_80_percent():
    """Its size is taken from many estimates, as one alone scatters."""
    size = np.mean([d.detectable() for d in simulated(3, n=300)])
    assert found(Difference.p_different, mean=size) == pytest.approx(0.8, abs=0.06)


def test_seeds_alone_leave_out_the_weeks():
    d = next(simulated(3))
    assert d.seeds_alone.error == d.seeds < d.error
    half = stats.t.ppf(0.975, 2) * d.seeds
    assert d.seeds_alone.interval() == pytest.approx((d.mean - half, d.mean + half))


def test_without_a_spread_between_weeks_the_interval_is_the_paired_t_interval():
    a, b = np.array([[0.4], [0.5], [0.45]]) * np.ones((3, 20)), np.full((3, 20), 0.4)
    d = difference(a, b, 5)
    assert (d.mean, *d.interval()) == pytest.approx(interval(a[:, 0] - b[:, 0]))
    assert d.df == pytest.approx(2)


def test_one_seed_gives_the_interval_of_the_weeks_alone():
    x = np.random.default_rng(0).random((1, 50))
    d = difference(x, np.zeros((1, 50)), 5)
    half = stats.t.ppf(0.975, 10) * block_error(x[0], 5)  # ten separate blocks
    assert d.interval() == pytest.approx((x.mean() - half, x.mean() + half))
    assert 0 < d.p_equivalent(1.0) < 0.05 and np.isnan(d.seeds_alone.interval()).all()


def test_a_rule_that_no_seed_changes_can_be_compared_with():
    rng = np.random.default_rng(0)
    rule, model = rng.random(50), {seed: rng.random(50) for seed in (1, 2)}
    table = compare({"rule": {None: rule}, "model": model, "other": {None: rule + 1}}, "rule", 5)
    by = table.set_index("model")
    d = difference(np.array(list(model.values())), np.array([rule, rule]), 5)
    assert (by.difference["model"], by.low["model"]) == pytest.approx((d.mean, d.interval()[0]))
    assert by.seeds["model"] == 2 and by.difference["other"] == pytest.approx(1)


@pytest.mark.parametrize("seeds, mean, p_different, p_equal, word", [
    (3, -0.1, 0.01, 0.5, "better"), (3, 0.1, 0.01, 0.5, "worse"), (3, 0.1, 0.3, 0.5, "undecided"),
    (3, 0.1, 0.3, 0.01, "equivalent"), (3, 0.1, 0.01, 0.01, "equivalent"),
    (3, 0.1, np.nan, np.nan, "undecided"), (2, -0.1, 0.01, 0.5, TOO_FEW)])
def test_verdict_in_words(seeds, mean, p_different, p_equal, word):
    assert verdict(seeds, mean, p_different, p_equal) == word


def test_comparison_pairs_seeds_and_corrects_within_the_family():
    rng = np.random.default_rng(0)
    base = {seed: 1 + 0.1 * rng.random(400) for seed in (1, 2, 3, 4)}
    errors = {"softmax": base, "worse": {s: e + 0.5 + 0.01 * rng.random() for s, e in base.items()},
              "same": {s: e + 1e-4 * rng.standard_normal(400) for s, e in base.items() if s != 4},
              "rule": {None: np.full(400, 2.0)}, "one seed": {1: base[1]},
              "other seeds": {9: base[1]}}
    table = compare(errors, "softmax", 20).set_index("model")
    assert list(table.index) == ["worse", "same", "rule", "one seed"]
    assert list(table.seeds) == [4, 3, 4, 1]
    assert list(table.verdict) == ["worse", "equivalent", "worse", TOO_FEW]
    one = difference(np.stack(list(errors["worse"].values())), np.stack(list(base.values())), 20)
    assert table.low["worse"] == pytest.approx(one.interval()[0])
    assert table.se_windows["worse"] == one.windows
    alone = compare({k: errors[k] for k in ("softmax", "worse")}, "softmax", 20)
    assert table.p_different["worse"] > alone.p_different[0]
    assert table.p_equal["same"] < 0.05 < table.p_equal["worse"]
    margin = 0.01 * table.reference["worse"]
    assert alone.p_not_worse[0] == pytest.approx(one.p_not_worse(margin))
    assert compare({"softmax": base}, "softmax", 20).empty


# -- pooled seeds


def test_pooled_seeds_are_the_residuals_of_seed_plus_variant():
    # The third row is off by (-1/3, 2/3, -1/3) beside the others.
    x = np.array([[1.0, 2.0, 4.0], [2.0, 3.0, 5.0], [0.0, 2.0, 3.0]])
    fitted = x.mean(0) + x.mean(1, keepdims=True) - x.mean()
    error, df = pooled_seeds(x)
    assert df == 4 and error == pytest.approx(np.sqrt(2 / 3 * ((x - fitted) ** 2).sum() / 4))
    moved = x + np.array([[5.0], [7.0], [-3.0]])
    assert pooled_seeds(moved)[0] == pytest.approx(error), "means do not count"


def test_pooled_seeds_estimate_the_spread_and_keep_the_coverage():
    rng, held, variances = np.random.default_rng(0), [], []
    for _ in range(3000):
        x = rng.standard_normal((1, 3)) + 0.7 * rng.standard_normal((5, 3))
        error, df = pooled_seeds(x)
        variances.append(error**2)
        held.append(abs((x[1] - x[0]).mean()) < stats.t.ppf(0.975, df) * error)
    assert np.mean(variances) == pytest.approx(2 / 3 * 0.7**2, rel=0.03)
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_a_family_pools_only_where_all_have_the_same_seeds():
    rng = np.random.default_rng(0)
    errors = {name: {seed: 1 + 0.01 * rng.random() + 0.1 * rng.random(400) for seed in (1, 2, 3)}
              for name in "abc"}
    own, pooled = (compare(errors, "a", 20, pool) for pool in (False, True))
    assert pooled.se_seeds.nunique() == 1 and own.se_seeds.nunique() == 2
    assert list(own.difference) == list(pooled.difference)
    errors["b"].pop(3)
    assert compare(errors, "a", 20, True).se_seeds.equals(compare(errors, "a", 20).se_seeds)


# -- how many separate blocks


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
    assert few < FEW_BLOCKS < many and 0.84 <= short <= 0.92 and 0.93 <= sound <= 0.97


# -- several series


def test_random_effects_of_equal_series_are_their_weighted_mean():
    r = random_effects([0.1, 0.1, 0.1], [0.05, 0.02, 0.1])
    w = 1 / np.array([0.05, 0.02, 0.1]) ** 2  # agreement by chance makes no interval narrower
    half = stats.t.ppf(0.975, 2) / np.sqrt(w.sum())
    assert (r.mean, r.low, r.high) == pytest.approx((0.1, 0.1 - half, 0.1 + half))
    assert r.new_high == pytest.approx(r.high)


# Where series differ little, a new one is missed more often.
@pytest.mark.parametrize("tau, least", [(0.5, 0.83), (2.0, 0.92)])
def test_random_effects_cover_the_mean_and_a_new_series(tau, least):
    rng, held, new, spread = np.random.default_rng(1), [], [], []
    for _ in range(1500):
        errors = rng.uniform(0.5, 1.5, 8)
        effects = 1 + tau * rng.standard_normal(8) + errors * rng.standard_normal(8)
        r = random_effects(effects, errors)
        held.append(r.low <= 1 <= r.high)
        new.append(r.new_low <= 1 + tau * rng.standard_normal() <= r.new_high)
        spread.append(((r.new_high - r.mean) / stats.t.ppf(0.975, 7)) ** 2 - r.error**2)
    assert 0.93 <= np.mean(held) <= 0.985  # not too narrow; wide where series happen to agree
    assert least <= np.mean(new) <= 0.98
    if tau == 2.0:
        assert np.mean(spread) == pytest.approx(tau**2, rel=0.1)

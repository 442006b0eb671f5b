"""R1 of the second registration on simulated errors, for which the truth is known."""

import numpy as np
import pandas as pd
import pytest
from conftest import moving

from tsattn.ledger import RESULTS
from tsattn.registered_rates import TESTS, best_rates, decide, judged
from tsattn.runs import ABOVE, RATES, rate_of_each_arm

REGISTERED = (3e-5, 5e-5, 1e-4, 2e-4)  # the four rates before the amendment
ARMS, W, BLOCK, N = ("softmax", "zero", "mean"), 2785 + 2925, 432, 80


def simulated(rng, loss: float, *, hours=96, seeds=5, seed_sd=0.004, week_sd=0.02):
    """Errors [S, W, 7] at the rates that validation picks, arm by arm: at every rate zero is worse
    than softmax by ``loss`` in HUFL and MUFL alone, so that it is 2/7 of it on average."""
    at = {}
    for arm in ARMS:
        own = rng.standard_normal((len(REGISTERED), seeds)) * seed_sd
        val = own + rng.standard_normal((len(REGISTERED), seeds)) * seed_sd
        rate = REGISTERED.index(best_rates({arm: dict(zip(REGISTERED, val, strict=True))})[arm])
        weeks = week_sd * moving(rng, W, horizon=hours)
        channels = np.zeros(7)
        channels[[0, 2]] = loss if arm == "zero" else 0.0
        at[arm] = 1 + own[rate][:, None, None] + weeks[:, None] + channels
    return at


def shown(loss: float, **how) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.mean([decide(simulated(rng, loss, **how), BLOCK).shown for _ in range(N)], axis=0)


@pytest.mark.parametrize("hours, stated", [(96, 0.04), (168, 0.06), (432, 0.10)])
def test_errors_of_the_first_kind_are_as_frequent_as_the_file_says(hours, stated):
    found = shown(0.0, hours=hours)[0]
    assert abs(found - stated) < 2.5 * (stated * (1 - stated) / N) ** 0.5


def test_a_loss_of_2_percent_is_found_and_so_are_its_two_channels():
    primary, two, mean = shown(0.07)
    assert primary > 0.9 and two > 0.9 and mean < 0.1


def test_one_row_per_test_relative_to_softmax_and_holm_leaves_the_first_alone():
    errors = simulated(np.random.default_rng(1), 0.1)
    table = decide({arm: 2 * e for arm, e in errors.items()}, BLOCK).set_index("test")
    assert list(table.index) == list(TESTS)
    found = table.difference["HUFL and MUFL"] - table.difference["primary"]
    assert found == pytest.approx(0.1 * 5 / 7, abs=1e-3)
    assert table.p["primary"] == table.p_alone["primary"]
    assert (table.p[1:] >= table.p_alone[1:]).all() and (table.p[1:] > table.p_alone[1:]).any()
    assert ((table.low < table.difference) & (table.difference < table.high)).all()


class Recorded:
    """All of R1's runs; at 1e-4, the best rate, some seeds without errors by channel, as once."""

    def __init__(self, *without):
        self.without = without

    def complete(self, runs):
        return runs

    def runs(self, runs):
        return pd.DataFrame({"val_mse": [abs(s.learning_rate - 1e-4) for s in runs]})

    def channel_errors(self, s):
        e = np.random.default_rng([s.seed, len(s.attention)]).random((900, 7))
        return e.mean(1) if s.learning_rate == 1e-4 and s.seed in self.without else e


def test_channels_are_judged_on_the_seeds_that_have_them_and_the_others_on_all():
    whole, four = judged(Recorded()), judged(Recorded(2025))
    assert whole.rate.tolist() == [1e-4] * 3
    assert whole.seeds.tolist() == [5, 5, 5] and four.seeds.tolist() == [5, 4, 5]
    alike = ["difference", "low", "high", "p_alone", "p_not_worse"]
    np.testing.assert_allclose(four.loc[[0, 2], alike], whole.loc[[0, 2], alike], 1e-9)
    errors = {arm: np.stack([Recorded().channel_errors(s) for s in rate_of_each_arm() if (
        s.attention, s.learning_rate, s.split) == (arm, 1e-4, "standard") and s.seed < 2025])
        for arm in ("softmax", "zero")}
    zero, softmax = (errors[a][..., [0, 2]].mean() for a in ("zero", "softmax"))
    assert four.difference[1] == pytest.approx(zero / softmax - 1, rel=1e-9)
    assert judged(Recorded(2023, 2024, 2025)).empty


def test_the_rate_is_that_of_the_lowest_mean_validation_error_of_each_arm():
    val = {"softmax": {1e-4: np.array([3.0, 1.0]), 5e-5: np.array([2.5, 2.5])},
           "zero": {1e-4: np.array([3.0, 3.0]), 5e-5: np.array([1.0, 4.0])}}
    assert best_rates(val) == {"softmax": 1e-4, "zero": 5e-5}


def test_a_rate_with_fewer_seeds_is_passed_over_or_needs_the_others():
    val = {"zero": {5e-5: np.array([1.02]), 1e-4: np.array([1.0, 3.0]), 2e-4: np.array([1.5, 2.0])}}
    assert best_rates(val) == {"zero": 2e-4}
    val["zero"][5e-5] = np.array([1.009])
    with pytest.raises(ValueError, match="zero needs all 2 seeds at 5e-05: the 1 trained have "
                                         "1.0090 on validation, the lowest is 1.0000"):
        best_rates(val)


def test_the_runs_are_those_of_the_file():
    runs, text = rate_of_each_arm(), (RESULTS / "PREREGISTRATION-2.md").read_text(encoding="utf-8")
    assert len({s.run_id for s in runs}) == 3 * (5 + 5 + 1) * 2
    assert all(f"{rate:g}" in text for rate in RATES | ABOVE)
    assert all(name in text for name in TESTS)
    assert {(s.dataset, s.seq_len, s.pred_len, s.patience, s.epochs) for s in runs} == {
        ("ETTh1", 336, 96, 10, 100)}

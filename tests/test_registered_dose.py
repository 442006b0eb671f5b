"""The registered analysis of the doses on simulated errors, whose truth is known, and its file."""

from itertools import product

import numpy as np
import pytest
from conftest import moving

from tsattn.data.dose import ERROR
from tsattn.ledger import RESULTS, Ledger
from tsattn.registered_dose import PRIMARY, WITHOUT, judged, savings, worth
from tsattn.runs import attentions, doses
from tsattn.statistics import holm

# The test windows and their dependence, four hours in one, which leaves the number of blocks.
W, BLOCK, SEEDS, N = 2785 // 4, 432 // 4, 3, 120
DOSES = (0, 1, 3, 10, 30)


def simulated(rng, share: dict, *, hours=96, seed_sd=0.004, week_sd=0.04, uneven=1):
    """Errors [S, W] by attention and dose: of each dose softmax saves ``share``, the others none.

    Seeds and weeks vary as on ETTh1 at 1e-4, as shares of ERROR. ``uneven``: so much more do the
    seeds of softmax vary."""
    def weeks():
        return week_sd * moving(rng, W, horizon=hours // 4)

    common, found = rng.standard_normal(SEEDS) * seed_sd, {}
    for attention in ("softmax", *WITHOUT):
        series = weeks()  # what this attention does with the series, whatever the dose
        for dose in DOSES:
            softmax = attention == "softmax"
            seeds = common + rng.standard_normal(SEEDS) * seed_sd * (uneven if softmax else 1)
            left = dose / 100 * (1 - share.get(dose, 0) * softmax)
            found[attention, dose] = ERROR * (1 + left + seeds[:, None] + series + weeks() / 4)
    return found


def found(share, **how):
    """``N`` tables, and how often the primary test, and any of the others, finds that more than 1 %
    is saved."""
    rng = np.random.default_rng(0)
    tables = [savings(simulated(rng, share, **how), BLOCK) for _ in range(N)]
    return tables, *(np.mean([t[t.primary == which].confirmed.any() for t in tables])
                     for which in (True, False))


@pytest.mark.parametrize("how, primary, others", [
    (dict(hours=96), 0.05, 0.05), (dict(hours=168), 0.05, 0.05), (dict(hours=432), 0.07, 0.10),
    (dict(uneven=2), 0.07, 0.07)])
def test_errors_of_the_first_kind_are_as_frequent_as_the_file_says(how, primary, others):
    rates = found({d: 1 / d for d in DOSES if d}, **how)[1:]  # just 1 % is saved of each
    for stated, rate in zip((primary, others), rates, strict=True):
        assert abs(rate - stated) < 2.5 * (stated * (1 - stated) / N) ** 0.5


def test_a_saving_is_found_and_the_dose_worth_one_per_cent_lies_in_its_interval():
    tables, primary, _ = found(dict.fromkeys(DOSES, 0.3))
    rows = [worth(t) for t in tables]
    assert primary > 0.85 and np.median([r.dose for r in rows]) == pytest.approx(1 / 0.3, rel=0.15)
    assert np.mean([r.low <= 1 / 0.3 <= r.high for r in rows]) > 0.92


def test_savings_and_their_worth_by_hand():
    rng = np.random.default_rng(1)
    small = dict(seed_sd=1e-6, week_sd=1e-6)
    table = savings(simulated(rng, {1: 0.0, 3: 0.5, 10: 0.8, 30: 1.0}, **small), BLOCK)
    assert table[["without", "dose"]].apply(tuple, axis=1).tolist() == list(
        product(WITHOUT, DOSES[1:]))
    assert table.saved.tolist() == pytest.approx([0, 1.5, 8, 30] * 2, abs=0.01)
    assert table.share.tolist() == pytest.approx([0, 0.5, 0.8, 1] * 2, abs=0.01)
    assert table.loc[table.primary, ["without", "dose"]].to_numpy().tolist() == [list(PRIMARY)]
    assert worth(table).dose == pytest.approx(1 + 2 * 1 / 1.5, abs=0.02)  # between 1 % and 3 %
    nothing = savings(simulated(rng, {}, **small), BLOCK)
    assert np.isinf(worth(nothing).dose) and not nothing.confirmed.any()
    # Holm over the others; nothing can be worth more than 1 % at a dose of 1 %.
    noisy = savings(simulated(rng, dict.fromkeys(DOSES, 0.3)), BLOCK)
    assert noisy.p_alone[noisy.dose == 1].isna().all() and noisy.p_alone.notna().sum() == 6
    others = ~noisy.primary & noisy.p.notna()
    np.testing.assert_allclose(noisy.p[others], holm(noisy.p_alone[others]))
    assert noisy.p[noisy.primary].tolist() == noisy.p_alone[noisy.primary].tolist()


def test_the_runs_are_those_of_the_file_and_nothing_is_judged_without_all_of_them(tmp_path):
    runs = [s for part in doses().values() for s in part]
    assert len({s.run_id for s in runs}) == len(runs) == 45
    recorded = attentions(learning_rate=1e-4)  # of ETTh1 as it is: only the data set differs
    assert {s.but(dataset="ETTh1") for s in runs} == {s for s in recorded
                                                       if s.attention in ("softmax", *WITHOUT)}
    assert judged(Ledger(tmp_path)).empty
    text = (RESULTS / "PREREGISTRATION-2.md").read_text(encoding="utf-8")
    assert f"{PRIMARY[1]} % of the error" in text and f"{ERROR:g}" in text
    for words in ("learning rate 1e-4", "patience 10", "seeds 2021 to 2023"):
        assert words in text

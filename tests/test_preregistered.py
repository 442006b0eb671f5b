"""The pre-registered analysis on simulated errors, for which the truth is known, and the file that states it."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from tsattn.ledger import RESULTS, ROOT, Ledger
from tsattn.preregistered import (
    HYPOTHESES, REPLACEMENTS, Hypothesis, contrast, decide, exchanged, name_of,
)
from tsattn.runs import EXCHANGES, new_months

W, BLOCK, MODELS = 2925, 432, ("softmax", *REPLACEMENTS, "attention only")
CELL = "PatchTST ETTh1-96"


def simulated(rng, truth: dict, *, hours=96, seeds=5, seed_sd=0.004, week_sd=0.02, uneven=False):
    """Errors [S, W] by model: mean 1 + truth, a seed's own part, and weeks that depend over ``hours``."""
    raw = rng.standard_normal((len(MODELS), W + hours)).cumsum(1)
    weeks = (raw[:, hours:] - raw[:, :-hours]) / hours**0.5 * week_sd
    spread = seed_sd * (np.linspace(0.3, 1.5, len(MODELS)) if uneven else np.ones(len(MODELS)))
    own = rng.standard_normal((len(MODELS), seeds)) * spread[:, None] + rng.standard_normal(seeds) * seed_sd
    return {m: 1 + truth.get(m, 0.0) + own[i][:, None] + weeks[i] for i, m in enumerate(MODELS)}


N = 400


def rate(which: Hypothesis, truth: dict, **how) -> float:
    """How often any comparison of ``which`` is confirmed where ``truth`` is simulated."""
    rng = np.random.default_rng(0)
    return np.mean([decide({CELL: simulated(rng, truth, **how)}, BLOCK, [which]).confirmed.any() for _ in range(N)])


@pytest.mark.parametrize("hours, stated", [(24, 0.05), (96, 0.05), (168, 0.07), (432, 0.11)])
@pytest.mark.parametrize("which, worse", [(HYPOTHESES[0], 0.01), (HYPOTHESES[1], 0.0)])
def test_errors_of_the_first_kind_are_as_frequent_as_the_file_says(hours, stated, which, worse):
    found = rate(which, dict.fromkeys(REPLACEMENTS, worse), hours=hours)
    assert abs(found - stated) < 2.5 * (stated * (1 - stated) / N) ** 0.5


def test_a_larger_spread_between_the_seeds_of_some_models_does_not_matter_much():
    assert rate(HYPOTHESES[0], dict.fromkeys(REPLACEMENTS, 0.01), uneven=True) < 0.08


def test_equal_models_are_found_not_worse_where_the_weeks_say_little_against_it():
    rng = np.random.default_rng(1)
    found = [decide({CELL: simulated(rng, {}, seed_sd=0.002, week_sd=0.004)}, BLOCK, HYPOTHESES[:1]).confirmed.all()
             for _ in range(50)]
    assert np.mean(found) > 0.9


def test_a_difference_of_5_percent_is_found():
    assert rate(HYPOTHESES[1], dict.fromkeys(REPLACEMENTS, -0.05)) > 0.9


def test_the_contrast_by_hand():
    rng = np.random.default_rng(3)
    errors = {m: rng.random((3, 50)) for m in ("softmax", "zero", "mean")}
    d = contrast(errors, {"zero": 1.0, "softmax": -1.0}, block=5)
    means = np.array([e.mean(1) for e in errors.values()])
    fit = means.mean(0) + means.mean(1)[:, None] - means.mean()
    s2 = ((means - fit) ** 2).sum() / 4
    assert d.mean == pytest.approx(errors["zero"].mean() - errors["softmax"].mean())
    assert d.seeds == pytest.approx((s2 * 2 / 3) ** 0.5) and d.error > d.seeds


def test_relative_numbers_and_holm_within_the_family():
    rng = np.random.default_rng(4)
    errors = {CELL: {m: 2 * e for m, e in simulated(rng, {"zero": -0.1}).items()}}
    table = decide(errors, BLOCK)
    assert set(table.family) == {"P1", "P1 contrast", "P2"} and len(table) == 4 + 1 + 2
    zero = table[(table.family == "P1") & (table.model == "zero")].iloc[0]
    assert zero.difference == pytest.approx(-0.1, abs=0.02) and zero.low < zero.difference < zero.high
    assert (table.p >= table.p_alone).all()
    assert decide({}, BLOCK).empty


def test_exchanges_by_hand():
    table = pd.DataFrame([dict(intervention=name, undisturbed=1.0, test_mse=1 + v)
                          for name in EXCHANGES for v in (0.001, 0.002, 0.003)])
    found = exchanged(table)
    assert found.difference.tolist() == pytest.approx([0.002, 0.002]) and found.confirmed.all()
    assert not exchanged(table.assign(test_mse=table.test_mse + 0.02)).confirmed.any()
    assert exchanged(table[:3]).empty


def test_the_cells_have_every_model_of_their_hypotheses_and_nothing_but_the_split_is_new():
    named = new_months()
    for h in HYPOTHESES:
        assert {"softmax", *h.models} <= {name_of(s) for s in named[h.cell]}
    assert len(named[CELL]) == 30 and all(s.split == "tail" for runs in named.values() for s in runs)
    recorded = set(Ledger().all_settings())
    usual = [s.but(split="standard").run_id in recorded for s in named[CELL]]
    assert sum(usual) == 28  # two seeds of attention only are new


def test_the_file_states_every_hypothesis_of_the_analysis():
    text = (RESULTS / "PREREGISTRATION.md").read_text(encoding="utf-8")
    for h in HYPOTHESES:
        assert f"| {h.family} | {h.cell} | {', '.join(h.models)} | {h.kind} |" in text, h
    assert all(name in text for name in EXCHANGES)


def git(*words) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()


def test_the_hypotheses_are_older_than_the_first_row_of_the_new_months():
    """In the history of the repository, if it is all here."""
    if git("rev-parse", "--is-shallow-repository") != "false":
        pytest.skip("no history here")
    stated = git("log", "--diff-filter=A", "--format=%H", "--", "results/PREREGISTRATION.md").split()
    rows = git("log", "--format=%H", "-S", ",tail,", "--", "results/runs.csv").split()
    assert len(stated) == 1, "the file was added once and never replaced"
    if rows:
        assert git("merge-base", stated[0], rows[-1]) == stated[0] != rows[-1]


def test_a_hypothesis_whose_models_are_missing_is_left_out():
    h = Hypothesis("X", CELL, ("nothing",), "better")
    assert decide({CELL: simulated(np.random.default_rng(5), {})}, BLOCK, [h]).empty

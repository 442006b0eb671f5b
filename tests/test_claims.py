"""Every claim by its rule, on made-up results with a known answer; three of them again from the
files, in plain pandas.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsattn import claims, runs, text
from tsattn.claims import CLAIMS, rules
from tsattn.claims.facts import NUMBERS, Facts
from tsattn.claims.rules import CANNOT_TELL, MOSTLY, NO, NOT_RUN, PARTLY, YES
from tsattn.compare import disturbed, versus
from tsattn.ledger import RESULTS, Ledger
from tsattn.numbers import NotRun, UnknownName
from tsattn.settings import ATTENTIONS
from tsattn.statistics import interval
from tsattn.training import Result

RUNS = pd.read_csv(RESULTS / "runs.csv").query(
    "status == 'complete' and (split != split or split == 'standard')"
)


@pytest.fixture(scope="module")
def facts():
    return Facts(Ledger())


def record(ledger, settings, mse, val=1.0, best_epoch=1):
    noise = np.random.default_rng(
        [settings.seed, len(settings.attention), int(1e4 * settings.learning_rate)]
    )
    errors = np.float32(mse) + 0.01 * noise.standard_normal(1000).astype(np.float32)
    ledger.record_run(
        Result(
            settings,
            best_epoch=best_epoch,
            val_mse=val,
            test_mse=errors.mean(dtype=float),
            test_mae=0.4,
            test_errors=errors,
            how={"device": "cpu", "threads": 1},
        )
    )


def test_each_claim_is_stated_once_in_both_languages():
    assert len(claims.CLAIMS) == len(claims._ALL) and len({c.en for c in CLAIMS.values()}) == len(
        CLAIMS
    )
    assert all(
        c.en and c.ko and all(c.shown) and c.rule and c.where and c.chapter[:2].isdigit()
        for c in CLAIMS.values()
    )
    assert sum(c.scorecard for c in CLAIMS.values()) <= 11, "a slide has room for eleven"


def test_what_has_not_been_run_says_so(tmp_path):
    outcomes = claims.judge(Ledger(tmp_path))
    assert list(outcomes) == list(CLAIMS)
    assert {o.verdict for o in outcomes.values()} == {NOT_RUN}
    assert text.scorecard(claims.scorecard(Ledger(tmp_path))).count(NOT_RUN) == 11


@pytest.mark.parametrize(
    "words, verdict",
    [
        ([YES, YES], YES),
        ([NO, NO], NO),
        ([CANNOT_TELL] * 3, CANNOT_TELL),
        ([YES, YES, CANNOT_TELL], MOSTLY),
        ([YES, CANNOT_TELL], PARTLY),
        ([YES, YES, NO], PARTLY),
        ([NO, CANNOT_TELL], NO),
        ([], NOT_RUN),
    ],
)
def test_several_comparisons_make_one_verdict(words, verdict):
    assert rules.combine(words) == verdict


def without_attention(ledger, seeds=runs.FEW_SEEDS):
    """The replacements against softmax at 1e-4."""
    asked = runs.attentions(seeds=seeds, learning_rate=runs.LOW_RATE)
    named = {a: [s for s in asked if s.attention == a] for a in ATTENTIONS}
    return versus(ledger, named.pop("softmax"), named, pooled=True)


@pytest.mark.parametrize("error, verdict", [(0.3715, YES), (0.36, YES), (0.39, NO)])
def test_as_good_is_non_inferiority(tmp_path, error, verdict):
    ledger = Ledger(tmp_path)
    for s in runs.attentions(learning_rate=runs.LOW_RATE):
        record(ledger, s, 0.371 if s.attention == "softmax" else error)
    table = without_attention(ledger)
    assert rules.combine(rules.not_worse(table)) == verdict and (table.seeds == 3).all()
    assert ((table.excluded < 0.01) == (verdict == YES)).all(), "the loss that is excluded"
    assert table.change.to_numpy() == pytest.approx([error / 0.371 - 1] * 4, abs=2e-3)
    better = {0.3715: NO, 0.36: YES, 0.39: NO}[error]  # equal in the margin is not better
    assert rules.combine(rules.better(table)) == better


def test_as_good_cannot_be_told_where_seeds_scatter_by_more_than_the_margin(tmp_path):
    ledger = Ledger(tmp_path)
    for i, s in enumerate(runs.attentions(learning_rate=runs.LOW_RATE)):
        record(ledger, s, 0.4 + 0.02 * np.random.default_rng(i).standard_normal())
    table = without_attention(ledger)
    assert rules.combine(rules.not_worse(table)) == CANNOT_TELL
    found = rules.compared(table, rules.not_worse, "zero")
    assert found.verdict == CANNOT_TELL and found.detectable > 0.01
    outcome = rules.Outcome(CLAIMS["patchtst-without"], found)
    least = text.figure(found.detectable, "share")
    assert text.verdict(outcome) == f"cannot tell (could have seen ≥ {least})"
    assert f"최소 차이 {least}" in text.verdict(outcome, "ko")


def test_one_or_two_seeds_get_no_verdict(tmp_path):
    ledger = Ledger(tmp_path)
    for s in runs.attentions(seeds=(2021, 2022), learning_rate=runs.LOW_RATE):
        record(ledger, s, 0.3 if s.attention == "softmax" else 0.6)
    table = without_attention(ledger)
    for rule in (rules.not_worse, rules.better):
        assert set(rule(table)) == set(rule(table, here=True)) == {CANNOT_TELL}


@pytest.mark.parametrize("changes, verdict", [
    ([0.001, -0.001, 0.0], YES), ([0.03, 0.031, 0.029], NO), ([0.05, -0.05, 0.0], CANNOT_TELL),
    ([0.0, 0.0001], CANNOT_TELL), ([0.03], CANNOT_TELL)])
def test_unchanged_is_equivalence_and_needs_three_models(changes, verdict):
    table = pd.DataFrame([dict(run_id=f"r{i}", intervention=kind, change=v + 0.5 * (kind == "b"))
                          for i, v in enumerate(changes) for kind in "ab"])
    row = disturbed(table).set_index("variant").loc["a"]
    assert rules.unchanged(row) == verdict
    assert rules.increased(row) == (YES if verdict == NO else CANNOT_TELL)


# -- again from the files


def mse(**settings):
    """MSE [attention, seed] of the recorded runs with these columns, all else as in PatchTST on
    ETTh1-96.
    """
    usual = dict(
        model="PatchTST",
        dataset="ETTh1",
        seq_len=336,
        pred_len=96,
        patch_len=16,
        stride=16,
        n_layers=3,
        n_heads=16,
        norm="batch",
        norm_position="post",
        head="flatten",
        profile="paper",
        d_ff=256,
        revin=True,
        max_windows=0,
        positional_encoding="learned",
        residual_attention=True,
        pad_end=True,
    )
    rows = RUNS[(RUNS[list(usual | settings)] == pd.Series(usual | settings)).all(axis=1)]
    rows = rows[
        rows.embedding.fillna("linear").eq("linear")
        & rows.feed_forward.fillna(True).astype(str).ne("False")
    ]
    return rows.pivot(index="attention", columns="seed", values="test_mse")


def test_patchtst_without_attention_from_the_files(facts):
    table = mse(learning_rate=1e-4)
    assert table.shape == (5, 5)
    outcome = facts.outcomes["patchtst-without"].found
    assert outcome.number.value == pytest.approx(
        table.loc["zero"].mean() / table.loc["softmax"].mean() - 1, rel=1e-5
    )
    assert (outcome.verdict, outcome.split_verdict) == (CANNOT_TELL, NO)


def test_removal_from_the_files(facts):
    table = pd.read_csv(RESULTS / "interventions.csv")
    ids = RUNS.query(
        "dataset == 'ETTh1' and model == 'PatchTST' and attention == 'softmax' "
        "and learning_rate == 1e-4"
    )
    table = table[
        table.run_id.isin(ids.run_id) & (table.layers.eq("all") | table.intervention.eq("none"))
    ]
    of_run = table.groupby(["run_id", "intervention"]).test_mse.mean().unstack()
    of_run = of_run[of_run["W_pos = 0"].notna()]
    change = of_run["attention removed"] / of_run["none"] - 1
    number = facts.outcomes["trained-unused"].found.number
    low, high = stats.t.interval(0.95, len(change) - 1, change.mean(), stats.sem(change))
    assert (number.value, number.low, number.high) == pytest.approx((change.mean(), low, high))
    assert facts.outcomes["trained-unused"].verdict == NO
    assert facts.number("removed.mean")[0] == pytest.approx(
        (of_run["A = mean"] / of_run["none"] - 1).mean()
    )


def test_recall_and_events_from_the_files(facts):
    table = pd.read_csv(RESULTS / "toy_errors.csv")
    recall = {runs.toy("recall-4", seed=seed).run_id: seed for seed in runs.FEW_SEEDS}
    share = table[table.run_id.isin(recall) & (table.intervention == "none")]
    assert facts.outcomes["linear-embedding"].number.value == pytest.approx(
        (share.mse / share.zero_mse).mean()
    )
    assert facts.outcomes["linear-embedding"].verdict == NO
    events = {s.run_id for s in (runs.toy("state-machine", seed=seed) for seed in runs.FEW_SEEDS)}
    event = (
        table[table.run_id.isin(events)]
        .groupby(["run_id", "intervention"])
        .event_mse.mean()
        .unstack()
    )
    assert facts.outcomes["events-without"].number.value == pytest.approx(
        (event["attention removed"] / event["none"]).mean()
    )


@pytest.mark.parametrize("lift, almost_none, not_singled_out", [
    ([0.1, 0.12, 0.08], YES, YES), ([0.95, 1.0, 0.97], NO, YES), ([2.0, 2.1, 1.9], NO, NO),
    ([0.1, 1.9], CANNOT_TELL, CANNOT_TELL), ([0.97], CANNOT_TELL, CANNOT_TELL)])
def test_almost_no_weight_and_not_singled_out_are_two_claims(lift, almost_none, not_singled_out):
    assert rules.below(interval(lift), rules.ABOUT_ZERO) == almost_none
    assert rules.below(interval(lift), rules.SINGLED_OUT) == not_singled_out


def test_some_loss_is_said_beside_a_margin_that_cannot_be_told(facts):
    """The registered contrast says that there is a loss, its tests not that it reaches 1 %."""
    outcome = facts.outcomes["registered-without"]
    assert outcome.found.lost and outcome.verdict == CANNOT_TELL
    assert text.verdict(outcome) == "cannot tell at 1 %; some loss shown"
    assert text.sentence(outcome).startswith("Cannot tell at 1 %; some loss shown: mean error of")
    assert "손실은 확인됨" in text.verdict(outcome, "ko")
    assert not facts.outcomes["registered-etth2"].found.lost


def test_an_average_as_good_and_an_open_zero_are_two_claims_over_the_same_series(facts):
    average, zero = (facts.outcomes[n].found for n in ("other-series-average", "other-series"))
    assert average.verdict == YES and average.number.high < 0.01
    assert zero.verdict == CANNOT_TELL and zero.number.low < 0 < zero.number.high


# -- exploratory numbers, again from the files


def test_channels_standard_months_and_rate_from_the_files(facts):
    """Means of the window errors in plain NumPy; the intervals are those of ``preregistered``."""
    def errors(split, rate=1e-4, attentions=ATTENTIONS):
        asked = runs.attentions(seeds=runs.MORE_SEEDS, learning_rate=rate, split=split)
        return {a: np.mean([np.load(RESULTS / "window_errors" / f"{s.run_id}.npy", mmap_mode="r")
                            .astype(float).mean(0) for s in asked if s.attention == a], axis=0)
                for a in attentions}

    unseen, standard = errors("tail"), errors("standard")
    four = [a for a in ATTENTIONS if a != "softmax"]

    def loss(table, channels=slice(None)):
        each = {a: np.mean(np.atleast_1d(v)[channels]) for a, v in table.items()}
        return np.mean([each[a] for a in four]) / each["softmax"] - 1

    assert facts.number("channels.useful")[0] == pytest.approx(loss(unseen, [0, 2]), rel=1e-4)
    assert facts.number("channels.others")[0] == pytest.approx(
        loss(unseen, [1, 3, 4, 5, 6]), rel=1e-4)
    assert facts.number("standard-contrast")[0] == pytest.approx(loss(standard), rel=1e-4)
    both = ("softmax", "zero")
    high, low = (errors("standard", r, both) for r in (1e-3, 1e-4))
    by_rate = [np.mean(e["zero"]) / np.mean(e["softmax"]) - 1 for e in (high, low)]
    assert facts.number("loss-by-rate")[0] == pytest.approx(by_rate[0] - by_rate[1], rel=1e-4)


# -- names that the prose uses


def test_names_give_numbers_and_statements_or_say_what_is_wrong(facts, tmp_path):
    number = facts.outcomes["one-token"].number
    assert facts.number("one-token.low") == (number.low, "change") and facts.number(
        "one-token.seeds"
    ) == (3, "count")
    assert facts.holds("patchtst-without.cannot-tell") and not facts.holds("patchtst-without.yes")
    for ask, name, words in (
        (facts.number, "nonsense", "no number and no statement"),
        (facts.holds, "nonsense", "no number and no statement"),
        (Facts(Ledger(tmp_path)).number, "nonsense", "no number and no statement"),
        (Facts(Ledger(tmp_path)).number, "codebook", "not run yet"),
        (Facts(Ledger(tmp_path)).number, "toy.zero", "not run yet"),
        (Facts(Ledger(tmp_path)).holds, "toy-short-undecided", "not run yet"),
        (Facts(Ledger(tmp_path)).number, "runs", "not in this ledger"),
    ):
        with pytest.raises(UnknownName, match=words) as error:
            ask(name)
        assert isinstance(error.value, NotRun) == (name != "nonsense")


def test_a_mistake_in_a_fact_is_no_missing_row(tmp_path, monkeypatch):
    for name, compute in (("none", lambda f: f.ledger.read("runs").status),
                          ("misspelt", lambda f: f.ledgr), ("wrong", lambda f: float("x"))):
        monkeypatch.setitem(NUMBERS, name, ("count", compute))
    facts = Facts(Ledger(tmp_path))
    for name, error in (("none", UnknownName), ("misspelt", AttributeError), ("wrong", ValueError)):
        with pytest.raises(error):
            facts.number(name)


def test_what_could_have_been_seen_is_of_the_comparison_that_is_shown():
    table = pd.DataFrame([
        dict(variant=variant, seeds=3, blocks=6, change=-0.01, low=-0.03, high=0.01,
             detectable=seen + more)
        for seen in (0.2, 0.4) for variant, more in (("mean", 0.1), ("zero", 0.0))])
    found = rules.compared(table, lambda rows, here=False: ["cannot tell"] * len(rows), "zero")
    assert found.detectable == 0.2

"""Every claim by its rule, on made-up results with a known answer; three of them again from the
files, in plain pandas.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsattn import claims, runs, text
from tsattn.claims import CLAIMS, rules
from tsattn.claims import facts as facts_module
from tsattn.claims.facts import Facts
from tsattn.claims.rules import CANNOT_TELL, MOSTLY, NO, NOT_RUN, NOT_SHOWN, PARTLY, YES
from tsattn.compare import disturbed, versus
from tsattn.ledger import RESULTS, Ledger
from tsattn.numbers import NotRun, UnknownName
from tsattn.settings import ATTENTIONS
from tsattn.statistics import interval
from tsattn.training import Result

RUNS = pd.read_csv(RESULTS / "runs.csv").query(
    "status == 'complete' and (split != split or split == 'standard')")


@pytest.fixture(scope="module")
def facts():
    return Facts(Ledger())


def test_each_claim_is_stated_once_in_both_languages():
    assert len({c.en for c in CLAIMS.values()}) == len({c.ko for c in CLAIMS.values()}) == 28
    assert all(c.en and c.ko and all(c.shown) and c.rule and c.where and c.chapter[:2].isdigit()
               for c in CLAIMS.values())


def test_what_has_not_been_run_says_so(tmp_path):
    found = claims.judge(Ledger(tmp_path))
    assert list(found) == list(CLAIMS) and {o.verdict for o in found.values()} == {NOT_RUN}
    shown = text.scorecard([o for o in found.values() if o.claim.scorecard])
    assert shown.count(NOT_RUN) == 11, "a slide has room for eleven"


# -- rules


@pytest.mark.parametrize("words, verdict", [
    ([YES, YES], YES), ([NO, NO], NO), ([CANNOT_TELL] * 3, CANNOT_TELL),
    ([YES, YES, CANNOT_TELL], MOSTLY), ([YES, CANNOT_TELL], PARTLY), ([YES, YES, NO], PARTLY),
    ([NO, CANNOT_TELL], NO), ([], NOT_RUN)])
def test_several_comparisons_make_one_verdict(words, verdict):
    assert rules.combine(words) == verdict


@pytest.mark.parametrize("answers, verdict", [
    ({"a": ["woken", "not woken"]}, YES),
    ({"a": ["wider because zero got worse", "not woken"], "b": ["not woken"]}, NOT_SHOWN),
    ({"a": ["woken"], "b": ["not woken", "not woken"]}, PARTLY),
    ({"a": ["woken"], "b": ["cannot tell"]}, YES),
    ({"a": ["cannot tell"]}, NOT_RUN)])
def test_a_codebook_that_wakes_attention_nowhere_is_not_shown_and_never_no(answers, verdict):
    table = {(d, i): answer for d, of in answers.items() for i, answer in enumerate(of)}
    assert rules.cured(pd.Series(table)) == verdict


def without_attention(folder, mse, seeds=runs.FEW_SEEDS):
    """The replacements against softmax at 1e-4, recorded in ``folder`` with the error ``mse``, a
    function of the run."""
    ledger, asked = Ledger(folder), runs.attentions(seeds=seeds, learning_rate=runs.LOW_RATE)
    for s in asked:
        noise = np.random.default_rng([s.seed, len(s.attention)]).standard_normal(1000)
        errors = np.float32(mse(s) + 0.01 * noise)
        ledger.record_run(Result(s, best_epoch=1, val_mse=1.0, test_mse=errors.mean(dtype=float),
                                 test_mae=0.4, test_errors=errors,
                                 how={"device": "cpu", "threads": 1}))
    named = {a: [s for s in asked if s.attention == a] for a in ATTENTIONS}
    return versus(ledger, named.pop("softmax"), named, pooled=True)


@pytest.mark.parametrize("error, verdict, better", [
    (0.3715, YES, NO), (0.36, YES, YES), (0.39, NO, NO)])  # equal in the margin is not better
def test_as_good_is_non_inferiority(tmp_path, error, verdict, better):
    table = without_attention(tmp_path, lambda s: 0.371 if s.attention == "softmax" else error)
    assert rules.combine(rules.not_worse(table)) == verdict and (table.seeds == 3).all()
    assert ((table.excluded < 0.01) == (verdict == YES)).all(), "the loss that is excluded"
    assert table.change.to_numpy() == pytest.approx([error / 0.371 - 1] * 4, abs=2e-3)
    assert rules.combine(rules.better(table)) == better


def test_as_good_cannot_be_told_where_seeds_scatter_by_more_than_the_margin(tmp_path):
    table = without_attention(tmp_path, lambda s: 0.4 + 0.02 * np.random.default_rng(
        [s.seed, ATTENTIONS.index(s.attention)]).standard_normal())
    found = rules.compared(table, rules.not_worse, "zero")
    assert found.verdict == CANNOT_TELL and found.detectable > 0.01
    least = text.figure(found.detectable, "share")
    assert text.verdict(found) == f"cannot tell (could have seen ≥ {least})"
    assert f"최소 차이 {least}" in text.verdict(found, "ko")


def test_one_or_two_seeds_get_no_verdict(tmp_path):
    table = without_attention(tmp_path, lambda s: 0.3 if s.attention == "softmax" else 0.6,
                              (2021, 2022))
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


@pytest.mark.parametrize("lift, almost_none, not_singled_out", [
    ([0.1, 0.12, 0.08], YES, YES), ([0.95, 1.0, 0.97], NO, YES), ([2.0, 2.1, 1.9], NO, NO),
    ([0.1, 1.9], CANNOT_TELL, CANNOT_TELL), ([0.97], CANNOT_TELL, CANNOT_TELL)])
def test_almost_no_weight_and_not_singled_out_are_two_claims(lift, almost_none, not_singled_out):
    assert rules.below(interval(lift), rules.ABOUT_ZERO) == almost_none
    assert rules.below(interval(lift), rules.SINGLED_OUT) == not_singled_out


def test_what_could_have_been_seen_is_of_the_comparison_that_is_shown():
    table = pd.DataFrame([
        dict(variant=variant, seeds=3, blocks=6, change=-0.01, low=-0.03, high=0.01,
             detectable=seen + more)
        for seen in (0.2, 0.4) for variant, more in (("mean", 0.1), ("zero", 0.0))])
    found = rules.compared(table, lambda rows, here=False: ["cannot tell"] * len(rows), "zero")
    assert found.detectable == 0.2


# -- again from the files


def test_patchtst_without_attention_from_the_files(facts):
    usual = dict(model="PatchTST", dataset="ETTh1", seq_len=336, pred_len=96, patch_len=16,
                 stride=16, n_layers=3, n_heads=16, norm="batch", norm_position="post",
                 head="flatten", profile="paper", d_ff=256, revin=True, max_windows=0,
                 positional_encoding="learned", residual_attention=True, pad_end=True,
                 learning_rate=1e-4)
    rows = RUNS[(RUNS[list(usual)] == pd.Series(usual)).all(axis=1)
                & RUNS.embedding.fillna("linear").eq("linear")
                & RUNS.feed_forward.fillna(True).astype(str).ne("False")]
    table = rows.pivot(index="attention", columns="seed", values="test_mse")
    assert table.shape == (5, 5)
    found, mse = facts.outcomes["patchtst-without"], table.mean(axis=1)
    assert found.number.value == pytest.approx(mse["zero"] / mse["softmax"] - 1, rel=1e-5)
    assert (found.verdict, found.split_verdict) == (CANNOT_TELL, NO)


def test_removal_from_the_files(facts):
    table = pd.read_csv(RESULTS / "interventions.csv")
    ids = RUNS.query("dataset == 'ETTh1' and model == 'PatchTST' and attention == 'softmax' "
                     "and learning_rate == 1e-4").run_id
    table = table[table.run_id.isin(ids) & (table.layers.eq("all") | table.intervention.eq("none"))]
    of_run = table.groupby(["run_id", "intervention"]).test_mse.mean().unstack()
    of_run = of_run[of_run["W_pos = 0"].notna()]
    change = of_run["attention removed"] / of_run["none"] - 1
    found = facts.outcomes["trained-unused"]
    low, high = stats.t.interval(0.95, len(change) - 1, change.mean(), stats.sem(change))
    assert (found.number.value, found.number.low, found.number.high) == pytest.approx(
        (change.mean(), low, high))
    assert found.verdict == NO
    average = (of_run["A = mean"] / of_run["none"] - 1).mean()
    assert facts.number("removed.mean")[0] == pytest.approx(average)


def test_recall_and_events_from_the_files(facts):
    table = pd.read_csv(RESULTS / "toy_errors.csv")
    recall, events = ({runs.toy(data, seed=seed).run_id for seed in runs.FEW_SEEDS}
                      for data in ("recall-4", "state-machine"))
    of = table[table.run_id.isin(recall) & (table.intervention == "none")]
    found = facts.outcomes["linear-embedding"]
    assert found.number.value == pytest.approx((of.mse / of.zero_mse).mean())
    assert found.verdict == NO
    of = table[table.run_id.isin(events)]
    event = of.groupby(["run_id", "intervention"]).event_mse.mean().unstack()
    assert facts.outcomes["events-without"].number.value == pytest.approx(
        (event["attention removed"] / event["none"]).mean())


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

    both = ("softmax", "zero")
    high, low = (errors("standard", r, both) for r in (1e-3, 1e-4))
    by_rate = [np.mean(e["zero"]) / np.mean(e["softmax"]) - 1 for e in (high, low)]
    for name, value in {"standard-contrast": loss(standard),
                        "channels.useful": loss(unseen, [0, 2]),
                        "channels.others": loss(unseen, [1, 3, 4, 5, 6]),
                        "loss-by-rate": by_rate[0] - by_rate[1]}.items():
        assert facts.number(name)[0] == pytest.approx(value, rel=1e-4), name


def test_some_loss_is_said_beside_a_margin_that_cannot_be_told(facts):
    """The registered contrast says that there is a loss, its tests not that it reaches 1 %."""
    found = facts.outcomes["registered-without"]
    assert found.lost and found.verdict == CANNOT_TELL
    assert text.verdict(found) == "cannot tell at 1 %; some loss shown"
    assert text.sentence(found).startswith("Cannot tell at 1 %; some loss shown: mean error of")
    assert "손실은 확인됨" in text.verdict(found, "ko")
    assert not facts.outcomes["registered-etth2"].lost


# -- names that the prose uses


def test_names_give_numbers_and_statements_or_say_what_is_wrong(facts, tmp_path):
    low = facts.outcomes["one-token"].number.low
    assert facts.number("one-token.low") == (low, "change")
    assert facts.number("one-token.seeds") == (3, "count")
    assert facts.number("runs")[0] == (pd.read_csv(RESULTS / "runs.csv").query(
        "status == 'complete' and profile == 'paper'").run_id.nunique())
    assert facts.holds("patchtst-without.cannot-tell") and not facts.holds("patchtst-without.yes")
    empty = Facts(Ledger(tmp_path))
    assert empty.holds("codebook.not-run-yet")
    for ask, *names in ((facts.number, "nonsense", "one-token.lo", "dose.saved-2", "rates.zero.q"),
                        (facts.holds, "nonsense", "rates.nonsense"), (empty.number, "nonsense")):
        for name in names:
            with pytest.raises(UnknownName, match="no number and no statement") as error:
                ask(name)
            assert not isinstance(error.value, NotRun)
    for ask, *names in (
            (empty.number, "codebook", "toy.zero", "runs", "rates.zero.p", "rates.mean.low"),
            (empty.holds, "toy-short-undecided", "rates.as-well", "dose.confirmed")):
        for name in names:
            with pytest.raises(NotRun, match="not run yet"):
                ask(name)


def test_registered_tests_are_named_as_they_come_out(facts, monkeypatch):
    rates = pd.DataFrame(dict(test=["primary", "HUFL and MUFL", "mean"], difference=[.01, .02, .03],
                              low=[.002, .01, 0.], high=[.018, .03, .02], p=[.01, .02, .05],
                              p_not_worse=[.5, .9, .5], detectable=.01, rate=[5e-5, 5e-5, 2e-4],
                              rate_of_softmax=1e-4))
    doses = pd.DataFrame(dict(without="zero", dose=[1, 3, 10, 30], saved=[.1, .5, 4., 20.],
                              low=[-1., -.5, 3., 18.], high=[1., 1.5, 5., 22.], confirmed=True))
    monkeypatch.setattr(facts_module.registered_rates, "judged", lambda *_: rates)
    monkeypatch.setattr(facts_module.registered_dose, "judged", lambda *_: doses)
    said = Facts(facts.ledger)
    for name, value, form in (
            ("rates.zero", .01, "change"), ("rates.two-channels.high", .03, "change"),
            ("rates.mean", .03, "change"), ("rates.zero.p", .01, "weight"),
            ("rates.rate.softmax", 1e-4, "weight"), ("rates.rate.mean", 2e-4, "weight"),
            ("dose.saved-10", .04, "share"), ("dose.saved-10.low", .03, "share"),
            ("dose.worth", .04, "share")):
        assert said.number(name) == (pytest.approx(value, rel=1e-9), form), name
    for primary, true in (((.01, .01, .5), {"loss-shown"}),
                          ((-.01, .01, .01), {"gain-shown", "below-margin"}),
                          ((.01, .2, .5), set()),
                          ((.01, .2, .01), {"below-margin", "as-well"})):
        rates.loc[0, ["difference", "p", "p_not_worse"]] = primary
        said = Facts(facts.ledger)
        assert {n for n in ("loss-shown", "gain-shown", "below-margin", "as-well")
                if said.holds(f"rates.{n}")} == true
    assert said.holds("dose.confirmed") and said.holds("dose.worth-found")
    doses.saved, doses.confirmed = .1, False
    said = Facts(facts.ledger)
    assert not said.holds("dose.confirmed") and not said.holds("dose.worth-found")
    assert said.number("dose.worth")[0] == np.inf

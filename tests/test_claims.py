"""Every claim by its rule, on made-up results with a known answer; the names that texts use."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import defined

from tsattn import numbers, registered_dose, text
from tsattn.chapter import Chapter
from tsattn.claims import CLAIMS, Facts, rules
from tsattn.claims.rules import CANNOT_TELL, MOSTLY, NO, NOT_RUN, NOT_SHOWN, PARTLY, YES, Found
from tsattn.compare import against, disturbed
from tsattn.ledger import RESULTS, ROOT, Ledger
from tsattn.numbers import NotRun, UnknownName
from tsattn.settings import ATTENTIONS
from tsattn.slides import pictures
from tsattn.slides.story import Story
from tsattn.statistics import MARGIN, interval


def test_each_claim_is_stated_once_in_both_languages():
    assert len({c.en for c in CLAIMS.values()}) == len({c.ko for c in CLAIMS.values()}) == 28
    assert all(c.en and c.ko and len(c.shown) == 2 and all(c.shown) and c.rule and c.where
               and (ROOT / "notebooks" / f"{c.chapter}.ipynb").is_file() for c in CLAIMS.values())
    said = " ".join(c.rule for c in CLAIMS.values())
    assert set(re.findall(r"\d+%", said)) == {f"{MARGIN:.0%}"}
    assert all(f"lies below {limit:g}" in said for limit in (rules.ABOUT_ZERO, rules.SINGLED_OUT))


def test_the_pairs_of_others_are_as_many_as_the_claim_says_and_each_stands_once():
    pairs = pd.read_csv(ROOT / "tsattn" / "published" / "timerecipe.csv")
    assert not pairs.duplicated(list(pairs.columns[:7])).any() and pairs.dataset.nunique() == 12
    assert f"{len(pairs):,}" in CLAIMS["others-pairs"].en


def test_what_has_not_been_run_says_so(tmp_path):
    found = Facts(Ledger(tmp_path)).outcomes
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
    cured = defined(ROOT / "notebooks" / "08_codebook.ipynb").cured
    assert cured(pd.Series(table)) == verdict


def without_attention(softmax, others, seeds=3, scatter=0.0):
    """The replacements against softmax: ``seeds`` seeds with these mean errors, which scatter."""
    rng = np.random.default_rng(0)
    errors = {a: {seed: (softmax if a == "softmax" else others) + scatter * rng.standard_normal()
                  + 0.01 * rng.standard_normal(1000) for seed in range(seeds)} for a in ATTENTIONS}
    return against(errors, "softmax", block=432, pooled=True)


@pytest.mark.parametrize("error, verdict, better", [
    (0.3715, YES, NO), (0.36, YES, YES), (0.39, NO, NO)])  # equal in the margin is not better
def test_as_good_is_non_inferiority(error, verdict, better):
    table = without_attention(0.371, error)
    assert rules.combine(rules.not_worse(table)) == verdict and (table.seeds == 3).all()
    assert ((table.excluded < 0.01) == (verdict == YES)).all(), "the loss that is excluded"
    assert rules.combine(rules.better(table)) == better


def test_as_good_cannot_be_told_where_seeds_scatter_by_more_than_the_margin_or_are_two():
    table = without_attention(0.4, 0.4, scatter=0.02)
    assert rules.not_worse(table) == rules.better(table) == [CANNOT_TELL] * 4
    found = Found(CANNOT_TELL, detectable=table.detectable[0])
    least = text.figure(found.detectable, "share")
    assert found.detectable > 0.01
    assert text.verdict(found) == f"cannot tell (could have seen ≥ {least})"
    assert f"최소 차이 {least}" in text.verdict(found, "ko")
    table = without_attention(0.3, 0.6, seeds=2)
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


def test_some_loss_is_said_beside_a_margin_that_cannot_be_told(facts):
    """The registered contrast says that there is a loss, its tests not that it reaches 1 %."""
    found = facts.outcomes["registered-without"]
    assert found.lost and found.verdict == CANNOT_TELL
    assert text.verdict(found) == "cannot tell at 1 %; some loss shown"
    assert text.sentence(found).startswith("Cannot tell at 1 %; some loss shown: mean error of")
    assert "오차 증가는 확인됨" in text.verdict(found, "ko")
    assert not facts.outcomes["registered-etth2"].lost


# -- names that the prose uses


def test_names_give_numbers_and_statements_or_say_what_is_wrong(facts, tmp_path):
    recorded = pd.read_csv(RESULTS / "runs.csv")
    full = recorded[(recorded.status == "complete") & (recorded.profile == "paper")]
    assert facts.number("runs") == (full.run_id.nunique(), "count")
    assert facts.holds("patchtst-without.cannot-tell") and not facts.holds("patchtst-without.yes")
    empty = Facts(Ledger(tmp_path))
    assert empty.holds("codebook.not-run-yet")
    for ask, *names in ((facts.number, "nonsense", "one-token.lo", "dose.saved-2", "rates.zero.q"),
                        (facts.holds, "nonsense", "rates.nonsense", "codebook.not-show"),
                        (empty.number, "nonsense")):
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


def test_registered_tests_are_told_as_they_come_out(facts, monkeypatch):
    """By name, and on their slides."""
    rates = pd.DataFrame(dict(test=["primary", "HUFL and MUFL", "mean"], difference=[.01, .02, .03],
                              low=[.002, .01, 0.], high=[.018, .03, .02], p=[.01, .02, .05],
                              p_not_worse=[.5, .9, .5], seeds=[5, 4, 5], detectable=.01,
                              rate=[5e-5, 5e-5, 2e-4], rate_of_softmax=1e-4))
    doses = pd.DataFrame(dict(without="zero", dose=[1, 3, 10, 30], saved=[.1, 2., 4., 20.],
                              low=[-1., 1.6, 3., 18.], high=[1., 2.4, 5., 22.], p=.01,
                              confirmed=True, primary=[False, False, True, False]))
    monkeypatch.setattr(registered_dose, "judged", lambda *_: doses)  # its picture draws it
    one, six = (defined(next((ROOT / "notebooks").glob(f"{n}_*"))) for n in ("01", "06"))

    def by_chapters():
        c = Chapter("paper", facts.ledger, ROOT, "ETTh1", [], "", None)
        one.tell_rates(c, rates, asked := [facts.ledger.read("runs").run_id[0]])
        six.tell_doses(c, doses, asked)
        said = pd.DataFrame(c.said.values(), columns=numbers.COLUMNS).set_index("name")
        others = numbers.read(facts.ledger).drop(said.index, errors="ignore")
        return Facts(facts.ledger, pd.concat([others, said]))

    said = by_chapters()
    for name, value, form in (
            ("rates.two-channels.high", .03, "change"), ("rates.mean", .03, "change"),
            ("rates.zero.p", .01, "weight"), ("rates.rate.mean", 2e-4, "rate"),
            ("dose.worth", .01 + .02 * .9 / 1.9, "share")):
        assert said.number(name) == (pytest.approx(value, rel=1e-9), form), name
    assert said.holds("dose.confirmed") and said.holds("dose.most-of-three")
    story = Story(said, "en")
    told = {s.name: s for s in story.slides}
    assert told["rates"].title.startswith("A loss without attention, each arm at its own best")
    assert "+1.0 % [+0.2, +1.8]" in told["rates"].lines[0]
    assert "softmax 1e-4, zero 5e-5" in told["rates"].source
    assert "4.0 % [3.0, 5.0]" in told["dose"].lines[0] and "even" in told["dose"].title
    fig = pictures.draw(told["dose"].pictures[1], story, (6, 4))
    assert fig.axes[0].lines[0].get_label() == "found perfectly"
    plt.close(fig)
    for primary, true in (((.01, .01, .5), {"loss-shown"}),
                          ((-.01, .01, .01), {"gain-shown", "below-margin"}),
                          ((.01, .2, .5), set()),
                          ((.01, .2, .01), {"below-margin", "as-well"})):
        rates.loc[0, ["difference", "p", "p_not_worse"]] = primary
        said = by_chapters()
        assert {n for n in ("loss-shown", "gain-shown", "below-margin", "as-well")
                if said.holds(f"rates.{n}")} == true
    doses.saved, doses.low, doses.confirmed = .1, -1., False
    said = by_chapters()
    assert not any(said.holds(f"dose.{n}") for n in ("confirmed", "most-of-three"))
    slide = next(s for s in Story(said, "en").slides if s.name == "dose")
    assert slide.title.endswith("?") and len(slide.lines) == 1  # its limits

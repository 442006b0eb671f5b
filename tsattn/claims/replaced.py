"""Numbers and statements of chapters 1 and 2; ``facts`` takes them in."""

from __future__ import annotations

import pandas as pd

from .. import analysis, runs
from ..ledger import ROOT
from ..settings import ATTENTIONS

RATES = {"": runs.LOW_RATE, "-talk-rate": 1e-3}
ENDS = {"": 0, ".low": 1, ".high": 2}
REPLACED = [a for a in ATTENTIONS if a != "softmax"]
REMOVED = {"attention": "attention removed", "feed-forward": "feed-forward removed",
           "mean": "A = mean", "identity": "A = identity"}
SUBLAYERS = {"attention": "attention", "feed-forward": "feed_forward"}
CORNERS = {"noise": (0.0, 2.0), "smoothing": (1.0, 0.0)}


def past_kept(facts) -> pd.Series:
    return analysis.past_kept(facts.ledger, runs.attentions(seeds=runs.MORE_SEEDS))


def same_size(facts) -> pd.Series:
    """Zero attention widened to softmax's parameters, against softmax."""
    zero = runs.baselines(learning_rate=runs.LOW_RATE)["zero (equal parameters)"]
    return analysis.against(facts.ledger, analysis.patchtst(runs.LOW_RATE)["softmax"],
                            {"zero": zero}).iloc[0]


NUMBERS = {
    **{f"{claim}.{a}": ("change", lambda f, c=claim, a=a: f.compared(c, a))
       for claim in ("patchtst-without", "patchtst-without-talk-rate", "itransformer-small-steps")
       for a in REPLACED},
    "itransformer-small-steps.not-shown.detectable": ("share", lambda f: max(
        f.compared("itransformer-small-steps", a, "detectable") for a in ("mean", "fixed"))),
    "linear-model.mlp": (
        "change", lambda f: f.compared("linear-model", "MLP (equal parameters)")),
    "zero-same-size": ("change", lambda f: (r := same_size(f)).difference / r.reference),
    "validation.zero": (
        "change", lambda f: f.relative("val", learning_rate=runs.LOW_RATE)["zero"].mean()),
    "past-kept.least": ("change", lambda f: past_kept(f).min()),
    "past-kept.most": ("change", lambda f: past_kept(f).max()),
}


def _softmax_lowest_mae(facts) -> bool:
    rows = facts.ledger.runs(facts.ledger.complete(
        runs.attentions(seeds=runs.MORE_SEEDS, learning_rate=runs.LOW_RATE)))
    return bool((rows.pivot(index="seed", columns="attention", values="test_mae").idxmin(axis=1)
                 == "softmax").all())


def _paper_column_is(model: str) -> bool:
    """Whether the talk's "paper" column is the authors' row of ``model``, to the last digit."""
    talk = pd.read_csv(ROOT / "tsattn" / "published" / "lab_talk.csv").set_index("attention")
    authors = analysis.published_by_authors().query(
        "dataset == 'ETTh1' and pred_len == 96 and model == @model")
    theirs = authors.pivot(index="attention", columns="metric", values="mean").loc[talk.index]
    return bool((theirs.MSE == talk.paper_mse).all() and (theirs.MAE == talk.paper_mae).all())


def _at_96(facts) -> pd.DataFrame:
    table = facts.outcomes["itransformer-better"].found.comparisons
    return table[table.cell == "ETTh1-96"]


def _excluded(facts, claim: str) -> set:
    table = facts.outcomes[claim].found.comparisons
    return set(table.model[table["p_not_worse_1.0%"] < 0.05])


STATEMENTS = {
    "softmax-lowest-mae-not-every-seed": lambda f: not _softmax_lowest_mae(f),
    "talk-rate-softmax-kept-after-one-or-two-epochs": lambda f: (
        set(f.best_epochs("softmax", seeds=runs.MORE_SEEDS)) == {1, 2}),
    "talk-rate-loss-excluded-identity-zero": lambda f: (
        _excluded(f, "patchtst-without-talk-rate") == {"identity", "zero"}),
    "paper-column-is-itransformer": lambda f: (
        _paper_column_is("iTransformer") and not _paper_column_is("PatchTST")),
    "itransformer-all-four-better-96": lambda f: set(_at_96(f).verdict) == {"better"},
    "small-steps-identity-zero-better": lambda f: (
        (t := f.outcomes["itransformer-small-steps"].found.comparisons).model[
            t.verdict == "better"].tolist() == ["identity", "zero"]),
}

"""Numbers and statements of chapters 1 and 2; ``facts`` takes them in."""

from __future__ import annotations

import pandas as pd

from .. import analysis, runs
from ..analysis.disturbed import against_own, against_undisturbed
from ..ledger import ROOT
from ..settings import ATTENTIONS
from ..statistics import detectable, interval, paired

RATES = {"": runs.LOW_RATE, "-talk-rate": 1e-3}
ENDS = {"": 0, ".low": 1, ".high": 2}
REPLACED = [a for a in ATTENTIONS if a != "softmax"]
REMOVED = {"attention": "attention removed", "feed-forward": "feed-forward removed",
           "mean": "A = mean", "identity": "A = identity"}
SUBLAYERS = {"attention": "attention", "feed-forward": "feed_forward"}
CORNERS = {"noise": (0.0, 2.0), "smoothing": (1.0, 0.0)}


def of(facts, table: str, rate: float) -> pd.DataFrame:
    """Rows of ``table`` on the models that were trained with attention and disturbed afterwards."""
    rows = facts.ledger.read(table)
    return rows[rows.run_id.isin({s.run_id for s in analysis.patchtst(rate)["softmax"]})]


def noise(facts, rate: float) -> pd.DataFrame:
    """Relative change of the error under noise as large as a sublayer's output."""
    return against_undisturbed(of(facts, "equal_disturbance", rate), "sublayer")


def more(facts, rate: float) -> tuple[float, float, float]:
    """The same, feed-forward minus attention."""
    return paired(*(noise(facts, rate)[k] for k in ("feed_forward", "attention")))


def corner(facts, sublayer: str, kind: str) -> pd.Series:
    """Changes of the error at the paper's greatest strength, at the talk's rate, all windows."""
    rows = against_own(of(facts, "corners", 1e-3), smoothing=0.0, noise=0.0)
    smoothing, strength = CORNERS[kind]
    return rows.query("sublayer == @sublayer and smoothing == @smoothing"
                      " and noise == @strength").change


def moved(facts, sublayer: str, kind: str, strength: float, column: str = "relative_size") -> float:
    """What a disturbance does to the output it acts on, or to the error, at the talk's rate."""
    rows = of(facts, "disturbance", 1e-3).query("sublayer == @sublayer")
    own = rows.query("kind == @kind and strength == @strength")[column].mean()
    still = rows.query("kind == 'output noise' and strength == 0").test_mse.mean()
    return own if column == "relative_size" else own / still


def nothing_shown(values: pd.Series) -> bool:
    _, low, high = interval(values)
    return low < 0 < high


def past_kept(facts) -> pd.Series:
    return analysis.past_kept(facts.ledger, runs.attentions(seeds=runs.MORE_SEEDS))


def same_size(facts) -> pd.Series:
    """Zero attention widened to softmax's parameters, against softmax."""
    zero = runs.baselines(learning_rate=runs.LOW_RATE)["zero (equal parameters)"]
    return analysis.against(facts.ledger, analysis.patchtst(runs.LOW_RATE)["softmax"],
                            {"zero": zero}).iloc[0]


NUMBERS = {
    **{f"removed.{short}{at}{end}": (
        "change", lambda f, n=name, r=rate, i=i: interval(f.after_training(n, r))[i])
       for short, name in REMOVED.items() for at, rate in RATES.items() for end, i in ENDS.items()},
    **{f"noise.{short}{at}": ("change", lambda f, k=k, r=rate: noise(f, r)[k].mean())
       for short, k in SUBLAYERS.items() for at, rate in RATES.items()},
    **{f"noise.more{at}": ("change", lambda f, r=rate: more(f, r)[0])
       for at, rate in RATES.items()},
    **{f"strongest.{short}-{kind}": ("change", lambda f, k=k, w=kind: corner(f, k, w).mean())
       for short, k in SUBLAYERS.items() for kind in CORNERS},
    **{f"strongest.{short}-size": ("share", lambda f, k=k: moved(f, k, "noise", 2.0))
       for short, k in SUBLAYERS.items()},
    "removed.attention-talk-rate.detectable": (
        "share", lambda f: detectable(f.after_training("attention removed", 1e-3))),
    "strongest.feed-forward-noise.detectable": (
        "share", lambda f: detectable(corner(f, "feed_forward", "noise"))),
    "all-ones.size": ("times", lambda f: moved(f, "attention", "all-ones", 1.0)),
    "all-ones.least-error": ("times", lambda f: moved(f, "attention", "all-ones", 0.1, "test_mse")),
    "one-layer.attention": ("share", lambda f: max(
        abs(f.after_training("attention removed", layers=layer).mean()) for layer in "012")),
    **{f"one-layer.feed-forward-{i + 1}": ("change", lambda f, i=i: f.after_training(
        "feed-forward removed", layers=str(i)).mean()) for i in range(3)},
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
    "removal-changes-nothing-shown-at-1e-3": lambda f: all(
        nothing_shown(f.after_training(n, 1e-3)) for n in REMOVED.values()),
    "noise-on-feed-forward-costs-more-at-both-rates": lambda f: all(
        more(f, r)[1] > 0 for r in RATES.values()),
    "strongest-changes-nothing-shown": lambda f: all(
        nothing_shown(corner(f, k, w)) for k in SUBLAYERS.values() for w in CORNERS),
    "toy-order-reversed": lambda f: (
        f.number("events-without")[0] > f.number("events-without.feed-forward")[0]
        and f.after_training("attention removed").mean()
        < f.after_training("feed-forward removed").mean()),
}

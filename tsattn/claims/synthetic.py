"""Numbers and statements of chapters 5 and 6, for ``facts``: each a function of its ``Facts``."""

from __future__ import annotations

import pandas as pd

from .. import analysis
from ..analysis import tokens
from ..settings import ATTENTIONS
from ..statistics import interval

REPLACED = [a for a in ATTENTIONS if a != "softmax"]


def _of(facts) -> analysis.Synthetic:
    return analysis.Synthetic(facts.ledger)


def _gap_on_etth1(facts, claim: str = "patchtst-without") -> pd.Series:
    """Test MSE of zero minus that of softmax, ETTh1, 96 hours ahead, learning rate 1e-4. Of a
    series scaled by its training months it is a share of variance.
    """
    return facts.row(claim, "zero")


def _repeats(facts) -> tuple[float, pd.DataFrame]:
    return analysis.behind_repeats(_of(facts).on_events())


def _on_removal(facts, name: str) -> float:
    return interval(analysis.removal_on_events(facts.ledger, name))[0]


NUMBERS = {
    "toy.softmax": ("times", lambda f: _of(f).multiple("softmax")),
    "toy.short-softmax": ("times", lambda f: _of(f).multiple("softmax", max_steps=200)),
    "toy.short-zero": ("times", lambda f: _of(f).multiple("zero", max_steps=200)),
    **{f"toy.{a}": ("change", lambda f, a=a: _of(f).against_softmax(a)) for a in REPLACED},
    "toy.fixed.low": ("change", lambda f: _of(f).against_softmax("fixed", "low")),
    "toy.fixed.high": ("change", lambda f: _of(f).against_softmax("fixed", "high")),
    "toy.fixed.detectable": (
        "share",
        lambda f: _of(f).against_softmax("fixed", "detectable"),
    ),
    "toy.one-token": ("times", lambda f: tokens.one_token_on_events(f.ledger).mean()),
    "toy.repeated-samples": ("share", lambda f: _repeats(f)[0]),
    **{
        f"toy.lost-behind-repeats.{a}": ("share", lambda f, a=a: _repeats(f)[1][a].mean())
        for a in ("identity", "zero", "mean")
    },
    "toy.positions": ("times", lambda f: _on_removal(f, "W_pos = 0")),
    "toy.average": ("times", lambda f: _on_removal(f, "A = mean")),
    "toy.permuted": ("times", lambda f: _on_removal(f, "tokens permuted with their W_pos")),
    "event-lift.least-head": ("weight", lambda f: _of(f).by_head().lift.min()),
    "event-lift.most-head": ("weight", lambda f: _of(f).by_head().lift.max()),
    **{
        f"event-auc.layer-{i}": (
            "weight",
            lambda f, i=i: _of(f).by_head().groupby("layer").auc.mean()[i],
        )
        for i in (1, 2, 3)
    },
    "cue-weight.least": ("share", lambda f: _of(f).cue_weight().min()),
    "cue-weight.most": ("share", lambda f: _of(f).cue_weight().max()),
    "recall.zero": ("share", lambda f: _of(f).recall(4, "zero")),
    "recall.least-replaced": ("share", lambda f: min(_of(f).recall(4, a) for a in REPLACED)),
    "recall.softmax-16": ("share", lambda f: _of(f).recall(16, "softmax")),
    "recall.zero-16": ("share", lambda f: _of(f).recall(16, "zero")),
    "recall.revin-softmax": ("share", lambda f: _of(f).with_revin("softmax")),
    "recall.revin-zero": ("share", lambda f: _of(f).with_revin("zero")),
    "dial.recovered-least": ("share", lambda f: _of(f).dial().value[0.05]),
    **{
        f"etth1-gap{part and '.' + part}": (
            "share",
            lambda f, part=part: _gap_on_etth1(f)[part or "difference"],
        )
        for part in ("", "low", "high")
    },
}

STATEMENTS = {
    "toy-identity-zero-mean-worse": lambda f: _of(f).worse() == {"identity", "zero", "mean"},
    "toy-short-undecided": lambda f: _of(f).worse(max_steps=200) == set(),
    "dial-pays-from-the-least-share-on": lambda f: (
        (_of(f).dial().low > 0).to_dict() == {w: w > 0 for w in (0, 0.05, 0.1, 0.25, 0.5, 1)}
    ),
    "etth1-needs-less-than-a-hundredth": lambda f: (
        0.05 * _gap_on_etth1(f).high / _of(f).dial().value[0.05] < 0.01
    ),
    "etth1-talk-rate-other-sign-open": lambda f: (
        (t := _gap_on_etth1(f, "patchtst-without-talk-rate")).difference < 0 < t.high
    ),
    "etth1-gap-below-the-dial": lambda f: _gap_on_etth1(f).high < _of(f).dial().low[0.05],
}

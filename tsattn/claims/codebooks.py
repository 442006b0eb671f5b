"""Numbers and statements of chapter 8, by name; ``facts`` adds them to its own."""

from __future__ import annotations

import pandas as pd

from .. import runs
from ..analysis import embeddings
from ..codebook_rule import LEVEL, TOLERATED, gaps
from ..statistics import interval

PARITIES = "recall-4-nonlinear"
# The data sets that decide, by the beginning of the names of their numbers.
CODED = {"codebook": "state-machine", "codebook.parities": PARITIES, "codebook.ETTh1": "ETTh1"}
CONDITIONS = ("over-decoded", "over-mlp", "worse-than-linear")
PLACEBO = embeddings.JUDGED["code-init"]
RANDOM_START = ("code", "RQ-VAE", "random")
ENDS = {"": "mean", ".low": "low", ".high": "high"}


def _key(name: str) -> str:
    return name.replace(", ", "-")


def _floor(f, dataset: str, given: str = "codes", tokenizer: str = "k-means") -> pd.Series:
    """The row of ``codebook_floors`` of two levels of 256 codes."""
    t = f.ledger.read("codebook_floors")
    t = t[(t.codes == 256) & (t.code_levels == 2) & (t.tokenizer == tokenizer)]
    return t[(t.dataset == dataset) & (t.given == given)].iloc[0]


def _cost(f, tokenizer: str = "k-means") -> float:
    """How much more a linear forecast of ETTh1 errs from codes than from patches."""
    return _floor(f, "ETTh1", "codes", tokenizer).error / _floor(f, "ETTh1", "raw").error - 1


def _condition(f, dataset: str, name: str, at: int, end: str) -> float:
    """A condition of the rule; the second is shown as what softmax loses."""
    row = f.codebooks(dataset)[name]["conditions"].iloc[at]
    if row.isna().any():
        raise KeyError(f"{dataset}, {name}")
    if at != 2:
        return row[end]
    return TOLERATED - row[{"mean": "mean", "low": "high", "high": "low"}[end]]


def _differing(f) -> pd.Series:
    """The gaps on the state machine that differ from that of linear (Holm over the embeddings)."""
    errors = f.coded("state-machine")
    gained = embeddings.gains(errors[errors.embedding.isin((*runs.CODEBOOKS, PLACEBO))])
    return gained[gained.p < LEVEL].gain


def _kept(f, name: str) -> list[int]:
    """Epochs that were kept of softmax on ETTh1, in their order."""
    return sorted(f.best_epochs("softmax", seeds=runs.CODEBOOK_SEEDS["ETTh1"],
                                learning_rate=runs.LOW_RATE, **runs.CODEBOOKS[name]))


def _softmax(f, dataset: str) -> pd.DataFrame:
    """Errors of softmax by embedding, with their intervals."""
    return embeddings.summary(f.coded(dataset)).xs("softmax", level=1)


def _fitted(f, dataset: str, name: str, end: str) -> float:
    """How much more softmax errs than with linear on the training windows."""
    of = embeddings.codebook_runs(dataset, names=("linear", name), attentions=("softmax",))
    return embeddings.worse(embeddings.training_errors(f.ledger, of)).loc[(name, "softmax"), end]


def _attention(f, dataset: str) -> pd.DataFrame:
    return embeddings.attention(f.ledger, embeddings.codebook_runs(dataset))


def _longer(f, attention: str, dataset: str = "recall-4", name: str = "code") -> float:
    """Error on recall with four times the steps, one seed."""
    of = runs.longer(dataset, name)
    known = {(name, s.attention, s.seed): s for s in of if s.attention == attention}
    return embeddings.errors(f.ledger, known).error.iloc[0]


def _parities_longer(f) -> list[float]:
    """Errors of softmax on recall with keys of parities with four times the steps."""
    return [_longer(f, "softmax", PARITIES, name) for name in runs.LONGER[PARITIES]]


def _slow(f) -> bool:
    """*code* is far behind on recall, and is not with four times the steps; *decoded* and
    *code-init* are not behind.
    """
    error = _softmax(f, "recall-4")
    return bool(error.low["code"] > 0.25
                and error.loc[["decoded", "code-init"], "high"].lt(0.05).all()
                and _longer(f, "softmax") < 0.05)


def _unlearned(f) -> bool:
    """On recall with keys of parities softmax is nowhere clearly ahead of zero: their 95 %
    intervals meet under every embedding, and each leaves more than half of the error."""
    error = embeddings.summary(f.coded(PARITIES))
    softmax, zero = (error.xs(a, level=1).loc[list(runs.CODEBOOKS)] for a in ("softmax", "zero"))
    return bool((softmax.high > zero.low).all() and softmax.low.gt(0.5).all())


def _oracle(f, attention: str, end: str = "mean") -> float:
    """Error on recall with keys of parities where the embedding is told the key of a patch."""
    of = embeddings.codebook_runs(PARITIES, names=("oracle",))
    error = embeddings.summary(embeddings.errors(f.ledger, of))
    return error[end]["oracle", attention]


def _others(f, dataset: str) -> pd.Series:
    """Mean error of softmax with the codebooks that are not judged."""
    softmax = _softmax(f, dataset)
    return softmax[softmax.index.isin(runs.MORE_CODEBOOKS)]["mean"]


def _no_sharper(f) -> bool:
    """On no synthetic series a codebook's entropy is shown to be lower than that of linear."""
    synthetic = (d for d in runs.CODEBOOK_SEEDS if d in embeddings.UNITS)
    tables = [embeddings.entropy_gains(_attention(f, d)) for d in synthetic]
    return all(len(t) and t.high.ge(0).all() for t in tables)


NUMBERS = {
    "codebook.lost.ETTh1": ("share", lambda f: _floor(f, "ETTh1").codebook_loss),
    "codebook.cost.ETTh1": ("change", _cost),
    "codebook.cost.ETTh1.RQ-VAE": ("change", lambda f: _cost(f, "vq-vae")),
    "codebook.cost.ETTh1.over-softmax": ("change", lambda f: _floor(
        f, "ETTh1").error / _softmax(f, "ETTh1")["mean"]["linear"] - 1),
    **{f"codebook.floor.{PARITIES}{dot}": (
        "share", lambda f, g=given, t=tokenizer: _floor(f, PARITIES, g, t).error)
        for dot, given, tokenizer in (("", "codes", "k-means"), (".RQ-VAE", "codes", "vq-vae"),
                                      (".raw", "raw", "k-means"))},
    **{f"{start}.{name}.{condition}{dot}": (
        "points" if i < 2 else "change", lambda f, of=(d, name, i, end): _condition(f, *of))
        for start, d in CODED.items() for name in embeddings.JUDGED
        for i, condition in enumerate(CONDITIONS) for dot, end in ENDS.items()},
    **{f"{start}.{_key(name)}.errs.{a}{dot}": (
        "change", lambda f, d=d, of=(name, a), end=end: embeddings.worse(f.coded(d)).loc[of, end])
        for start, d in CODED.items() for name in ("decoded", PLACEBO)
        for a in embeddings.BOTH for dot, end in ENDS.items()},
    **{f"codebook.recall.{_key(name)}{dot}": (
        "share", lambda f, of=(name, end): _softmax(f, "recall-4").loc[of])
        for name in runs.CODEBOOKS | runs.MORE_CODEBOOKS for dot, end in ENDS.items()},
    **{f"codebook.parities.linear{middle}{dot}": (
        "share", lambda f, of=("linear", a), end=end: embeddings.summary(
            f.coded(PARITIES)).loc[of, end])
        for middle, a in {"": "softmax", ".zero": "zero"}.items() for dot, end in ENDS.items()},
    **{f"codebook.parities.oracle.{a}{dot}": (
        "share", lambda f, a=a, end=end: _oracle(f, a, end))
        for a in ("softmax", "fixed") for dot, end in ENDS.items()},
    **{f"{start}.RQ-VAE.fitted{dot}": ("change", lambda f, of=(d, "RQ-VAE", e): _fitted(f, *of))
        for start, d in CODED.items() if d != PARITIES for dot, e in ENDS.items()},
    **{f"codebook.recall.longer.{a}": ("share", lambda f, a=a: _longer(f, a))
        for a in embeddings.BOTH},
    **{f"codebook.parities.longer.{end.__name__}": (
        "share", lambda f, end=end: end(_parities_longer(f))) for end in (min, max)},
    **{f"codebook.lift.{name}": ("weight", lambda f, n=name: _attention(
        f, "state-machine").query("embedding == @n").lift.mean())
        for name in ("linear", *RANDOM_START)},
    "codebook.ETTh1.gap.linear": (
        "share", lambda f: gaps(f.coded("ETTh1")).relative["linear"].mean()),
    **{f"codebook.ETTh1.{name}.seeds": (
        "count", lambda f, n=name: embeddings.gains(f.coded("ETTh1")).loc[n, "seeds"])
        for name in embeddings.JUDGED},
    **{f"codebook.ETTh1.{name}.kept.{end}": ("count", lambda f, n=name, at=at: _kept(f, n)[at])
        for name in ("linear", "RQ-VAE") for end, at in (("min", 0), ("max", -1))},
}
STATEMENTS = {
    "codebook.none-collapsed": lambda f: (
        (t := f.ledger.read("codebook_floors"))[t.given == "codes"].codebook.eq("sound").all()),
    **{f"codebook.none-woken-on-{d}": lambda f, d=d: (
        {answer["answer"] for answer in f.codebooks(d).values()} == {"not woken"})
        for d in CODED.values()},
    "codebook.none-before-fixed": lambda f: (
        {a["conditions"].p.iloc[3] >= LEVEL for a in f.codebooks("state-machine").values()}
        == {True}),
    "codebook.only-the-placebo-is-wider": lambda f: (
        list((gain := _differing(f)).index[gain > 0]) == [PLACEBO]),
    "codebook.no-sharper": _no_sharper,
    "codebook.random-start-is-slow": _slow,
    "codebook.parities.unlearned": _unlearned,
    "codebook.parities.yes-is-possible": lambda f: (
        _oracle(f, "softmax", "high") < _oracle(f, "fixed", "low")),
    "codebook.parities.RQ-VAE-leans": lambda f: (
        (t := _attention(f, PARITIES).query("embedding == 'RQ-VAE'")).size > 0
        and interval(t.lift)[1] > 1 and interval(t.auc)[1] > 0.5),
    "codebook.only-code-init-is-narrower": lambda f: (
        list((gain := _differing(f)).index[gain < 0]) == ["code-init"]),
    "codebook.no-other-ahead-of-linear": lambda f: all(
        _others(f, d).ge(_softmax(f, d)["mean"]["linear"]).all()
        for d in ("recall-4", PARITIES)),
    "codebook.parities.unlearned-longer": lambda f: min(_parities_longer(f)) > 0.5,
}

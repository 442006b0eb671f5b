"""Numbers and statements of chapter 7, by name; ``facts`` adds them to its own."""

from __future__ import annotations

import pandas as pd

from .. import runs
from ..analysis import embeddings
from ..codebook_rule import TOLERATED, gaps
from ..statistics import interval

DATASETS = ("recall-4", "state-machine", "ETTh1")
LEVEL = 0.05


def _linear(f, table: str, dataset: str = "state-machine") -> pd.DataFrame:
    """Rows of ``table`` about the trained softmax models with a linear embedding."""
    runs = embeddings.embedding_runs(dataset, embeddings={"linear": {}}, attentions=("softmax",))
    ids = {s.run_id: seed for (_, _, seed), s in runs.items()}
    found = f.ledger.read(table)
    found = found[found.run_id.isin(ids)]
    return found.assign(seed=found.run_id.map(ids))


def _contrast(f) -> pd.DataFrame:
    """Cosine of event tokens of the same state less that of different ones [seed, stage]."""
    found = _linear(f, "token_geometry")
    return (found.same - found.different).groupby([found.seed, found.stage]).mean().unstack()


def _state(f, stage: str) -> float:
    found = _linear(f, "probes")
    return found[(found.what == "state") & (found.stage == stage)].accuracy.mean()


def _condition(f, dataset: str) -> float:
    of = _linear(f, "embedding_spectrum", dataset).groupby("run_id").trained
    return (of.max() / of.min()).max()


def _gains(f, dataset: str) -> pd.DataFrame:
    return embeddings.gains(embeddings.errors(f.ledger, embeddings.embedding_runs(dataset)))


def _none_widens(f) -> bool:
    tables = [_gains(f, d) for d in DATASETS]
    return all(len(t) for t in tables) and not any(
        ((t.p < LEVEL) & (t.gain > 0)).any() for t in tables
    )


def _falls(f) -> bool:
    change = _contrast(f)
    change = change["embedding"] - change["patch"]
    return len(change) > 1 and interval(change)[2] < 0


STAGES = ("patch", "embedding", "layer 3")
NUMBERS = {
    "latent.condition": ("weight", lambda f: max(_condition(f, d) for d in DATASETS)),
    "latent.distances": (
        "weight",
        lambda f: min(_linear(f, "embedding_distances", d).correlation.mean() for d in DATASETS),
    ),
    **{
        f"latent.contrast.{s.replace(' ', '-')}": ("weight", lambda f, s=s: _contrast(f)[s].mean())
        for s in STAGES
    },
    **{
        f"latent.state.{s.replace(' ', '-')}": ("weight", lambda f, s=s: _state(f, s))
        for s in STAGES
    },
    "latent.gap.state-machine": ("share", lambda f: f.gaps["state-machine"]["linear"]),
    "latent.gap.recall-4": ("share", lambda f: f.gaps["recall-4"]["linear"]),
    "latent.gain.mlp": ("share", lambda f: _gains(f, "state-machine").gain["mlp"]),
}
STATEMENTS = {
    "latent.no-embedding-widens": _none_widens,
    "latent.contrast-falls": _falls,
    "latent.mlp-narrows": lambda f: bool(
        (t := _gains(f, "state-machine").loc["mlp"]).p < LEVEL and t.gain < 0
    ),
}


def _floor(f, dataset: str, given: str = "codes", tokenizer: str = "k-means") -> pd.Series:
    """The row of ``codebook_floors`` of two levels of 256 codes."""
    t = f.ledger.read("codebook_floors")
    t = t[(t.codes == 256) & (t.code_levels == 2) & (t.tokenizer == tokenizer)]
    return t[(t.dataset == dataset) & (t.given == given)].iloc[0]


NUMBERS |= {
    "codebook.lost.ETTh1": ("share", lambda f: _floor(f, "ETTh1").codebook_loss),
    "codebook.cost.ETTh1": (
        "change",
        lambda f: _floor(f, "ETTh1").error / _floor(f, "ETTh1", "raw").error - 1,
    ),
    **{f"codebook.floor.recall-4-nonlinear{dot}": (
        "share", lambda f, g=given, t=tokenizer: _floor(f, "recall-4-nonlinear", g, t).error)
        for dot, given, tokenizer in (("", "codes", "k-means"), (".RQ-VAE", "codes", "vq-vae"),
                                      (".raw", "raw", "k-means"))},
    "codebook.cost.ETTh1.RQ-VAE": ("change", lambda f: _floor(
        f, "ETTh1", tokenizer="vq-vae").error / _floor(f, "ETTh1", "raw").error - 1),
    "codebook.cost.ETTh1.over-softmax": ("change", lambda f: _floor(
        f, "ETTh1").error / f.errors_of_codebooks("ETTh1").loc[("linear", "softmax"), "mean"] - 1),
}
STATEMENTS["codebook.none-collapsed"] = lambda f: (
    (t := f.ledger.read("codebook_floors"))[t.given == "codes"].codebook.eq("sound").all()
)

CONDITIONS = ("over-decoded", "over-mlp", "worse-than-linear", "before-fixed", "before-random")
# The data sets that decide, by the beginning of the names of their numbers.
CODED = {"codebook": "state-machine", "codebook.parities": "recall-4-nonlinear",
         "codebook.ETTh1": "ETTh1"}
RANDOM_START = ("code", "RQ-VAE", "random")
ENDS = {"": "mean", ".low": "low", ".high": "high"}


def _woken(dataset: str, name: str, at: int, end: str):
    """A condition of the rule; the second is shown as what softmax loses."""

    def value(f):
        row = f.codebooks(dataset)[name]["conditions"].iloc[at]
        if row.isna().any():
            raise KeyError(f"{dataset}, {name}")
        if at != 2:
            return row[end]
        return TOLERATED - row[{"mean": "mean", "low": "high", "high": "low"}[end]]

    return value


def _over_linear(dataset: str, name: str, part: str):
    def value(f):
        return embeddings.gains(
            embeddings.errors(f.ledger, embeddings.codebook_runs(dataset, names=("linear", name)))
        ).loc[name, part]

    return value


def _errs(dataset: str, name: str, attention: str, end: str):
    """How much more an embedding errs than *linear*, as a share, paired by seed."""

    def value(f):
        asked = embeddings.codebook_runs(dataset, names=("linear", name), attentions=[attention])
        wide = embeddings.errors(f.ledger, asked).pivot(
            index="seed", columns="embedding", values="error").dropna()
        mean, low, high = interval(wide[name] / wide.linear - 1)
        return dict(mean=mean, low=low, high=high)[end]

    return value


def _error(dataset: str, name: str, attention: str, end: str):
    return lambda f: f.errors_of_codebooks(dataset).loc[(name, attention), end]


NUMBERS |= {
    f"{start}.{name}.{condition}{dot}": ("change", _woken(dataset, name, i, end))
    for start, dataset in CODED.items()
    for name in embeddings.JUDGED
    for i, condition in enumerate(CONDITIONS)
    for dot, end in ENDS.items()
}
NUMBERS |= {
    f"{start}.decoded.errs.{attention}{dot}": ("change", _errs(dataset, "decoded", attention, end))
    for start, dataset in CODED.items()
    for attention in ("softmax", "zero")
    for dot, end in ENDS.items()
}
NUMBERS |= {  # of the gap, against linear itself: no part of the rule
    f"{start}.{name}.over-linear{dot}": ("change", _over_linear(dataset, name, part))
    for start, dataset in CODED.items()
    for name in ("decoded", *embeddings.JUDGED)
    for dot, part in {"": "gain", ".low": "low", ".high": "high"}.items()
}
STATEMENTS |= {
    f"codebook.none-woken-on-{dataset}": lambda f, d=dataset: {
        answer["answer"] for answer in f.codebooks(d).values()
    } == {"not woken"}
    for dataset in CODED.values()
}


def _longer(f, attention: str, dataset: str = "recall-4", name: str = "code") -> float:
    """Error on recall with four times the steps, one seed."""
    of = runs.codebook()[f"{dataset}: {name}, four times the steps"]
    known = {(name, s.attention, s.seed): s for s in of if s.attention == attention}
    return embeddings.errors(f.ledger, known).error.iloc[0]


def _parities_longer(f) -> list[float]:
    """Errors of softmax on recall with keys of parities with four times the steps."""
    dataset = "recall-4-nonlinear"
    return [_longer(f, "softmax", dataset, name) for name in runs.LONGER[dataset]]


NUMBERS |= {
    f"{start}.{name}{middle}{dot}": ("share", _error(dataset, name, attention, end))
    for start, dataset in {"codebook.recall": "recall-4",
                           "codebook.parities": "recall-4-nonlinear"}.items()
    for name in runs.CODEBOOKS
    for middle, attention in {"": "softmax", ".zero": "zero"}.items()
    for dot, end in ENDS.items()
}
NUMBERS |= {f"codebook.recall.longer.{a}": ("share", lambda f, a=a: _longer(f, a))
            for a in ("softmax", "zero")}
NUMBERS |= {f"codebook.parities.longer.{end.__name__}": (
                "share", lambda f, end=end: end(_parities_longer(f))) for end in (min, max)}


def _slow(f) -> bool:
    """*code* is far behind on recall, and is not with four times the steps; ``decoded`` and
    *code-init* are not behind.
    """
    error = f.errors_of_codebooks("recall-4").xs("softmax", level=1)
    return bool(error.low["code"] > 0.25
                and error.loc[["decoded", "code-init"], "high"].lt(0.05).all()
                and _longer(f, "softmax") < 0.05)


def _unlearned(f) -> bool:
    """On recall with keys of parities softmax is nowhere clearly ahead of zero: their 95 %
    intervals meet under every embedding, and each leaves more than half of the error."""
    error = f.errors_of_codebooks("recall-4-nonlinear")
    softmax, zero = (error.xs(a, level=1).loc[list(runs.CODEBOOKS)] for a in ("softmax", "zero"))
    return bool((softmax.high > zero.low).all() and softmax.low.gt(0.5).all())


def _unlearned_longer(f) -> bool:
    """Nor with four times the steps: with softmax more than half of the error is left."""
    return min(_parities_longer(f)) > 0.5


def _attention(f, dataset: str) -> pd.DataFrame:
    return embeddings.attention(f.ledger, embeddings.codebook_runs(dataset))


def _gaps_of_codes(f) -> pd.Series:
    """Mean gap on the state machine by embedding."""
    found = embeddings.errors(f.ledger, embeddings.codebook_runs("state-machine"))
    return gaps(found).relative.groupby("embedding").mean()


def _no_sharper(f) -> bool:
    """On no synthetic series a codebook's entropy is shown to be lower than that of linear."""
    synthetic = (d for d in runs.CODEBOOK_SEEDS if d in embeddings.UNITS)
    tables = [embeddings.over_linear(_attention(f, d)) for d in synthetic]
    return all(len(t) and t.high.ge(0).all() for t in tables)


NUMBERS |= {
    f"codebook.{what}.{name}": ("weight", lambda f, w=what, n=name: _attention(
        f, "state-machine").query("embedding == @n")[w].mean())
    for what in ("lift", "entropy") for name in ("linear", *RANDOM_START)
}
NUMBERS |= {f"codebook.gap.{name}": ("share", lambda f, n=name: _gaps_of_codes(f)[n])
            for name in runs.CODEBOOKS}
STATEMENTS["codebook.none-before-fixed"] = lambda f: not any(
    answer["conditions"].holds.iloc[3] for answer in f.codebooks("state-machine").values())
STATEMENTS["codebook.no-sharper"] = _no_sharper
STATEMENTS["codebook.random-start-is-slow"] = _slow
STATEMENTS["codebook.parities.unlearned"] = _unlearned
STATEMENTS["codebook.parities.unlearned-longer"] = _unlearned_longer

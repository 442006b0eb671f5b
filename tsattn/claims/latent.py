"""Numbers and statements of chapter 7, by name; ``facts`` adds them to its own."""

from __future__ import annotations

import pandas as pd

from ..analysis import embeddings
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
    "latent.gain.mlp": ("points", lambda f: _gains(f, "state-machine").gain["mlp"]),
}
STATEMENTS = {
    "latent.no-embedding-widens": _none_widens,
    "latent.contrast-falls": _falls,
    "latent.mlp-narrows": lambda f: bool(
        (t := _gains(f, "state-machine").loc["mlp"]).p < LEVEL and t.gain < 0
    ),
}

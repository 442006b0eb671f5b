"""Runs and their errors by embedding, on the synthetic series and on ETT: chapters 7 and 8."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import pandas as pd

from . import runs
from .data import SYNTHETIC, toy
from .ledger import Ledger
from .settings import Settings, make

EMBEDDINGS = {e: dict(embedding=e) for e in ("linear", "mlp", "conv", "residual")}
BOTH = ("softmax", "zero")
UNITS = {SYNTHETIC: "error on events (MSE)",
         **dict.fromkeys(toy.RECALL, "error (predicting 0 = 1)")}
Named = dict[tuple[str, str, int], Settings]  # by embedding, attention and seed


def unit(dataset: str) -> str:
    """What ``errors`` counts on a data set."""
    return UNITS.get(dataset, "test MSE")


def embedding_runs(dataset: str, profile: str = "paper", embeddings=EMBEDDINGS, attentions=BOTH,
                   seeds=runs.FEW_SEEDS, **changes) -> Named:
    """Runs by embedding, attention and seed; ``embeddings`` maps names to changes of settings.

    ``changes`` are for all of them. The synthetic series have their own training (``runs.toy``);
    elsewhere the rate is the talk's unless one is given.
    """
    run = functools.partial(runs.toy, dataset, profile) if dataset in UNITS else functools.partial(
        make, profile, dataset=dataset)
    return {(name, a, seed): run(attention=a, seed=seed, **changes, **change)
            for seed in seeds for name, change in embeddings.items() for a in attentions}


def codebook_runs(dataset: str, profile: str = "paper", names: Iterable[str] = runs.CODEBOOKS,
                  attentions=(*BOTH, "fixed"), seeds=None, **changes) -> Named:
    """Runs of chapter 8 by embedding, attention and seed, but for ``runs.left_out``; the names are
    those of ``runs.CODEBOOKS``, ``runs.MORE_CODEBOOKS`` and ``runs.ORACLE``. At 1e-4 on ETT."""
    known = runs.CODEBOOKS | runs.MORE_CODEBOOKS | runs.ORACLE
    rate = {} if dataset in UNITS else dict(learning_rate=runs.LOW_RATE)
    found = embedding_runs(dataset, profile, {n: known[n] for n in names}, attentions,
                           seeds or runs.CODEBOOK_SEEDS.get(dataset, runs.FEW_SEEDS), **rate,
                           **changes)
    return {k: s for k, s in found.items() if not runs.left_out(dataset, *k[:2])}


def errors(ledger: Ledger, asked: Named) -> pd.DataFrame:
    """Test error of what is recorded of ``asked``: run_id, embedding, attention, seed, error.

    On the state machine that at event samples, on recall a share of the error of predicting zero
    (table ``toy_errors``, on the most windows recorded), elsewhere the MSE.
    """
    named = pd.DataFrame([(s.run_id, *name) for name, s in asked.items()],
                         columns=["run_id", "embedding", "attention", "seed"])
    dataset = next((s.dataset for s in asked.values()), "")
    if dataset not in UNITS:
        found = ledger.runs(ledger.complete(list(asked.values())))
        found = found.rename(columns={"test_mse": "error"})
    elif len(found := ledger.read("toy_errors")):
        found = found[found.intervention == "none"].sort_values(  # 0 and none: all windows
            "windows", key=lambda n: n.fillna(0).replace(0, float("inf")), kind="stable")
        found = found.drop_duplicates("run_id", keep="last")
        error = found.event_mse if dataset == SYNTHETIC else found.mse / found.zero_mse
        found = found.assign(error=error)
    if found.empty:
        return named[:0].assign(error=[])
    return named.merge(found[["run_id", "error"]], on="run_id")

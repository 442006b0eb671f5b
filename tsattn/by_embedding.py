"""Errors by embedding, on the synthetic series and on ETT: chapters 7 and 8."""

from __future__ import annotations

import pandas as pd

from .data import SYNTHETIC, toy
from .ledger import Ledger
from .settings import Settings

UNITS = {SYNTHETIC: "error on events (MSE)",
         **dict.fromkeys(toy.RECALL, "error (predicting 0 = 1)")}


def unit(dataset: str) -> str:
    """What ``errors`` counts on a data set."""
    return UNITS.get(dataset, "test MSE")


def errors(ledger: Ledger, asked: dict[tuple[str, str, int], Settings]) -> pd.DataFrame:
    """Test error of what is recorded of ``asked``, runs by embedding, attention and seed (such as
    ``runs.embeddings``): run_id, embedding, attention, seed, error.

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

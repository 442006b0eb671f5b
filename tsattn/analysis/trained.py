"""Measurements on trained models, read from the ledger: interventions, events, attention
weights, recall.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from .. import runs
from ..ledger import Ledger
from ..settings import ATTENTIONS, Settings
from .cells import patchtst

BESIDE = ("dataset", "attention", "seed", "n_tokens")


def beside(rows: pd.DataFrame, asked: Iterable[Settings]) -> pd.DataFrame:
    """``rows`` of a table of measurements with data set, attention, seed and tokens of their run;
    an empty table has these columns too.
    """
    named = pd.DataFrame(
        [{"run_id": s.run_id} | {name: getattr(s, name) for name in BESIDE} for s in asked],
        columns=["run_id", *BESIDE],
    ).drop_duplicates("run_id")
    return rows.merge(named, on="run_id") if len(rows) else named[:0]


def changes(
    table: pd.DataFrame, asked: list[Settings], layers: str = "all"
) -> dict[str, pd.Series]:
    """Relative change of the test MSE of the trained models ``asked``, by run, under each of the
    interventions on ``layers`` in ``table``; empty where nothing has been measured.
    """
    if table.empty:
        return {}
    table = table[table.layers.eq(layers) | table.intervention.eq("none")]
    table = table[table.run_id.isin({s.run_id for s in asked})]
    mse = table.groupby(["intervention", "run_id"]).test_mse.mean().unstack(0)
    return (
        {name: (mse[name] / mse["none"] - 1).dropna() for name in mse if name != "none"}
        if "none" in mse
        else {}
    )


def after_training(
    ledger: Ledger, rate: float = runs.LOW_RATE, layers: str = "all", profile: str = "paper"
) -> dict[str, pd.Series]:
    """``changes`` of PatchTST with softmax on ETTh1, trained at ``rate``."""
    softmax = patchtst(rate, profile)["softmax"]
    return changes(ledger.read("interventions"), softmax, layers)


def on_most_windows(rows: pd.DataFrame) -> pd.DataFrame:
    """Of a run measured on more windows and on fewer, the rows on the most."""
    if "windows" not in rows:
        return rows
    windows = rows.windows.fillna(0)
    return rows[windows == windows.groupby(rows.run_id).transform("max")]


def toy_rows(
    ledger: Ledger, table: str, dataset: str, profile: str = "paper", intervention: str = "none"
) -> pd.DataFrame:
    """Rows of ``table`` about models trained on ``dataset`` as chapter 5 trains them, with
    attention and seed, those on the most windows; empty where there are none.
    """
    named = [
        runs.toy(dataset, profile, attention=a, seed=seed)
        for a in ATTENTIONS
        for seed in runs.FEW_SEEDS
    ]
    named = pd.DataFrame([dict(run_id=s.run_id, attention=s.attention, seed=s.seed) for s in named])
    found = ledger.read(table)
    found = on_most_windows(found.merge(named, on="run_id")) if len(found) else named[:0]
    return found[found.intervention == intervention] if "intervention" in found else found


def event_multiples_of(ledger: Ledger, attention: str, intervention: str = "none") -> pd.Series:
    """Error on events of the toy series in multiples of the best possible, by seed."""
    rows = toy_rows(ledger, "toy_errors", "state-machine", intervention=intervention)
    rows = rows[rows.attention == attention]
    if rows.empty:
        return pd.Series(dtype=float)
    return (rows.event_mse / rows.best_event_mse).groupby(rows.seed).mean()


def share_of_zero(ledger: Ledger, dataset: str, profile: str = "paper") -> pd.Series:
    """Error as a share of that of predicting zero, by attention and seed, on recall and the
    dial.
    """
    rows = toy_rows(ledger, "toy_errors", dataset, profile)
    return (
        (rows.mse / rows.zero_mse).groupby([rows.attention, rows.seed]).mean()
        if "mse" in rows
        else pd.Series(dtype=float)
    )

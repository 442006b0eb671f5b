"""Comparisons of runs on the same test windows, read from the ledger: numbers only."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ..ledger import Ledger
from ..settings import ATTENTIONS, Settings
from ..statistics import as_family, block_length, compare


def against(
    ledger: Ledger, base: list[Settings], others: dict[str, list[Settings]], pooled: bool = False
) -> pd.DataFrame:
    """``statistics.compare`` of the complete runs of ``others`` (name -> runs) with those of
    ``base``, as one family.

    ``pooled``: one spread between seeds for all. Empty where ``base`` or all others are missing.
    """
    errors = {name: ledger.errors_by_seed(runs) for name, runs in {"": base, **others}.items()}
    errors = {name: by_seed for name, by_seed in errors.items() if by_seed}
    if "" not in errors:
        return pd.DataFrame()
    n_windows = len(next(iter(errors[""].values())))
    return compare(errors, "", block_length(base[0].seq_len, base[0].pred_len, n_windows), pooled)


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Those of ``tables`` that have rows, one below the other; empty where none has."""
    found = [table for table in tables if len(table)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def by_attention(named: list[Settings]) -> dict[str, list[Settings]]:
    """Those of ``named`` that have an attention, by its name; an empty list where none has."""
    return {a: [s for s in named if s.attention == a] for a in ATTENTIONS}


def replacements(ledger: Ledger, named: list[Settings]) -> pd.DataFrame:
    """Every other attention among ``named`` against softmax, and softmax without feed-forward
    networks as ``attention only``; the spread between seeds is that of all of them.
    """
    by = by_attention([s for s in named if s.feed_forward])
    by["attention only"] = [s for s in named if not s.feed_forward]
    return against(ledger, by.pop("softmax"), by, pooled=True)


def one_family(rows: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Comparisons of one row each, with bases of their own, by ``label``, as one family; empty
    where none has been run.
    """
    table = joined(rows.values())
    if table.empty:
        return pd.DataFrame(
            columns=["label", "model", "difference", "low", "high", "reference", "verdict"]
        )
    return as_family(table).assign(label=[label for label, row in rows.items() if len(row)])


def at_last_epoch(ledger: Ledger, named: list[Settings]) -> pd.Series:
    """Whether each complete run was kept after the last epoch allowed, so that its training was
    not finished.
    """
    done = ledger.runs(ledger.complete(named))
    return done.best_epoch == done.epochs


def past_kept(ledger: Ledger, named: list[Settings]) -> pd.Series:
    """Relative change of the test MSE from the epoch that is kept to the last one trained: mean
    over the complete runs, by attention.
    """
    done = ledger.complete(named)
    curves = ledger.curves(done)
    last = curves.loc[curves.groupby("run_id").epoch.idxmax()].set_index("run_id")
    rise = (
        (last.test_mse / ledger.runs(done).set_index("run_id").test_mse - 1)
        .groupby(last.attention)
        .mean()
    )
    return rise[[a for a in ATTENTIONS if a in rise]]


def relative_mse(
    ledger: Ledger, named: dict[str, list[Settings]], split: str = "val"
) -> pd.DataFrame:
    """MSE [seed, model] of every other model of ``named`` (model -> runs) relative to that of
    "softmax", minus 1, over the seeds that all of them have; empty if none. The validation
    months are a second stretch of time, though not one that was kept out of every choice: they
    chose the epoch of each run.
    """
    names = {s.run_id: name for name, runs in named.items() for s in runs if s.seeded}
    table = ledger.runs(ledger.complete([s for runs in named.values() for s in runs if s.seeded]))
    if table.empty:
        return pd.DataFrame()
    mse = (
        table.assign(name=table.run_id.map(names))
        .pivot(index="seed", columns="name", values=f"{split}_mse")
        .dropna()
    )
    if "softmax" not in mse:
        return pd.DataFrame()
    return (
        mse[[name for name in named if name in mse and name != "softmax"]].div(mse.softmax, axis=0)
        - 1
    )


def preferred(ledger: Ledger, *choices: list[Settings]) -> list[Settings]:
    """The complete runs of the choice with the lowest mean validation MSE over the seeds that
    all have; test errors play no part.
    """
    done = [runs for runs in map(ledger.complete, choices) if runs]
    shared = set.intersection(*({s.seed for s in runs} for runs in done)) if done else set()
    return min(
        done,
        key=lambda runs: (
            ledger.runs([s for s in runs if s.seed in shared]).val_mse.mean() if shared else 0
        ),
        default=[],
    )


def at_preferred_rates(
    ledger: Ledger, named: dict[float, dict[str, list[Settings]]], rate: float
) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Every model of ``named`` (learning rate -> model -> runs) against softmax: all at
    ``rate``; each at the rate that validation prefers; and the runs of the latter by model.
    """
    best = {
        name: preferred(ledger, *(of_rate[name] for of_rate in named.values()))
        for name in named[rate]
    }
    tables = [
        against(
            ledger,
            models["softmax"],
            {name: runs for name, runs in models.items() if name != "softmax"},
        )
        for models in (named[rate], best)
    ]
    return *tables, best

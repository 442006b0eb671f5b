"""What training costs, from the tables that ``python -m tsattn bench --record`` writes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import runs
from ..ledger import Ledger
from ..settings import ATTENTIONS
from .cells import patchtst

CODE = ("source", "python", "torch", "numpy", "cpu")  # what a time depends on


def recorded(ledger: Ledger, name: str, profile: str = "paper") -> pd.DataFrame:
    """Rows of ``bench_<name>`` for these sizes; empty if none were measured."""
    table = ledger.read(f"bench_{name}")
    return table[table.profile == profile] if len(table) else table


def steps(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """``bench_steps`` by attention, in the usual order. ``times``: the peer's least time over ours;
    ``ratio``: the median of that, turn by turn; ``memory``: our peak over the peer's."""
    table = recorded(ledger, "steps", profile)
    if table.empty:
        return table
    table = table.set_index("attention").reindex(ATTENTIONS).dropna(subset="step_ms")
    return table.assign(times=table.peer_step_ms / table.step_ms,
                        memory=table.peak_mb / table.peer_peak_mb)


def power(curves: pd.DataFrame, grows: str, attention: str, column: str = "step_ms") -> float:
    """The power of the size by which ``column`` grows from the third last point to the last."""
    of = curves[(curves.grows == grows) & (curves.attention == attention)].sort_values("value")
    first, last = of.iloc[-3], of.iloc[-1]
    return np.log(last[column] / first[column]) / np.log(last.value / first.value)


def same_code(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables were measured by the same code with the same packages and processor."""
    return set(map(tuple, one[list(CODE)].values)) == set(map(tuple, other[list(CODE)].values))


def core_hours(table: pd.DataFrame) -> pd.Series:
    """Hours of one core that each run of ``runs`` took, as it happened beside other work."""
    return table.seconds * table.threads / 3600


def whole_runs(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Core-minutes of whole PatchTST runs at the primary rate, by attention: mean, range, count."""
    named = patchtst(runs.LOW_RATE, profile)
    found = {a: ledger.runs(ledger.complete(of)) for a, of in named.items()}
    parts = {a: 60 * core_hours(t) for a, t in found.items() if len(t)}
    if not parts:
        return pd.DataFrame()
    return pd.DataFrame({a: v.agg(["mean", "min", "max", "count"]) for a, v in parts.items()}).T

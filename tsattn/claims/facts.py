"""Numbers and statements that the prose uses, by name: those that chapters have written
(``numbers``), and those that no chapter writes, computed here in the same form."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from .. import numbers, registered_dose, registered_rates
from ..ledger import Ledger
from ..numbers import HOLDS, NotRun, UnknownName
from . import Found, judge

# What no chapter writes: a form, and its names.
UNWRITTEN = {
    "count": ("runs", "runs.graphics-card"),
    "change": ("rates.zero", "rates.two-channels", "rates.mean"),
    "weight": ("rates.zero.p", "rates.rate.softmax", "rates.rate.zero", "rates.rate.mean"),
    "share": ("dose.saved-10", "dose.worth"),
    HOLDS: ("rates.loss-shown", "rates.gain-shown", "rates.below-margin", "rates.as-well",
            "dose.confirmed", "dose.worth-found")}


class Facts:
    """Numbers and statements of one ledger. ``said``: what is read instead of the ledger's
    ``numbers``."""

    def __init__(self, ledger: Ledger, said: pd.DataFrame | None = None):
        self.ledger = ledger
        said = numbers.read(ledger) if said is None else said
        self.outcomes: dict[str, Found] = judge(ledger, said=said)
        self.said = pd.concat([said, unwritten(ledger)])

    @cached_property
    def _report(self) -> pd.DataFrame:
        """What the report says, of whatever ledger this is."""
        return numbers.read(Ledger(record=True))

    def number(self, name: str) -> tuple[float, str]:
        """Value and form of a name. Raises ``UnknownName``, and ``NotRun`` where the report has the
        name and this ledger lacks what it rests on."""
        if found := numbers.number(self.said, name):
            return found
        raise self._lacking(name)

    def holds(self, name: str) -> bool:
        """Whether a statement holds, or ``<claim>.<verdict>`` (spaces as hyphens) is what was
        found. Raises ``UnknownName`` and ``NotRun``."""
        if (found := numbers.holds(self.said, name)) is not None:
            return found
        claim, _, word = name.partition(".")
        if claim in self.outcomes and word:
            return self.outcomes[claim].verdict == word.replace("-", " ")
        raise self._lacking(name)

    def _lacking(self, name: str) -> UnknownName:
        waiting = {*self.said.index[self.said.value.isna()]}
        if name in self._report.index or numbers.number(self._report, name) or \
                name.removesuffix(".low").removesuffix(".high") in waiting:
            return NotRun(f"{name}: not run yet")
        return UnknownName(f"{name}: no number and no statement of the report has this name")


def unwritten(ledger: Ledger) -> pd.DataFrame:
    """Rows of ``numbers`` for ``UNWRITTEN``; NaN as long as what they rest on has not been run."""
    values = counted(ledger) | rates(ledger) | doses(ledger)
    rows = [dict(name=name, form=form, **dict(zip(
        ("value", "low", "high"), map(float, values.get(name, [np.nan])), strict=False)))
        for form, names in UNWRITTEN.items() for name in names]
    return pd.DataFrame(rows, columns=numbers.COLUMNS).set_index("name")


def counted(ledger: Ledger) -> dict:
    """How many complete full runs there are, and how many of them are from a graphics card."""
    runs = ledger.read("runs")
    if runs.empty:
        return {}
    done = runs[(runs.status == "complete") & (runs.profile == "paper")]
    return {"runs": [len(done)], "runs.graphics-card": [(done.device != "cpu").sum()]}


def rates(ledger: Ledger) -> dict:
    """Of the registered test R1: each arm at its own best learning rate, against softmax."""
    table = registered_rates.judged(ledger)
    if table.empty:
        return {}
    of = table.set_index("test").rename(
        {"primary": "zero", "HUFL and MUFL": "two-channels"}).T.to_dict()
    zero = of["zero"]
    shown, below = (zero[p] < registered_rates.LEVEL for p in ("p", "p_not_worse"))
    return {
        **{f"rates.{test}": [row["difference"], row["low"], row["high"]]
           for test, row in of.items()},
        "rates.zero.p": [zero["p"]], "rates.rate.softmax": [zero["rate_of_softmax"]],
        **{f"rates.rate.{arm}": [of[arm]["rate"]] for arm in ("zero", "mean")},
        "rates.loss-shown": [shown and zero["difference"] > 0],
        "rates.gain-shown": [shown and zero["difference"] < 0],
        "rates.below-margin": [below], "rates.as-well": [below and not shown]}


def doses(ledger: Ledger) -> dict:
    """Of the registered test R2, a known dose of look-up: savings, which are in per cent there."""
    table = registered_dose.judged(ledger)
    if table.empty:
        return {}
    row = table.set_index(["without", "dose"]).loc[registered_dose.PRIMARY]
    worth = registered_dose.worth(table).dose / 100
    return {"dose.saved-10": [row.saved / 100, row.low / 100, row.high / 100],
            "dose.worth": [worth], "dose.worth-found": [np.isfinite(worth)],
            "dose.confirmed": [row.confirmed]}

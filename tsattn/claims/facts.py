"""Numbers and statements that the prose uses, by name: those that chapters have written
(``numbers``), and those that no chapter writes yet, computed here in the same form."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from .. import numbers, registered_dose, registered_rates
from ..ledger import Ledger
from ..numbers import HOLDS, NotRun, UnknownName
from . import Found, judge

RATES = {"zero": "primary", "two-channels": "HUFL and MUFL", "mean": "mean"}  # tests, by name
LEVEL = registered_rates.LEVEL


class Facts:
    """Numbers and statements of one ledger. ``said``: what is read instead of the ledger's
    ``numbers``."""

    def __init__(self, ledger: Ledger, said: pd.DataFrame | None = None):
        self.ledger = ledger
        said = numbers.read(ledger) if said is None else said
        self.outcomes: dict[str, Found] = judge(ledger, said=said)
        rows = [*counted(ledger), *rates(ledger), *doses(ledger)]
        self.said = pd.concat([said, pd.DataFrame(rows, columns=numbers.COLUMNS).set_index("name")])

    @cached_property
    def _known(self) -> pd.DataFrame:
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
        waiting = self.said.index[self.said.value.isna()]
        if name in self._known.index or numbers.number(self._known, name) or \
                {name, name.rpartition(".")[0]} & {*waiting}:
            return NotRun(f"{name}: not run yet")
        return UnknownName(f"{name}: no number and no statement of the report has this name")


# -- rows of ``numbers``; their values are NaN as long as what they rest on has not been run


def row(name: str, form: str, value, low=np.nan, high=np.nan, detectable=np.nan) -> dict:
    return dict(name=name, form=form, value=float(value), low=low, high=high, detectable=detectable)


def counted(ledger: Ledger) -> list[dict]:
    """How many complete full runs there are, and how many of them are from a graphics card."""
    runs = ledger.read("runs")
    done = runs[(runs.status == "complete") & (runs.profile == "paper")] if len(runs) else None
    return [row("runs", "count", np.nan if done is None else len(done)),
            row("runs.graphics-card", "count",
                np.nan if done is None else (done.device != "cpu").sum())]


def rates(ledger: Ledger) -> list[dict]:
    """Of the registered test R1, each arm at its own best learning rate."""
    table = registered_rates.judged(ledger)
    columns = ["difference", "low", "high", "detectable", "p", "p_not_worse", "rate",
               "rate_of_softmax"]
    of = table.set_index("test") if len(table) else pd.DataFrame(np.nan, RATES.values(), columns)
    first = of.loc["primary"]
    loss, gain = (first.p < LEVEL and sign * first.difference > 0 for sign in (1, -1))
    below = first.p_not_worse < LEVEL
    statements = {"loss-shown": loss, "gain-shown": gain, "below-margin": below,
                  "cannot-tell": not (loss or gain or below),
                  "as-well": below and not (loss or gain)}
    return [
        *(row(f"rates.{name}", "change", *of.loc[test, columns[:4]])
          for name, test in RATES.items()),
        *(row(f"rates.{name}.p", "weight", of.p[test]) for name, test in RATES.items()),
        row("rates.rate.softmax", "weight", first.rate_of_softmax),
        *(row(f"rates.rate.{arm}", "weight", of.rate[RATES[arm]]) for arm in ("zero", "mean")),
        *(row(f"rates.{name}", HOLDS, holds if len(table) else np.nan)
          for name, holds in statements.items())]


def doses(ledger: Ledger) -> list[dict]:
    """Of the registered test R2, a known dose of look-up; its savings are in per cent."""
    table = registered_dose.judged(ledger)
    names = {f"dose.saved-{n}": ("zero", n) for n in (1, 3, 10, 30)}
    if table.empty:
        return [*(row(name, "share", np.nan) for name in (*names, "dose.worth")),
                *(row(f"dose.{name}", HOLDS, np.nan) for name in ("confirmed", "worth-found"))]
    of, worth = table.set_index(["without", "dose"]), registered_dose.worth(table) / 100
    return [
        *(row(name, "share", *of.loc[key, ["saved", "low", "high"]] / 100)
          for name, key in names.items()),
        row("dose.worth", "share", worth.dose, worth.low, worth.high),
        row("dose.confirmed", HOLDS, of.confirmed[registered_dose.PRIMARY]),
        row("dose.worth-found", HOLDS, np.isfinite(worth.dose))]

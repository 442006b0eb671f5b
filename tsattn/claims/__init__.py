"""The claims of the report, and every number and statement that its texts look up by name.

``claims.toml`` states each claim exactly once. A chapter decides it (``Chapter.claim``); README,
site and slides print what ``decided`` finds in ``numbers`` and decide nothing themselves.
"""

from __future__ import annotations

import tomllib
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from .. import numbers, registered_dose, registered_rates
from ..ledger import Ledger
from ..numbers import HOLDS, NotRun, UnknownName
from .rules import NOT_RUN, Claim, Found, Number

CLAIMS = {name: Claim(**of) for name, of in tomllib.loads(
    (Path(__file__).parent / "claims.toml").read_text("utf-8")).items()}

# Notes beside a verdict: some loss is shown, though not that it reaches the margin; some cell has
# too few separate weeks for its intervals; the verdict for these test months alone.
LOST, FEW_WEEKS, HERE = "loss shown", "few weeks", "here: "

# Names that no chapter writes.
UNWRITTEN = (
    "runs", "runs.graphics-card", "rates.zero", "rates.two-channels", "rates.mean", "rates.zero.p",
    "rates.rate.softmax", "rates.rate.zero", "rates.rate.mean",
    "rates.loss-shown", "rates.gain-shown", "rates.below-margin", "rates.as-well",
    "dose.saved-10", "dose.worth", "dose.worth-found", "dose.confirmed")


def decided(name: str, said: pd.DataFrame) -> Found:
    """A claim as its chapter has decided it in ``said`` (``numbers.read``); "not run yet" where it
    has not."""
    if name not in said.index:
        return Found(NOT_RUN, claim=CLAIMS[name])
    row = said.loc[name]
    verdict, *notes = row.words.split("; ")
    here = next((n.removeprefix(HERE) for n in notes if n.startswith(HERE)), "")
    return Found(
        verdict, Number(row.value, row.low, row.high, row.form),
        0 if pd.isna(row.seeds) else int(row.seeds),
        float("nan") if row.detectable is None else row.detectable, split_verdict=here,
        few_blocks=FEW_WEEKS in notes, lost=LOST in notes, claim=CLAIMS[name])


class Facts:
    """Numbers and statements of one ledger, by name: those that chapters have written
    (``numbers``), and ``UNWRITTEN``. ``said``: what is read instead of the ledger's ``numbers``."""

    def __init__(self, ledger: Ledger, said: pd.DataFrame | None = None):
        self.ledger = ledger
        said = numbers.read(ledger) if said is None else said
        self.outcomes = {name: decided(name, said) for name in CLAIMS}
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
        if name in self._report.index or numbers.number(self._report, name) or \
                name.removesuffix(".low").removesuffix(".high") in UNWRITTEN:
            return NotRun(f"{name}: not run yet")
        return UnknownName(f"{name}: no number and no statement of the report has this name")


def unwritten(ledger: Ledger) -> pd.DataFrame:
    """Rows of ``numbers`` for those of ``UNWRITTEN`` that rest on what has been run."""
    found, runs = rates(ledger) | doses(ledger), ledger.read("runs")
    if len(runs):  # complete full runs, and those of them that are from a graphics card
        done = runs[(runs.status == "complete") & (runs.profile == "paper")]
        found["runs"] = "count", len(done)
        found["runs.graphics-card"] = "count", (done.device != "cpu").sum()
    rows = [dict(zip(("name", "form", "value", "low", "high"), (name, *row), strict=False))
            for name, row in found.items()]
    table = pd.DataFrame(rows, columns=numbers.COLUMNS).set_index("name")
    return table.astype(dict.fromkeys(numbers.VALUES, float))


def rates(ledger: Ledger) -> dict[str, tuple]:
    """Of the registered test R1, each arm at its own best learning rate against softmax: form,
    value and interval by name."""
    table = registered_rates.judged(ledger)
    if table.empty:
        return {}
    of = table.set_index("test").rename(
        {"primary": "zero", "HUFL and MUFL": "two-channels"}).T.to_dict()
    zero = of["zero"]
    shown, below = (zero[p] < registered_rates.LEVEL for p in ("p", "p_not_worse"))
    return {**{f"rates.{test}": ("change", row["difference"], row["low"], row["high"])
               for test, row in of.items()},
        "rates.zero.p": ("weight", zero["p"]),
        "rates.rate.softmax": ("weight", zero["rate_of_softmax"]),
        **{f"rates.rate.{arm}": ("weight", of[arm]["rate"]) for arm in ("zero", "mean")},
        "rates.loss-shown": (HOLDS, shown and zero["difference"] > 0),
        "rates.gain-shown": (HOLDS, shown and zero["difference"] < 0),
        "rates.below-margin": (HOLDS, below), "rates.as-well": (HOLDS, below and not shown)}


def doses(ledger: Ledger) -> dict[str, tuple]:
    """Of the registered test R2, a known dose of look-up: savings, which are in per cent there."""
    table = registered_dose.judged(ledger)
    if table.empty:
        return {}
    row = table.set_index(["without", "dose"]).loc[registered_dose.PRIMARY]
    worth = registered_dose.worth(table).dose / 100
    return {"dose.saved-10": ("share", row.saved / 100, row.low / 100, row.high / 100),
            "dose.worth": ("share", worth), "dose.worth-found": (HOLDS, np.isfinite(worth)),
            "dose.confirmed": (HOLDS, row.confirmed)}

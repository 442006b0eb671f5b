"""The claims of the report, and every number and statement that its texts look up by name.

``claims.toml`` states each claim exactly once. A chapter decides it (``Chapter.claim``); README,
site and slides print what ``decided`` finds in ``numbers`` and decide nothing themselves.
"""

from __future__ import annotations

import tomllib
from functools import cached_property
from pathlib import Path

import pandas as pd

from .. import numbers
from ..ledger import Ledger
from ..numbers import NotRun, UnknownName
from .rules import NOT_RUN, VERDICTS, Claim, Found, Number

CLAIMS = {name: Claim(**of) for name, of in tomllib.loads(
    (Path(__file__).parent / "claims.toml").read_text("utf-8")).items()}

# Notes beside a verdict: some loss is shown, though not that it reaches the margin; some cell has
# too few separate weeks for its intervals; the verdict for these test months alone.
LOST, FEW_WEEKS, HERE = "loss shown", "few weeks", "here: "

UNWRITTEN = ("runs", "runs.graphics-card")  # names that no chapter writes


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
        if claim in self.outcomes and word.replace("-", " ") in VERDICTS:
            return self.outcomes[claim].verdict == word.replace("-", " ")
        raise self._lacking(name)

    def _lacking(self, name: str) -> UnknownName:
        if name in [*self._report.index, *UNWRITTEN] or numbers.number(self._report, name):
            return NotRun(f"{name}: not run yet")
        return UnknownName(f"{name}: no number and no statement of the report has this name")


def unwritten(ledger: Ledger) -> pd.DataFrame:
    """Rows of ``numbers`` for those of ``UNWRITTEN`` that rest on what has been run."""
    runs = ledger.read("runs").reindex(columns=["status", "profile", "device"])
    done = runs[(runs.status == "complete") & (runs.profile == "paper")]  # complete full runs
    found = {"runs": len(done), "runs.graphics-card": (done.device != "cpu").sum()}
    table = pd.DataFrame({"value": pd.Series(found if len(runs) else {}, dtype=float)})
    table = table.assign(form="count").reindex(columns=numbers.COLUMNS[1:]).rename_axis("name")
    return table.astype(dict.fromkeys(numbers.VALUES, float))

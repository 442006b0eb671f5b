"""Numbers and statements that the prose uses, by name: what chapters have written (``numbers``),
and what no chapter writes yet (``NUMBERS``, ``STATEMENTS``), computed from the ledger when asked
for. ``<claim>.<verdict>`` is a statement, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

import pandas as pd

from .. import numbers
from ..ledger import Ledger
from ..numbers import NotRun
from . import Outcome, judge, talk


def _absent(error: Exception) -> bool:
    """Whether it comes from rows or columns that nothing has recorded, and not from a mistake."""
    if isinstance(error, AttributeError):  # a column of a table without rows
        return isinstance(error.obj, pd.DataFrame) and error.obj.empty
    return isinstance(error, KeyError | IndexError | pd.errors.UndefinedVariableError)


class Facts:
    """Numbers and statements of one ledger. ``said``: what is read instead of the ledger's
    ``numbers``."""

    def __init__(self, ledger: Ledger, said: pd.DataFrame | None = None):
        self.ledger = ledger
        self.said = numbers.read(ledger) if said is None else said
        # A page, a deck and their statements ask for the same ones again and again.
        self.number, self.holds = cache(self.number), cache(self.holds)

    @cached_property
    def outcomes(self) -> dict[str, Outcome]:
        return judge(self.ledger, said=self.said)

    def number(self, name: str) -> tuple[float, str]:
        """Value and form of a name. Raises ``UnknownName``."""
        if found := numbers.number(self.said, name):
            return found
        if name not in NUMBERS:
            raise numbers.lacking(name)
        form, compute = NUMBERS[name]
        return float(self._computed(name, compute)), form

    def holds(self, name: str) -> bool:
        """Whether a statement holds: one that a chapter has made, one of ``STATEMENTS``, or
        ``<claim>.<verdict>`` (spaces as hyphens). Raises ``UnknownName``.
        """
        if (found := numbers.holds(self.said, name)) is not None:
            return found
        if name in STATEMENTS:
            return bool(self._computed(name, STATEMENTS[name]))
        claim, _, word = name.partition(".")
        if claim in self.outcomes and word:
            return self.outcomes[claim].verdict == word.replace("-", " ")
        raise numbers.lacking(name)

    def _computed(self, name: str, compute: Callable[[Facts], float | bool]) -> float | bool:
        try:
            return compute(self)
        except Exception as error:
            if not _absent(error):
                raise
            raise NotRun(f"{name}: not in this ledger ({error!r})") from error


def _complete(ledger: Ledger) -> pd.DataFrame:
    """Complete full runs."""
    table = ledger.read("runs")
    return table[(table.status == "complete") & (table.profile == "paper")]


NUMBERS = {
    "runs": ("count", lambda f: len(_complete(f.ledger))),
    "runs.graphics-card": ("count", lambda f: (_complete(f.ledger).device != "cpu").sum()),
    **talk.NUMBERS,
}
STATEMENTS = talk.STATEMENTS

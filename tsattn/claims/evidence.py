"""The comparison that each claim rests on, judged. Every function gives ``Found``, or None where
nothing has been run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from .. import analysis, runs
from ..compare import relative
from ..ledger import Ledger
from . import rules
from .rules import (
    Found,
    number_of,
    word,
)


def compared(table: pd.DataFrame, rule, shown: str, judged: list[str] | None = None):
    """``rules.compared`` of a table of ``statistics.compare``."""
    names = [*table.get("model", ()), "softmax"]
    tidy = relative(table, "softmax", dict.fromkeys(names, []))
    found = rules.compared(tidy, rule, shown, judged)
    return found and replace(found, comparisons=table)


PRIMARY, TALK_RATE = "PatchTST, learning rate 1e-4", "PatchTST, learning rate 1e-3"


def attentions(title: str, rule, dataset: str = "", shown: str = "zero"):
    """A claim about the replacements in one family of runs, in the talk's cell or in all of
    ``dataset``.
    """

    def judge(ledger: Ledger, profile: str) -> Found | None:
        table = (
            analysis.everywhere(ledger, title, profile, dataset)
            if dataset
            else analysis.family(ledger, title, profile, runs.MORE_SEEDS)
        )
        return compared(table, rule, shown)

    return judge


def single(at: Callable, rule, shown: str, judged: list[str] | None = None):
    """A claim on a table of ``compare`` that ``at(ledger, profile)`` makes."""
    return lambda ledger, profile: compared(at(ledger, profile), rule, shown, judged)


def rate_matters_more(ledger: Ledger, profile: str) -> Found | None:
    """Yes where the least that the rate costs is more than the most that going without attention
    costs.
    """
    rate, without = (
        analysis.larger_rate(ledger, profile),
        analysis.family(ledger, PRIMARY, profile, runs.MORE_SEEDS),
    )
    if rate.empty or without.empty:
        return None
    number = number_of(rate.iloc[0])
    most = (without.high / without.reference).max()
    least = (without.low / without.reference).min()
    return Found(
        word(number.low > most, number.high < least),
        number,
        int(rate.seeds.iloc[0]),
        (rate.detectable / rate.reference).iloc[0],
        comparisons=rate,
    )

"""What a claim is, and the rules by which comparisons become one verdict.

Two targets are kept apart. *Other months*: uncertainty from the seeds and from the weeks tested.
*This test split*: from the seeds alone, the weeks being given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..statistics import MIN_SEEDS

YES, MOSTLY, PARTLY, NO, CANNOT_TELL, NOT_SHOWN, NOT_RUN = VERDICTS = (
    "yes", "mostly", "partly", "no", "cannot tell", "not shown", "not run yet")
LEVEL = 0.05
SINGLED_OUT = 1.1  # times an even share of the weight: an upper bound below is "not singled out"
ABOUT_ZERO = 0.25  # of that share
THIS_SPLIT, UNSEEN = "this test split", "the unseen months"


@dataclass(frozen=True)
class Number:
    """What is shown: ``value`` in its 95 % interval, in the ``form`` of ``text.figure``."""

    value: float
    low: float
    high: float
    form: str = "change"


@dataclass(frozen=True)
class Claim:
    """A statement in English and Korean, as ``claims.toml`` has it."""

    chapter: str
    en: str
    ko: str
    shown: tuple[str, str]
    rule: str
    where: str
    target: str = "other months"
    scorecard: bool = False


@dataclass(frozen=True)
class Found:
    """What the ledger says of a claim.

    ``detectable`` is the true change that is found in 80 % of cases. ``few_blocks``: some cell has
    too few separate weeks for its intervals. ``lost``: some loss is shown, though not that it
    reaches the margin. ``split_verdict``: that for these test months alone.
    """

    verdict: str
    number: Number | None = None
    seeds: int = 0
    detectable: float = np.nan
    split_verdict: str = ""
    few_blocks: bool = False
    lost: bool = False
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    claim: Claim | None = None


# -- rules


def word(holds: bool, fails: bool) -> str:
    """Yes where it holds, no where it is shown to fail, else cannot tell."""
    return YES if holds else NO if fails else CANNOT_TELL


def below(ends: tuple[float, float, float], limit: float) -> str:
    """Whether a value with its interval (``interval``) lies below ``limit``."""
    return word(ends[2] < limit, ends[1] > limit)


def combine(words: list[str]) -> str:
    """One verdict from those of several comparisons: all, more than half, some, or none of them
    hold."""
    n, held = len(words), words.count(YES)
    if not n:
        return NOT_RUN
    if held in (0, n):
        return YES if held else NO if NO in words else CANNOT_TELL
    return MOSTLY if 2 * held > n and NO not in words else PARTLY


def _by(table: pd.DataFrame, holds: pd.Series, fails: pd.Series) -> list[str]:
    """A word per row; none counts with too few seeds."""
    enough = table.seeds >= MIN_SEEDS
    return list(np.where(enough & holds, YES, np.where(enough & fails, NO, CANNOT_TELL)))


def not_worse(table: pd.DataFrame, here: bool = False) -> list[str]:
    """Non-inferiority, a word per row of ``compare.versus``: for other months, or ``here``, for
    these test months alone.

    Yes where a loss of the margin or more is excluded; no where a loss is shown.
    """
    of = "_here" * here
    return _by(table, table[f"p_not_worse{of}"] < LEVEL,
               (table[f"p{of}"] < LEVEL) & (table.change > 0))


def better(table: pd.DataFrame, here: bool = False) -> list[str]:
    """Superiority, as ``not_worse``: yes where a gain is shown, no where a loss is, or, for other
    months, equality in the margin."""
    shown, gain = table["p" + "_here" * here] < LEVEL, table.change < 0
    equal = (table.p_equal < LEVEL) & (not here)
    return _by(table, shown & gain, (shown & ~gain) | equal)


def unchanged(row) -> str:
    """Equivalence, of a row of ``compare.disturbed``: yes where a change beyond the margin is
    excluded, no where a change is shown."""
    return word(row.p_equal < LEVEL, row.p < LEVEL) if row.seeds >= MIN_SEEDS else CANNOT_TELL


def increased(row) -> str:
    """Of a row of ``compare.disturbed``: yes where an increase is shown, no where a decrease is."""
    shown = row.p < LEVEL and row.seeds >= MIN_SEEDS
    return word(shown and row.change > 0, shown)

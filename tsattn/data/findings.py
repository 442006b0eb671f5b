"""What was found in a file, in sentences that a chapter prints and in facts that code can use."""

from __future__ import annotations

import re
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .files import DataError

CONSTANT = 1e-7  # spread over largest magnitude: single precision holds seven digits
JITTER = 0.1  # of the usual step: the months of a year count as one step, a missing row does not
SPIKE = 1000  # a value this many times as far from the median as 99 of 100 others is reported
HOUR, DAY = pd.Timedelta("1h"), pd.Timedelta("1D")


class DataWarning(UserWarning):
    """Something in a file of one's own that changes what is measured."""


@dataclass(frozen=True)
class Findings:
    """``notes`` are sentences; the rest are facts. A series without dates has no step, no spans."""

    notes: tuple[str, ...] = ()
    step: pd.Timedelta | None = None  # the usual one
    season: int = 24  # steps
    gaps: int = 0  # steps that are not the usual one
    dropped: tuple[str, ...] = ()  # channels that are constant in the training rows
    held: int = 0  # cells that hold the value of the row before
    # First and last target of each split.
    spans: dict[str, tuple[pd.Timestamp, pd.Timestamp]] = field(default_factory=dict)


def words(step: pd.Timedelta) -> str:
    """A step in words: 15 minutes, 1 hour, 7 days, 1.5 seconds."""
    units = ((DAY, "day"), (HOUR, "hour"), (HOUR / 60, "minute"), (HOUR / 3600, "second"))
    unit, name = next((pair for pair in units if step >= pair[0]), units[-1])
    n = step / unit
    return f"{n:.4g} {name}{'' if n == 1 else 's'}"


def season(step: pd.Timedelta) -> int:
    """Steps of a series' season: a day; a week of daily, a year of weekly, monthly or quarterly
    rows; else 1."""
    if step < DAY:
        return round(DAY / step)
    usual = ((1, 7), (7, 52), (30.4, 12), (91.3, 4))  # days of a step, and its season
    return next((n for days, n in usual if abs(step / DAY - days) < JITTER * days), 1)


def steps(time: pd.DatetimeIndex) -> tuple[pd.Timedelta, np.ndarray]:
    """The usual (median) step, and the rows [K] before which the step is another by more than a
    tenth."""
    found = np.diff(time.to_numpy())
    usual = np.median(found.astype(np.int64)).astype(np.int64).astype(found.dtype)
    off = np.abs(found - usual) > JITTER * usual
    return pd.Timedelta(usual), np.flatnonzero(off) + 1


def regular(time: pd.DatetimeIndex, name: str, gaps: str, size: int,
            as_published: bool) -> tuple[pd.Timedelta, np.ndarray, list[str]]:
    """``steps``, and a sentence if some are irregular. Raises ``DataError`` for these unless
    ``gaps`` is "split" or the series is used ``as_published``; a window has ``size`` rows."""
    step, breaks = steps(time)
    if not len(breaks):
        return step, breaks, []
    row, be = int(breaks[0]), "is" if len(breaks) == 1 else "are"
    where = (f"{name}: {len(breaks)} of {len(time) - 1} steps {be} not {words(step)}; the first is "
             f"from row {row} ({time[row - 1]}) to row {row + 1} ({time[row]})")
    if gaps == "split":
        return step, breaks, [f"{where}; no window crosses one."]
    if as_published:
        return step, breaks, [f"{where}; windows cross them, as in the published use."]
    longest = int(np.diff([0, *breaks, len(time)]).max())
    split = " set gaps to split (then no window crosses one)," if longest >= size else ""
    raise DataError(
        f"{where}; the longest stretch without one has {longest} rows, a window {size}; fill in "
        f"the missing rows,{split} or, where the rows follow one another all the same (trading "
        "days, say, whose season is 5), number them by evenly spaced times, in pandas: "
        f"table[{time.name!r}] = pandas.date_range({str(time[0])!r}, periods=len(table), "
        f"freq='{step.total_seconds():g}s')")


def hold(table: pd.DataFrame, missing: str, name: str) -> tuple[pd.DataFrame, int, list[str]]:
    """Cells that ``missing`` names take the value of the row before; their number, and a sentence.

    Raises ``DataError`` for a missing value in the first row, and for NaN or infinite values that
    are not named.
    """
    gone = table.isin([float(text) for text in missing.split(",") if text])
    bad = (~np.isfinite(table) & ~gone).to_numpy()
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(f"{name}, row {row + 1}, column {table.columns[column]}: the value is "
                        f"{table.iat[row, column]}; fill or remove missing and infinite values, or "
                        "set missing to nan to hold the value of the row before.")
    cells = gone.sum()
    if not cells.any():
        return table, 0, [f"{name}: no value is {missing}, which missing names."] * bool(missing)
    if gone.iloc[0].any():
        raise DataError(f"{name}, row 1, column {gone.iloc[0].idxmax()}: the value is missing and "
                        "no row is before it; begin the file with a complete row.")
    seen = gone.cumsum()
    longest = (seen - seen.mask(gone).ffill()).max(axis=None)
    where = ", ".join(f"{column} ({n})" for column, n in cells.items() if n)
    note = (f"{name}: {cells.sum()} missing cells ({missing}) hold the value of the row before: "
            f"{where}; the longest stretch is {longest:g} rows.")
    held = np.ascontiguousarray(table.mask(gone).ffill())  # its layout rules how sums are rounded
    return pd.DataFrame(held, table.index, table.columns), int(cells.sum()), [note]


def constant(table: pd.DataFrame, first: int, end: int, name: str) -> tuple[list[str], list[str]]:
    """Channels whose training rows ``first`` to ``end`` are equal up to rounding, and sentences.

    They have no scale, and there is nothing to learn about them: they are left out of the data, and
    so of the mean error. Raises ``DataError`` if no channel is left.
    """
    rows = table.iloc[first:end]
    flat = [c for c in table if np.ptp(rows[c]) <= CONSTANT * rows[c].abs().max()]
    if len(flat) == table.shape[1]:
        raise DataError(f"{name}: every channel is constant in the training rows; there is nothing "
                        "to forecast.")
    return flat, [f"{name}: channel {c} is constant ({rows[c].iloc[0]:.7g}) in the training rows; "
                  "it is left out of data and error." for c in flat]


def strange(table: pd.DataFrame, name: str) -> list[str]:
    """A sentence for each channel with values that may stand for something else.

    These are its smallest or largest value if written in nines (-999, -9999) and farther from the
    others than these are apart, and any value more than ``SPIKE`` times as far from the median as
    99 of 100 are.
    """
    notes = []
    for column in table:
        x = table[column].to_numpy()
        distance = np.abs(x - np.median(x))
        odd = distance > SPIKE * (np.quantile(distance, 0.99) or np.inf)
        for edge in (x.min(), x.max()):
            others, nines = x[x != edge], re.fullmatch(r"-?999+(\.9+)?", f"{edge:.15g}")
            if nines and len(others) and np.abs(others - edge).min() > np.ptp(others):
                odd |= x == edge
        if odd.any():
            row, others = int(np.argmax(odd)), x[~odd]
            seen = ",".join(f"{v:g}" for v in np.unique(x[odd])[:3])
            notes.append(
                f"{name}, column {column}: {odd.sum()} of {len(x)} values ({seen}), the first in "
                f"row {row + 1} ({table.index[row]}), far outside the others ({others.min():g} to "
                f"{others.max():g}), which would rule its scale and its errors; for what stands "
                f"for a missing value, set missing to {seen}, else mend or keep with care.")
    return notes


@contextmanager
def said_once():
    """Within the block a ``DataWarning`` is one line on stderr, however often a file is read."""
    said, others = set(), warnings.showwarning

    def show(message, category, *where):
        if category is not DataWarning:
            others(message, category, *where)
        elif str(message) not in said:
            said.add(str(message))
            print(f"warning: {message}", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield

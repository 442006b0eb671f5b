"""What was found in a file, in sentences that a chapter prints and in facts that code can use."""

from __future__ import annotations

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
    """``notes`` are sentences; the rest are facts. A series without dates has neither step nor
    spans."""

    notes: tuple[str, ...] = ()
    step: pd.Timedelta | None = None  # the usual one
    season: int = 24  # steps
    gaps: int = 0  # steps that are not the usual one
    dropped: tuple[str, ...] = ()  # channels that are constant in the training rows
    held: int = 0  # cells that hold the value of the row before
    strange: dict[str, int] = field(default_factory=dict)  # channel -> cells far outside the others
    # First and last target of each split.
    spans: dict[str, tuple[pd.Timestamp, pd.Timestamp]] = field(default_factory=dict)


def words(step: pd.Timedelta) -> str:
    """A step in words: 15 minutes, 1 hour, 7 days, 1.5 seconds."""
    units = ((DAY, "day"), (HOUR, "hour"), (HOUR / 60, "minute"), (HOUR / 3600, "second"))
    for unit, name in units:
        if step >= unit:
            n = step / unit
            return f"{n:.4g} {name}{'' if n == 1 else 's'}"
    return f"{step / (HOUR / 3600) * 1000:.4g} milliseconds"


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


def gaps(time: pd.DatetimeIndex, breaks: np.ndarray, step: pd.Timedelta, name: str) -> str:
    """One sentence on the irregular steps: how many, and where the first is."""
    row = int(breaks[0])
    first = words(time[row] - time[row - 1]) if time[row] > time[row - 1] else "no time at all"
    return (f"{name}: {len(breaks)} of {len(time) - 1} steps "
            f"{'is' if len(breaks) == 1 else 'are'} not {words(step)}; the first is from row {row} "
            f"({time[row - 1]}) to row {row + 1} ({time[row]}), {first}")


def close_up(time: pd.DatetimeIndex, breaks: np.ndarray, step: pd.Timedelta, size: int) -> str:
    """What to do about irregular steps where a window has ``size`` rows."""
    longest = int(np.diff([0, *breaks, len(time)]).max())
    split = " set gaps to split (then no window crosses one)," if longest >= size else ""
    apart = pd.Series(np.diff(breaks)).value_counts(normalize=True)  # rows from gap to gap
    season = f" (season {apart.index[0]} for seasonal-naive)" if (apart > 0.5).any() else ""
    return (f"the longest stretch without one has {longest} rows, a window {size}; fill in the "
            f"missing rows,{split} or, where the rows follow one another all the same (trading "
            f"days, say), number them by evenly spaced times{season}, in pandas: "
            f"table[{time.name!r}] = pandas.date_range({str(time[0])!r}, periods=len(table), "
            f"freq={pd.tseries.frequencies.to_offset(step).freqstr!r})")


def hold(table: pd.DataFrame, missing: str, name: str) -> tuple[pd.DataFrame, int, list[str]]:
    """Cells that ``missing`` names take the value of the row before; how many they are, and a
    sentence.

    Raises ``DataError`` for a missing value in the first row, and for NaN or infinite values that
    are not named.
    """
    values = table.to_numpy()
    named = [float(text) for text in missing.split(",") if text]
    gone = np.isin(values, named) | (np.isnan(values) if np.isnan(named).any() else False)
    bad = ~np.isfinite(values) & ~gone
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(f"{name}, row {row + 1}, column {table.columns[column]}: the value is "
                        f"{values[row, column]}; fill or remove missing and infinite values, or "
                        "set missing to nan to hold the value of the row before.")
    if not gone.any():
        return table, 0, [f"{name}: no value is {missing}, which missing names."] if named else []
    if gone[0].any():
        raise DataError(f"{name}, row 1, column {table.columns[int(np.argmax(gone[0]))]}: the "
                        "value is missing and no row is before it; begin the file with a complete "
                        "row.")
    at = np.arange(len(values))[:, None]
    before = np.maximum.accumulate(np.where(gone, 0, at))
    held = np.take_along_axis(values, before, 0)
    where = ", ".join(f"{c} ({n})" for c, n in zip(table.columns, gone.sum(0), strict=True) if n)
    note = (f"{name}: {gone.sum()} missing cells ({missing}) hold the value of the row before: "
            f"{where}; the longest stretch is {(at - before).max()} rows.")
    return pd.DataFrame(held, table.index, table.columns), int(gone.sum()), [note]


def constant(table: pd.DataFrame, first: int, end: int, name: str) -> tuple[list[str], list[str]]:
    """Channels whose training rows ``first`` to ``end`` are equal up to rounding, and a sentence
    for each.

    They have no scale, and there is nothing to learn about them: they are left out of the data, and
    so of the mean error. Raises ``DataError`` if no channel is left.
    """
    rows = table.iloc[first:end]
    flat = [c for c in table if rows[c].max() - rows[c].min() <= CONSTANT * rows[c].abs().max()]
    if len(flat) == table.shape[1]:
        raise DataError(f"{name}: every channel is constant in the training rows; there is nothing "
                        "to forecast.")
    notes = []
    for c in flat:
        moves = np.ptp(table[c]) > CONSTANT * table[c].abs().max()
        notes.append(f"{name}: channel {c} is constant ({rows[c].iloc[0]:.7g}) in the training "
                     "rows; it is left out of data and error"
                     f"{', though it moves later' if moves else ''}.")
    return flat, notes


def strange(table: pd.DataFrame, name: str) -> tuple[dict[str, int], list[str]]:
    """Channels with values that may stand for something else, how many cells, and a sentence for
    each channel.

    Reported are the smallest and the largest value of a channel if it is a code such as -999, -9999
    or 32767 and farther from the others than these are apart, and any value more than ``SPIKE``
    times as far from the median as 99 of 100 are.
    """
    found, notes = {}, []
    for column in table:
        x = table[column].to_numpy()
        odd = np.zeros(len(x), bool)
        for edge in (x.min(), x.max()):
            others = x[x != edge]
            if _is_code(edge) and len(others) and np.abs(others - edge).min() > np.ptp(others):
                odd |= x == edge
        distance = np.abs(x - np.median(x))
        odd |= distance > SPIKE * (np.quantile(distance, 0.99) or np.inf)
        if odd.any():
            rows, others = np.flatnonzero(odd), x[~odd]
            seen = ", ".join(f"{v:g}" for v in np.unique(x[odd])[:3])
            found[column] = len(rows)
            many = len(rows) > 1
            notes.append(
                f"{name}, column {column}: {len(rows)} value{'s' * many} ({seen}), the first in "
                f"row {rows[0] + 1} ({table.index[rows[0]]}), far outside the others "
                f"({others.min():g} to {others.max():g}), which would rule its scale and its "
                f"errors; if {'they stand' if many else 'it stands'} for a missing value, set "
                f"missing to {seen.replace(' ', '')}, else mend or keep with care.")
    return found, notes


def _is_code(value: float) -> bool:
    """Whether instruments write this number where they have no value: three nines or more, an
    integer's limit, 1e20."""
    digits = f"{abs(value):.15g}"
    nines = set(digits.replace(".", "")) == {"9"} and len(digits.split(".")[0]) >= 3
    return nines or abs(value) in (32767, 32768, 65535, 2147483647, 2147483648, 1e20, 1e30, 1e36)


def spans(time: pd.DatetimeIndex, rows) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
    """Times of the first and the last target row of each split."""
    return {which: (time[first], time[end - 1])
            for which, (first, end) in zip(("training", "validation", "test"), rows, strict=True)}


def warn(notes: list[str]) -> None:
    """A ``DataWarning`` for each sentence."""
    for note in notes:
        warnings.warn(note, DataWarning, stacklevel=3)


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

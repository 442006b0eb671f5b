"""Read any CSV of one time column and numeric channels; what it is not gets one sentence."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from .files import DataError

TIME_NAMES = ("date", "time", "timestamp", "datetime")
PARTS = ("year", "month", "day", "hour", "minute", "second")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Compact times, by their number of digits: what they hold, and how pandas reads them.
COMPACT = {
    8: ("year, month and day", "%Y%m%d"),
    10: ("year, month, day and hour", "%Y%m%d%H"),
    12: ("year to minute", "%Y%m%d%H%M"),
    14: ("year to second", "%Y%m%d%H%M%S"),
}
EPOCH = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}  # by digits
LARGEST = 1e100  # its square is still a double; a channel must also reach 1 / LARGEST
EXACT = 2**53  # from here on a double does not hold every whole number


def plain(text) -> str:
    """``text`` on one line: printable characters, single blanks, none at the ends."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def read_csv(
    path, name: str | None = None, columns=(), repeats: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """Channels of a CSV file as float columns, indexed by time; and one sentence for each column
    left out.

    The time column is one called date, time, timestamp or datetime, else the first whose text is
    times. Times are ISO 8601, either all without UTC offset or all in UTC (``Z``): other orders of
    day and month would have to be guessed, and an offset that changes with the season would shift
    the hours. An empty column without a name and one that counts the rows are left out. ``columns``
    are the channels of a published series; only one may repeat a time (``repeats``).

    Raises ``DataError`` for any other time or one that does not increase, a channel that is not
    numeric or not exact in a double, and NaN or infinite values not named by a caller, naming the
    first offending row (1 is the first row below the header). NaN cells are left in place:
    ``findings.hold`` decides about them.
    """
    name = name or plain(Path(path).name)
    table, unnamed = _named(_parse(path, name))
    chosen = _time_column(table, name)
    time = _times(table[chosen], name)
    steps = np.diff(time.to_numpy())
    wrong = steps < np.timedelta64(0) if repeats else steps <= np.timedelta64(0)
    if wrong.any():
        row = int(np.argmax(wrong)) + 1
        raise DataError(
            f"{name}, row {row + 1}: time {time.iloc[row]} does not come after "
            f"{time.iloc[row - 1]}; sort the rows by time and remove duplicates."
        )
    channels, notes = _channels(table.drop(columns=chosen), unnamed, name)
    if columns:
        channels = channels[list(columns)]
    for column in channels:
        _check(channels[column], name)
    channels = channels.astype(np.float64)
    channels.index = pd.DatetimeIndex(time, name="date")
    return channels, notes


def _parse(path, name: str) -> pd.DataFrame:
    """The table as pandas reads it, after a look at the first line. Raises ``DataError``."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            raw = next(csv.reader(f), [])
            first = [plain(cell) for cell in raw]
        if first and all(_is_value(cell) for cell in first if cell) and any(first):
            raise DataError(
                f"{name}: the first line holds values ({first[0]}, ...), not names; put a line "
                "with a name for every column above it."
            )
        if len(first) == 1:
            seen = next(
                (
                    f"the first line has {word} instead: save with commas between the columns and "
                    "points in the numbers"
                    for sign, word in SEPARATORS.items()
                    if sign in raw[0]
                ),
                f"found only {first[0]}",
            )
            raise DataError(
                f"{name}: needs a time column and at least one numeric channel, separated by "
                f"commas; {seen}."
            )
        names = [cell for cell in first if cell]  # pandas would number those that repeat
        if twice := [cell for i, cell in enumerate(names) if cell in names[:i]]:
            raise DataError(
                f"{name}: two columns are named {twice[0]}; give each a name of its own."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, index_col=False, skipinitialspace=True, low_memory=False)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file; give the path of an existing CSV file.") from None
    except pd.errors.ParserWarning:
        raise DataError(
            f"{name}: the rows have more cells than the first line has names; name every column, "
            "or remove the commas at the ends of the rows."
        ) from None
    except UnicodeDecodeError as error:
        what = (
            "UTF-16"
            if error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
            else f"not UTF-8: {plain(error)}"
        )
        raise DataError(
            f"{name}: not a readable CSV file ({what}); save it as comma-separated UTF-8 text."
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, OSError) as error:
        raise DataError(
            f"{name}: not a readable CSV file ({plain(error)}); save it as comma-separated UTF-8 "
            "text."
        ) from None
    if table.empty:
        raise DataError(
            f"{name}: no rows below the header; give a file with one row per time step."
        )
    return table


def _is_value(cell: str) -> bool:
    """Whether a cell of the first line is a number or a time, and so no name."""
    try:
        float(cell)
        return True
    except ValueError:
        return bool(
            re.match(r"\d{4}[-/.]?\d{1,2}[-/.]?\d{1,2}([ T]|$)|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}", cell)
        )


def _named(table: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """The table with plain names, and which of them stand for none in the file."""
    unnamed = [str(c).startswith("Unnamed: ") for c in table.columns]
    table.columns = [
        f"column {i + 1}" if no_name else plain(c)
        for i, (c, no_name) in enumerate(zip(table.columns, unnamed, strict=True))
    ]
    return table, set(table.columns[unnamed])


def _channels(table: pd.DataFrame, unnamed: set[str], name: str) -> tuple[pd.DataFrame, list[str]]:
    """The columns that are channels, and a sentence for each that is none. Raises ``DataError``
    if none is left."""
    notes = {}
    for column in table:
        if column in unnamed and table[column].isna().all():
            notes[column] = f"{name}: {column} is empty and has no name; it is left out."
        elif _counts(table[column]):
            notes[column] = (
                f"{name}: {column} {'(without a name) ' if column in unnamed else ''}counts the "
                f"rows ({table[column].iloc[0]}, {table[column].iloc[1]}, ...); it is left out."
            )
    if len(notes) == table.shape[1]:
        raise DataError(
            f"{name}: needs at least one numeric channel beside the time column; "
            f"{'; '.join(notes.values()) or 'there is no other column'}"
        )
    return table.drop(columns=list(notes)), list(notes.values())


def _counts(values: pd.Series) -> bool:
    """Whether whole numbers rise by one from row to row."""
    return (
        len(values) > 2
        and pd.api.types.is_integer_dtype(values)
        and bool((np.diff(values.to_numpy()) == 1).all())
    )


def _is_text(values: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(values)


def _time_column(table: pd.DataFrame, name: str) -> str:
    """The column that holds the times, by name, then by content, else the first. Raises
    ``DataError``."""
    named = [c for c in table.columns if c.lower() in TIME_NAMES]
    text = {c: table[c].head(3).astype(str) for c in table.columns if _is_text(table[c])}
    iso = dict(format="ISO8601", utc=True, errors="coerce")
    like_time = [c for c, first in text.items() if pd.to_datetime(first, **iso).notna().all()]
    clock = [c for c, first in text.items() if first.str.fullmatch(r"\d\d?:\d\d(:\d\d)?").all()]
    parts = [c for c in table.columns if c.lower() in PARTS]
    if clock and like_time:
        raise DataError(
            f"{name}: no single time column: {like_time[0]} holds the day and {clock[0]} the time "
            "of day; join them into one column of times like 2016-07-01 00:00:00."
        )
    if {"year", "month"} <= {c.lower() for c in parts} and not like_time:
        raise DataError(
            f"{name}: no single time column: {', '.join(parts)} hold parts of the time; join them "
            f"into one, for example table['date'] = pandas.to_datetime(table[{parts}]), and drop "
            "them."
        )
    return [*(c for c in named if c in text), *like_time, *named, table.columns[0]][0]


def _local(text: pd.Series) -> pd.Series:
    """Times as text, without the ``Z`` where every one has it."""
    text = text.astype(str)
    return text.str[:-1] if text.str.fullmatch(r".*\d[Zz]").all() else text


def _times(column: pd.Series, name: str) -> pd.Series:
    """The times of a column. Raises ``DataError`` naming the first that is none, and what it
    looks like."""
    text = _local(column)
    if not _is_text(column):
        raise DataError(
            f"{name}, row 1, column {column.name}: {str(column.iloc[0])!r} is not a time like "
            f"2016-07-01 00:00:00; {_looks_like(column)}."
        )
    offset = text.str.contains(r"\d[T ].*[Zz+-]", na=False)
    time = pd.to_datetime(text.mask(offset), errors="coerce", format="ISO8601")
    if time.isna().any():
        row = int(np.argmax(time.isna()))
        raise DataError(
            f"{name}, row {row + 1}, column {column.name}: {column.iloc[row]!r} is not a time like "
            "2016-07-01 00:00:00; write all times so: year first, in one time zone, without a UTC "
            "offset."
        )
    return time


def _looks_like(column: pd.Series) -> str:
    """What a column of numbers may be that stands where times should, and what to do."""
    text = str(column.iloc[0])
    what, form = COMPACT.get(len(text), ("", ""))
    if (
        form
        and pd.notna(pd.to_datetime(text, format=form, errors="coerce"))
        and 1900 <= int(text[:4]) < 2100
    ):
        return (
            f"it looks like {what} without separators: "
            f"pandas.to_datetime(table[{column.name!r}], format={form!r}) reads it"
        )
    if pd.api.types.is_integer_dtype(column) and len(text) in EPOCH:
        return (
            f"it looks like a time counted from 1970 ({EPOCH[len(text)]}): "
            f"pandas.to_datetime(table[{column.name!r}], unit={EPOCH[len(text)]!r}) reads it"
        )
    if _counts(column):
        return "it counts the rows; add a column with the time of each row"
    return "numbers are not times; add a column of times, or name the one that has them date"


def _check(values: pd.Series, name: str) -> None:
    """Raises ``DataError`` unless a channel is numeric, and a double holds its values and their
    squares."""
    column = values.name
    if _is_text(values):
        bad = pd.to_numeric(values, errors="coerce").isna() & ~(values.isna())
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{name}, row {row + 1}, column {column}: {values.iloc[row]!r} is not a number; "
                "mend the value or drop the column."
            )
        # What is left are whole numbers too large for 64 bits.
        values = values.astype(object if values.dtype == object else float)
    whole = not pd.api.types.is_float_dtype(values) and not pd.api.types.is_bool_dtype(values)
    large = (
        (values > EXACT) | (values < -EXACT)
        if whole
        else np.isfinite(values) & (values.abs() > LARGEST)
    )
    if large.any():
        row = int(np.argmax(large))
        why = (
            "whole numbers beyond 2^53 lose their last digits"
            if whole
            else f"values beyond {LARGEST:g} cannot be squared"
        )
        do = "subtract an offset" if whole else "divide the column by a power of ten"
        raise DataError(
            f"{name}, row {row + 1}, column {column}: the value is {values.iloc[row]}; {why} in "
            f"double precision; {do}, mend the value or drop the column."
        )
    size = values[np.isfinite(values)].abs().max() if not whole else 1
    if 0 < size < 1 / LARGEST:
        raise DataError(
            f"{name}, column {column}: no value is larger than {size:g}, whose square is zero in "
            "double precision; multiply the column by a power of ten or drop it."
        )

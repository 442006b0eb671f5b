"""Read any CSV of one time column and numeric channels; what it is not gets one sentence.

Where a few lines of pandas mend the file, the sentence ends with them, after "in pandas:". They
work on ``table = pandas.read_csv(...)``, saved afterwards by ``table.to_csv(..., index=False)``.
"""

from __future__ import annotations

import csv
import re
import warnings
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype, is_numeric_dtype

from .files import DataError

TIME_NAMES = ("date", "time", "timestamp", "datetime")
PARTS = ("year", "month", "day", "hour", "minute", "second")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Compact times, by their number of digits: what they hold, and how pandas reads them.
COMPACT = {4: ("a year", "%Y"), 6: ("year and month", "%Y%m"),
           8: ("year, month and day", "%Y%m%d"), 10: ("year, month, day and hour", "%Y%m%d%H"),
           12: ("year to minute", "%Y%m%d%H%M"), 14: ("year to second", "%Y%m%d%H%M%S")}
EPOCH = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}  # by digits
ISO = dict(format="ISO8601", errors="coerce")
HEAD = 1000  # rows of a large file that are looked at first
LARGEST = 1e100  # its square is still a double; a channel must also reach 1 / LARGEST
EXACT = 2**53  # from here on a double does not hold every whole number


def plain(text) -> str:
    """``text`` on one line: printable characters, single blanks, none at the ends."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def read_csv(path, name: str | None = None, columns=(),
             repeats: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """Channels of a CSV file as float columns, indexed by time (the index has the name of the time
    column); and one sentence for each column left out.

    The time column is one called date, time, timestamp or datetime, else the first whose text is
    times. Times are ISO 8601, either all without UTC offset or all in UTC: other orders of day and
    month would have to be guessed, and an offset that changes with the season would shift the
    hours. Left out are an empty column without a name, one that counts the rows, and one that
    repeats a part of the time. ``columns`` are the channels of a published series; only one may
    repeat a time (``repeats``).

    Raises ``DataError`` for any other time or one that does not increase, a channel that is not
    numeric or not exact in a double, and NaN or infinite values not named by a caller, naming the
    first offending row (1 is the first row below the header). NaN cells are left in place:
    ``findings.hold`` decides about them.
    """
    name = name or plain(Path(path).name)
    for rows in (HEAD, None):
        table, unnamed = _named(_parse(path, name, rows))
        chosen = _time_column(table, name)
        time = _times(table, chosen, name)
        steps = np.diff(time.to_numpy())
        wrong = steps < np.timedelta64(0) if repeats else steps <= np.timedelta64(0)
        if not wrong.any():  # a text that has not changed yet may tell series apart further down
            for column in columns or table.columns.drop(chosen):
                if rows is None or table[column].nunique() > 1:
                    _check(table[column], name)
    if wrong.any():
        row = int(np.argmax(wrong)) + 1
        raise DataError(f"{name}, row {row + 1}: time {time[row]} does not come after "
                        f"{time[row - 1]}; {_in_order(table, chosen, time)}")
    channels, notes = _channels(table.drop(columns=chosen), time, unnamed, name)
    if columns:
        channels = channels[list(columns)]
    channels = channels.astype(np.float64)
    for column, size in channels.where(np.isfinite(channels)).abs().max().items():
        if 0 < size < 1 / LARGEST:
            raise DataError(f"{name}, column {column}: no value is larger than {size:g}, whose "
                            "square is zero in double precision; multiply the column by a power "
                            "of ten or drop it.")
    channels.index = pd.DatetimeIndex(time, name=chosen)
    return channels, notes


def _parse(path, name: str, rows: int | None) -> pd.DataFrame:
    """The first ``rows`` as pandas reads them (None: all), after a look at the first line. Raises
    ``DataError``."""
    unreadable = f"{name}: not a readable CSV file (%s); save it as comma-separated UTF-8 text."
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            raw, *below = [*islice(csv.reader(f), 21)] or [[]]
        _first_line(raw, below, name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, index_col=False, skipinitialspace=True, low_memory=False,
                                nrows=rows)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file; give the path of an existing CSV file.") from None
    except pd.errors.ParserWarning:
        raise DataError(f"{name}: the rows have more cells than the first line has names; name "
                        "every column, or remove the commas at the ends of the rows.") from None
    except UnicodeDecodeError as error:
        utf_16 = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        what = "UTF-16" if utf_16 else f"not UTF-8: {plain(error)}"
        raise DataError(unreadable % what) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, OSError) as error:
        raise DataError(unreadable % plain(error)) from None
    if table.empty:
        raise DataError(f"{name}: no rows below the header; give a file with one row per time "
                        "step.")
    return table


def _first_line(raw: list[str], below: list[list[str]], name: str) -> None:
    """Raises ``DataError`` unless the cells of the first line can be names."""
    first = [plain(cell) for cell in raw]
    names = [cell for cell in first if cell]
    under = [[row[i] for row in below if i < len(row)] for i, cell in enumerate(first) if cell]
    numbers = (all(cell.isdigit() for cell in names) and len(set(names)) == len(names)
               and all(any("." in cell or _is_time(cell) for cell in cells) for cells in under))
    if names and not numbers and all(_is_number(cell) or _is_time(cell) for cell in names):
        raise DataError(
            f"{name}: the first line holds values ({names[0]}, ...), not names; put a line with a "
            "name for every column above it, or, if these are names, begin each with a letter "
            "(only different whole numbers above decimals are taken as names).")
    if len(first) == 1:
        seen = next((f"the first line has {word} instead: save with commas between the columns and "
                     "points in the numbers"
                     for sign, word in SEPARATORS.items() if sign in raw[0]),
                    f"found only {first[0]}")
        raise DataError(f"{name}: needs a time column and at least one numeric channel, separated "
                        f"by commas; {seen}.")
    if twice := [cell for i, cell in enumerate(names) if cell in names[:i]]:
        raise DataError(f"{name}: two columns are named {twice[0]}; give each a name of its own.")


def _is_number(cell: str) -> bool:
    try:
        return float(cell) is not None
    except ValueError:
        return False


def _is_time(cell: str) -> bool:
    return bool(re.match(r"\d{4}([-/.]\d{1,2}){2}([ T]|$)|\d{4}-\d\d$|\d{8}T"
                         r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}", cell))


def _named(table: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """The table with plain names, and which of them stand for none in the file."""
    unnamed = [str(c).startswith("Unnamed: ") for c in table.columns]
    table.columns = [f"column {i + 1}" if no_name else plain(c)
                     for i, (c, no_name) in enumerate(zip(table.columns, unnamed, strict=True))]
    return table, set(table.columns[unnamed])


def _channels(table: pd.DataFrame, time: pd.Series, unnamed: set[str],
              name: str) -> tuple[pd.DataFrame, list[str]]:
    """The columns that are channels, and a sentence for each that is none. Raises ``DataError``
    if none is left."""
    notes = {}
    for column, values in table.items():
        called = f"{name}: {column}{' (without a name)' if column in unnamed else ''}"
        if column in unnamed and values.isna().all():
            notes[column] = f"{name}: {column} is empty and has no name; it is left out."
        elif part := _part(values, time):
            notes[column] = f"{called} is the {part} of the time; it is left out."
        elif _counts(values):
            notes[column] = (f"{called} counts the rows ({values.iloc[0]}, {values.iloc[1]}, ...); "
                             "it is left out.")
    if len(notes) == table.shape[1]:
        raise DataError(f"{name}: needs at least one numeric channel beside the time column; "
                        f"{'; '.join(notes.values()) or 'there is no other column'}")
    return table.drop(columns=list(notes)), list(notes.values())


def _part(values: pd.Series, time: pd.Series) -> str | None:
    """The part of the time that whole numbers repeat, as it is or counted from one."""
    if is_integer_dtype(values) and values.nunique() > 1:
        for part in ("year", "month", "day", "hour", "day_of_week"):
            lag = values.iloc[0] - getattr(time.iloc[0], part)
            if lag in (0, 1) and (values - getattr(time.dt, part) == lag).all():
                return {"day_of_week": "day of the week"}.get(part, part)
    return None


def _counts(values: pd.Series) -> bool:
    """Whether whole numbers rise by one from row to row."""
    return (len(values) > 2 and is_integer_dtype(values)
            and bool((np.diff(values.to_numpy()) == 1).all()))


def _time_column(table: pd.DataFrame, name: str) -> str:
    """The column that holds the times, by name, then by content, else the first. Raises
    ``DataError``."""
    named = [c for c in table.columns if c.lower() in TIME_NAMES]
    text = {c: table[c].head(3).astype(str) for c in table if not is_numeric_dtype(table[c])}
    like_time = [c for c, top in text.items() if pd.to_datetime(top, utc=True, **ISO).notna().all()]
    clock = [c for c, top in text.items() if top.str.fullmatch(r"\d\d?:\d\d(:\d\d)?").all()]
    parts = [c for c in table.columns if c.lower() in PARTS]
    lower = {c.lower() for c in parts}
    if clock and like_time:
        day, hour = like_time[0], clock[0]
        raise DataError(
            f"{name}: no single time column: {day} holds the day and {hour} the time of day; join "
            f"them into times like 2016-07-01 00:00:00, in pandas: table[{day!r}] += ' ' + "
            f"table[{hour!r}]; table = table.drop(columns={hour!r})")
    if {"year", "month"} <= lower and not like_time:
        raise DataError(
            f"{name}: no single time column: {', '.join(parts)} hold parts of the time; join them "
            f"into one, in pandas: table.insert(0, 'date', pandas.to_datetime(table[{parts}]"
            f"{'' if 'day' in lower else '.assign(day=1)'})); table = table.drop(columns={parts})")
    return [*(c for c in named if c in text), *like_time, *named, table.columns[0]][0]


def _times(table: pd.DataFrame, column: str, name: str) -> pd.Series:
    """The times of a column, without the sign of UTC. Raises ``DataError`` naming the first that
    is none, and what it looks like."""
    values, time, row = table[column], None, 0
    if not is_numeric_dtype(values):
        try:
            time = pd.to_datetime(values, **ISO)
        except ValueError:  # some in one time zone, some in another or in none
            pass
        if time is not None and time.notna().all() and str(time.dt.tz) in ("None", "UTC"):
            return time.dt.tz_localize(None)
        away = values.astype(str).str.contains(r"\d[T ].*[Z+-]")
        row = int(np.argmax(pd.to_datetime(values.mask(away), **ISO).isna()))
    raise DataError(f"{name}, row {row + 1}, column {column}: {str(values.iloc[row])!r} is not a "
                    f"time like 2016-07-01 00:00:00; {_looks_like(table, column, row)}")


def _looks_like(table: pd.DataFrame, column: str, row: int) -> str:
    """What stands where times should, and what to do."""
    values, text = table[column], str(table[column].iloc[row])
    whole, number = is_integer_dtype(values), is_numeric_dtype(values)
    called, others = column.lower(), [c for c in table.columns if c != column]
    read = f"in pandas: table[{column!r}] = pandas.to_datetime(table[{column!r}]"
    add = ("times with their own start and step, in pandas: {}table.insert(0, 'date', "
           "pandas.date_range('2000-01-01', periods=len(table), freq='h'))")
    if whole and len(text) in COMPACT and (len(text) > 4 or "year" in called):
        what, form = COMPACT[len(text)]
        time = pd.to_datetime(values.head(3).astype(str), format=form, errors="coerce")
        if time.notna().all() and (1900 <= time.iloc[0].year < 2100 or len(text) == 4):
            return f"it looks like {what} without separators, {read}.astype(str), format={form!r})"
    if whole and len(text) in EPOCH:
        unit = EPOCH[len(text)]
        return f"it looks like a time counted from 1970 ({unit}), {read}, unit={unit!r})"
    if number and called in TIME_NAMES and 20_000 < values.iloc[0] < 80_000:
        return ("it looks like the days that a spreadsheet counts, "
                f"{read}, unit='D', origin='1899-12-30').dt.round('s')")
    if re.search(r"\d[T ].*(Z|[+-]\d\d:?\d\d)$", text):
        return f"write all times in one time zone, without a UTC offset, {read}, utc=True)"
    if re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}", text):
        return ("write all times year first (with dayfirst=False if months come before days), "
                f"{read}, dayfirst=True)")
    dated = sum(map(_is_time, others)) > len(others) / 2
    counted = pd.Series(others).str.extract(r"^(.*\D)\d+$")[0].value_counts().max()
    if dated or not number and called not in TIME_NAMES and len(others) > 3 and (
            counted > len(others) / 2 or len(others) > len(table)):
        across = f"table = table.set_index({column!r}).select_dtypes('number').T"
        return (f"series seem to stand in rows, as {others[-2]} and {others[-1]} look like steps; "
                "transpose the table" + (
                    f", in pandas: {across}.rename_axis('date').reset_index()" if dated else
                    f" and add {add.format(f'{across}; ')}"))
    if not number:
        return "write all times so: year first, in one time zone, without a UTC offset."
    what = "it counts the rows" if _counts(values) else "numbers are not times"
    return f"{what}; give the column of times the name date, or add {add.format('')}"


def _in_order(table: pd.DataFrame, column: str, time: pd.Series) -> str:
    """What to do with rows whose times do not increase, so that nothing is lost that a row alone
    says."""
    shared = time.duplicated(keep=False)
    if not shared.any():
        return f"sort the rows by time, in pandas: table = table.sort_values({column!r})"
    if table[shared].duplicated(keep=False).all():
        return ("some rows stand twice: remove the copies, in pandas: table = "
                f"table.drop_duplicates().sort_values({column!r})")
    each = int(time.value_counts().median())  # rows of a time
    kinds = table.drop(columns=column).select_dtypes(exclude="float").nunique()
    few = kinds[kinds <= 2 * each].sort_values().index if shared.mean() > 0.5 else []
    key = next((key for n in (1, 2) for key in combinations(few, n)
                if not table.duplicated([column, *key]).any()), ())
    values = table.drop(columns=[column, *key]).select_dtypes("number").columns
    if not key or values.empty:
        return (f"{shared.sum()} rows share their time with another: if clocks were put back "
                "there, write the times in UTC, else use their mean, in pandas: table = "
                f"table.groupby({column!r}, as_index=False).mean(numeric_only=True)")
    says = f"several rows share a time, and {' with '.join(key)} tells them apart: "
    hours = re.search(r"hour|\bhr\b|^h$|시", key[0].lower())
    if hours or re.search("period|interval|slot", key[0].lower()) and 1440 % each == 0:
        return (f"{says}make one time of both, in pandas: table[{column!r}] = pandas.to_datetime("
                f"table[{column!r}]) + pandas.to_timedelta({60 if hours else 1440 // each} * "
                f"table[{key[0]!r}], unit='min'); table = table.drop(columns={key[0]!r})")
    series = " + ' ' + ".join(f"table[{k!r}].astype(str)" for k in key)
    return (f"{says}give each series a column of its own, in pandas: table = table.assign("
            f"series={series}).pivot(index={column!r}, columns='series', values={values[0]!r})"
            ".reset_index()")


def _check(values: pd.Series, name: str) -> None:
    """Raises ``DataError`` unless a channel is numeric, and a double holds its values and their
    squares."""
    if not is_numeric_dtype(values):
        bad = pd.to_numeric(values, errors="coerce").isna() & values.notna()
        if bad.any():
            row = int(np.argmax(bad))
            comma = re.fullmatch(r"[+-]?[\d.]+(,\d+)+(\.\d+)?", str(values.iloc[row]))
            do = ("write numbers with a decimal point and without separators of thousands."
                  if comma else "mend the value, leave the cell empty if it is missing and set "
                                "missing to nan, or drop the column.")
            raise DataError(f"{name}, row {row + 1}, column {values.name}: {values.iloc[row]!r} is "
                            f"not a number; {do}")
        # What is left are whole numbers too large for 64 bits.
        values = values.astype(object if values.dtype == object else float)
    whole = not is_float_dtype(values) and not is_bool_dtype(values)
    limit = EXACT if whole else LARGEST
    large = ((values > limit) | (values < -limit)) & (whole or np.isfinite(values))
    if large.any():
        row = int(np.argmax(large))
        why, do = (("whole numbers beyond 2^53 lose their last digits", "subtract an offset")
                   if whole else (f"values beyond {LARGEST:g} cannot be squared",
                                  "divide the column by a power of ten"))
        raise DataError(f"{name}, row {row + 1}, column {values.name}: the value is "
                        f"{values.iloc[row]}; {why} in double precision; {do}, mend the value or "
                        "drop the column.")

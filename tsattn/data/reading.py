"""Read any CSV of one time column and numeric channels; what it is not gets one sentence.

Where a few lines of pandas mend the file, the sentence ends with them, after "in pandas:". They
work on ``table = pandas.read_csv(...)``, saved afterwards by ``table.to_csv(..., index=False)``.
"""

from __future__ import annotations

import csv
import re
import warnings
from itertools import combinations, islice

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype, is_integer_dtype, is_numeric_dtype

from .files import DataError

TIME_NAMES = ("date", "time", "timestamp", "datetime")
PARTS = ("year", "month", "day", "hour", "minute", "second")
EPOCH = {10: "s", 13: "ms", 16: "us", 19: "ns"}  # unit of times counted from 1970, by digits
ISO = dict(format="ISO8601", errors="coerce")
OFFSET = r"\d[T ].*[+-]"  # a time with the UTC offset of another place
HEAD = 1000  # rows of a large file that are looked at first
LARGEST = 1e100  # its square is still a double; a channel must also reach 1 / LARGEST
EXACT = 2**53  # from here on a double does not hold every whole number


def plain(text) -> str:
    """``text`` on one line: printable characters, single blanks, none at the ends."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def read_csv(path, name: str, columns=(), repeats: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """Channels of a CSV file as float columns, indexed by time (the index has the name of the time
    column); and one sentence for each column left out: an empty one, and one that counts the rows.
    Sentences call the file ``name``.

    The time column is one called date, time, timestamp or datetime, else the first whose text is
    times. Times are ISO 8601, without UTC offset or in UTC: other orders of day and month would
    have to be guessed, and an offset that changes with the season would shift the hours.
    ``columns`` are the channels of a published series; only one may repeat a time (``repeats``).

    Raises ``DataError`` for any other time or one that does not increase, and for a channel that is
    not numeric or not exact in a double, naming the first offending row (1 is the first row below
    the header). NaN and infinite cells are left in place: ``findings.hold`` decides about them.
    """
    for rows in (HEAD, None):
        table = _parse(path, name, rows)
        chosen = _time_column(table, name)
        time = _times(table, chosen, name)
        steps = np.diff(time.to_numpy())
        wrong = steps < np.timedelta64(0) if repeats else steps <= np.timedelta64(0)
        if not wrong.any():  # a text that has not changed yet may tell series apart further down
            channels = {column: _numbers(table[column], name)
                        for column in columns or table.columns.drop(chosen)
                        if rows is None or table[column].nunique() > 1}
    if wrong.any():
        row = int(np.argmax(wrong)) + 1
        raise DataError(f"{name}, row {row + 1}: time {time[row]} does not come after "
                        f"{time[row - 1]}; {_in_order(table, chosen, time)}")
    left_out = {}
    for column in channels:
        values = table[column]
        if values.isna().all():
            left_out[column] = f"{name}: {column} is empty; it is left out."
        elif len(values) > 2 and is_integer_dtype(values) and (np.diff(values) == 1).all():
            left_out[column] = (f"{name}: {column} counts the rows ({values[0]}, {values[1]}, "
                                "...); it is left out.")
    notes = list(left_out.values())
    if len(left_out) == len(channels):
        raise DataError(f"{name}: needs at least one numeric channel beside the time column; "
                        f"{'; '.join(notes) or 'there is no other column'}")
    found = pd.DataFrame(channels).drop(columns=list(left_out))
    return found.set_index(pd.DatetimeIndex(time, name=chosen)), notes


def _parse(path, name: str, rows: int | None) -> pd.DataFrame:
    """The first ``rows`` (None: all) as pandas reads them, with plain names of columns. Raises
    ``DataError``."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            first, *below = [*islice(csv.reader(f), 21)] or [[]]
        _first_line(first, below, name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            table = pd.read_csv(path, index_col=False, skipinitialspace=True, low_memory=False,
                                nrows=rows)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{name}: no such file; give the path of an existing CSV file.") from None
    except (OSError, ValueError, csv.Error, pd.errors.ParserWarning) as error:
        raise DataError(f"{name}: not a readable CSV file ({plain(error)}); save it as "
                        "comma-separated UTF-8 text, with a name above every column.") from None
    if table.empty:
        raise DataError(f"{name}: no rows below the header; give a file with one row per time "
                        "step.")
    table.columns = [f"column {i}" if str(c).startswith("Unnamed: ") else plain(c)
                     for i, c in enumerate(table.columns, 1)]
    return table


def _first_line(first: list[str], below: list[list[str]], name: str) -> None:
    """Raises ``DataError`` unless the cells of the first line can be names."""
    names = [cell for cell in map(plain, first) if cell]
    numbers = (all(cell.isdigit() for cell in names) and len(set(names)) == len(names)
               and not any(cell.isdigit() for row in below for cell in row))
    if names and not numbers and all(re.fullmatch(r"[-+]?\d[-+.:/\d TZeE]*", c) for c in names):
        raise DataError(
            f"{name}: the first line holds values ({names[0]}, ...), not names; put a line with a "
            "name for every column above it, or, if these are names, begin each with a letter "
            "(only different whole numbers above decimals are taken as names).")
    if len(first) == 1:
        other = re.search(r"[;\t|]", first[0])
        seen = f"{other[0]!r} separates them: save with commas between the columns and points in " \
            "the numbers" if other else f"found only {plain(first[0])}"
        raise DataError(f"{name}: needs a time column and at least one numeric channel, separated "
                        f"by commas; {seen}.")
    if twice := [cell for i, cell in enumerate(names) if cell in names[:i]]:
        raise DataError(f"{name}: two columns are named {twice[0]}; give each a name of its own.")


def _time_column(table: pd.DataFrame, name: str) -> str:
    """The column that holds the times, by name, then by content, else the first. Raises
    ``DataError`` where several hold parts of the time."""
    named = [c for c in table if c.lower() in TIME_NAMES]
    text = {c: table[c].head(3).astype(str) for c in table if not is_numeric_dtype(table[c])}
    like_time = [c for c, top in text.items() if pd.to_datetime(top, utc=True, **ISO).notna().all()]
    clock = [c for c, top in text.items() if top.str.fullmatch(r"\d\d?:\d\d(:\d\d)?").all()]
    parts = [c for c in table if c.lower() in PARTS]
    lower, what = {c.lower() for c in parts}, f"{name}: no single time column: "
    if clock and like_time:
        day, hour = like_time[0], clock[0]
        raise DataError(
            f"{what}{day} holds the day and {hour} the time of day; join them into times like "
            f"2016-07-01 00:00:00, in pandas: table[{day!r}] += ' ' + table[{hour!r}]; "
            f"table = table.drop(columns={hour!r})")
    if {"year", "month"} <= lower and not like_time:
        raise DataError(
            f"{what}{', '.join(parts)} hold parts of the time; join them into one, in pandas: "
            f"table.insert(0, 'date', pandas.to_datetime(table[{parts}]"
            f"{'' if 'day' in lower else '.assign(day=1)'})); table = table.drop(columns={parts})")
    return [*(c for c in named if c in text), *like_time, *named, table.columns[0]][0]


def _times(table: pd.DataFrame, column: str, name: str) -> pd.Series:
    """The times of a column, without the sign of UTC. Raises ``DataError`` naming the first that
    is none, and what it looks like."""
    values, row = table[column], 0
    if not is_numeric_dtype(values):
        text = values.astype(str).str.replace(r"(Z|\+00:00)$", "", regex=True)
        time = pd.to_datetime(text.mask(text.str.contains(OFFSET)), **ISO)
        if time.notna().all():
            return time
        row = int(np.argmax(time.isna()))
    raise DataError(f"{name}, row {row + 1}, column {column}: {str(values.iloc[row])!r} is not a "
                    f"time like 2016-07-01 00:00:00; {_looks_like(table, column, row)}")


def _looks_like(table: pd.DataFrame, column: str, row: int) -> str:
    """What stands where times should, and what to do."""
    values, text = table[column], str(table[column].iloc[row])
    read = f"in pandas: table[{column!r}] = pandas.to_datetime(table[{column!r}]"
    if is_integer_dtype(values) and len(text) in (6, 8, 10, 12, 14) and text[:2] in ("19", "20"):
        form = "%Y%m%d%H%M%S"[:len(text) - 2]
        return f"it looks like a time without separators, {read}.astype(str), format={form!r})"
    if is_integer_dtype(values) and len(text) in EPOCH:
        return f"it looks like a time counted from 1970, {read}, unit={EPOCH[len(text)]!r})"
    if re.search(OFFSET, text):
        return f"write all times in one time zone, without a UTC offset, {read}, utc=True)"
    if re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}", text):
        return ("write all times year first (with dayfirst=False if months come before days), "
                f"{read}, dayfirst=True)")
    if len(table.columns) > len(table) + 1 and not is_numeric_dtype(values):
        before, last = table.columns[-2:]
        return (f"series seem to stand in rows, as {before} and {last} look like steps; transpose "
                f"the table, in pandas: table = table.set_index({column!r}).T"
                ".rename_axis('date').reset_index()")
    what = "numbers are not times; give the column of times the name date" \
        if is_numeric_dtype(values) else "write all times year first, without a UTC offset"
    return (f"{what}, or, if there are none, add times with their own start and step, in pandas: "
            "table['date'] = pandas.date_range('2000-01-01', periods=len(table), freq='h')")


def _in_order(table: pd.DataFrame, column: str, time: pd.Series) -> str:
    """What to do with rows whose times do not increase, so that nothing is lost that a row alone
    says."""
    if not time[~table.duplicated()].duplicated().any():
        return ("sort the rows by time, and drop copies of rows that stand twice, in pandas: "
                f"table = table.drop_duplicates().sort_values({column!r})")
    each = time.value_counts().median()  # rows of a time
    kinds = table.drop(columns=column).select_dtypes(exclude="float").nunique()
    few = kinds[kinds <= 2 * each].sort_values().index if each > 1 else []
    key = next((key for n in (1, 2) for key in combinations(few, n)
                if not table.duplicated([column, *key]).any()), ())
    values = table.drop(columns=[column, *key]).select_dtypes("number").columns
    if not key or values.empty:
        shared = time.duplicated(keep=False).sum()
        return (f"{shared} rows share their time with another: if clocks were put back there, "
                "write the times in UTC, else use their mean, in pandas: table = "
                f"table.groupby({column!r}, as_index=False).mean(numeric_only=True)")
    says = f"several rows share a time, and {' with '.join(key)} tells them apart: "
    if "hour" in key[0].lower():
        return (f"{says}make one time of both, in pandas: table[{column!r}] = pandas.to_datetime("
                f"table[{column!r}]) + pandas.to_timedelta(table[{key[0]!r}], unit='h'); "
                f"table = table.drop(columns={key[0]!r})")
    series = " + ' ' + ".join(f"table[{k!r}].astype(str)" for k in key)
    return (f"{says}give each series a column of its own, in pandas: table = table.assign("
            f"series={series}).pivot(index={column!r}, columns='series', values={values[0]!r})"
            ".reset_index()")


def _numbers(values: pd.Series, name: str) -> pd.Series:
    """A channel as floats. Raises ``DataError`` for what is no number, and for values that a double
    does not hold exactly or whose squares it does not hold."""
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    bad, finite = numbers.isna() & values.notna(), numbers.where(np.isfinite(numbers)).abs()
    row = int((bad if bad.any() else finite.fillna(0)).argmax())
    where = f"{name}, row {row + 1}, column {values.name}: "
    if bad.any():
        raise DataError(f"{where}{values[row]!r} is not a number; write numbers with a decimal "
                        "point and without separators of thousands, leave the cell empty if it is "
                        "missing and set missing to nan, or drop the column.")
    exact = is_float_dtype(values) or finite[row] <= EXACT
    if not exact or finite[row] > LARGEST or 0 < finite[row] < 1 / LARGEST:
        why = "its square is no double; multiply the column by a power of ten" if exact else \
            "whole numbers beyond 2^53 lose their last digits; subtract an offset"
        raise DataError(f"{where}the largest value is {values[row]}, and {why}, or drop the "
                        "column.")
    return numbers

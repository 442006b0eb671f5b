"""Find a data file, else download and verify it; read any CSV of one time column and numeric channels."""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

ETT_COLUMNS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
ETT_URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/{name}.csv"
# Rows, time step and, where it is known, the SHA-256 of the file.
ETT = {
    "ETTh1": (17420, "1h", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"),
    "ETTh2": (17420, "1h", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b"),
    "ETTm1": (69680, "15min", None),
    "ETTm2": (69680, "15min", None),
}
ROOT = Path(__file__).resolve().parents[2]


class DataError(ValueError):
    """The data cannot be used; the message says what is wrong, where, and what to do."""


class DataUnavailable(DataError):
    """The file is nowhere here and could not be downloaded."""


def read_csv(path, name: str | None = None) -> pd.DataFrame:
    """Channels of a CSV file as float columns, indexed by its time column (``date``, else the first column).

    Times are ISO 8601 without UTC offset: other orders of day and month would have to be guessed, and an offset that
    changes with the season would shift the hours. Raises ``DataError`` for any other time or one that does not increase,
    a channel that is not numeric, and NaN or infinite values, naming the first offending row (1 is the first row below
    the header).
    """
    name = name or Path(path).name
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file; give the path of an existing CSV file.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: not a readable CSV file ({error}); save it as comma-separated UTF-8 text.") from None
    if table.shape[1] < 2:
        raise DataError(f"{name}: needs a time column and at least one numeric channel, separated by commas; "
                        f"found only {', '.join(map(str, table.columns))}.")
    if table.empty:
        raise DataError(f"{name}: no rows below the header; give a file with one row per time step.")
    time_column = next((c for c in table.columns if str(c).lower() in ("date", "time", "timestamp", "datetime")),
                       table.columns[0])
    text = table[time_column].astype(str)  # numbers would be read as nanoseconds since 1970
    offset = text.str.contains(r"\d[T ].*[Zz+-]", na=False)
    time = pd.to_datetime(text.mask(offset), errors="coerce", format="ISO8601")
    if time.isna().any():
        row = int(np.argmax(time.isna()))
        raise DataError(f"{name}, row {row + 1}, column {time_column}: {text.iloc[row]!r} is not a time like 2016-07-01 "
                        f"00:00:00; write all times so: year first, in one time zone, without a UTC offset.")
    steps = np.diff(time.to_numpy())
    if (steps <= np.timedelta64(0)).any():
        row = int(np.argmax(steps <= np.timedelta64(0))) + 1
        raise DataError(f"{name}, row {row + 1}: time {time.iloc[row]} does not come after {time.iloc[row - 1]}; "
                        f"sort the rows by time and remove duplicates.")
    channels = table.drop(columns=time_column)
    for column in channels:
        if not pd.api.types.is_numeric_dtype(channels[column]):
            bad = pd.to_numeric(channels[column], errors="coerce").isna()
            row = int(np.argmax(bad))
            raise DataError(f"{name}, row {row + 1}, column {column}: {channels[column].iloc[row]!r} is not a number; "
                            f"mend the value or drop the column.")
    values = channels.to_numpy(np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{name}, row {row + 1}, column {channels.columns[column]}: the value is {values[row, column]}; "
                        f"fill or remove missing and infinite values.")
    channels = channels.astype(np.float64)
    channels.index = pd.DatetimeIndex(time, name="date")
    return channels


def _verify_ett(path: Path, name: str) -> None:
    """Known SHA-256, else the published shape, columns and time step. Raises ``DataError`` if they differ."""
    rows, step, sha256 = ETT[name]
    again = f"remove the file to have it downloaded again from {ETT_URL.format(name=name)}"
    if sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise DataError(f"{path}: wrong SHA-256 {found[:12]}..., expected {sha256[:12]}... for {name}; {again}.")
        return
    table = read_csv(path)
    missing = [c for c in ETT_COLUMNS if c not in table]
    if missing:
        raise DataError(f"{path}: column {missing[0]} is missing; {name} has {', '.join(ETT_COLUMNS)}; {again}.")
    if len(table) != rows:
        raise DataError(f"{path}: {len(table)} rows where {name} has {rows}; {again}.")
    if (np.diff(table.index.to_numpy()) != pd.Timedelta(step).to_timedelta64()).any():
        raise DataError(f"{path}: rows are not {step} apart, as in {name}; {again}.")


def search_places(data_dir=None) -> list[Path]:
    """Folders searched for a named file, in order: given, $TSATTN_DATA, data/, ../shared/data, the user cache.

    The cache is pooch's; a machine that has its data elsewhere trains without pooch.
    """
    given = [data_dir, os.environ.get("TSATTN_DATA")]
    places = [Path(p).expanduser() for p in given if p] + [ROOT / "data", ROOT.parent / "shared" / "data"]
    if find_spec("pooch"):
        import pooch

        places.append(Path(pooch.os_cache("tsattn")))
    return places


def find(name: str, data_dir=None) -> Path:
    """Path of the verified file of an ETT data set; downloaded into the user cache if it is nowhere.

    Raises ``DataError`` if a file that is found is not the published one, ``DataUnavailable`` if there is none and
    the download fails. An incomplete download is never left under the final name.
    """
    if data_dir is not None and not Path(data_dir).expanduser().is_dir():
        raise DataError(f"{data_dir}: no such folder; give a folder that holds {name}.csv, or none to have it found.")
    for folder in search_places(data_dir):
        path = folder / f"{name}.csv"
        if path.is_file():
            _verify_ett(path, name)
            return path
    try:
        import pooch

        sha256, cache = ETT[name][2], Path(pooch.os_cache("tsattn"))
        # pooch downloads to a temporary file, checks the hash and only then renames it into place.
        path = Path(pooch.retrieve(ETT_URL.format(name=name), known_hash=sha256 and f"sha256:{sha256}",
                                   fname=f"{name}.csv", path=cache, progressbar=False,
                                   downloader=pooch.HTTPDownloader(timeout=15)))
    except ValueError as error:
        raise DataError(f"{name}: the downloaded file is not the published one ({error}); try again later.") from None
    except Exception as error:
        raise DataUnavailable(
            f"{name}.csv: not found in {', '.join(str(p) for p in search_places(data_dir))}, and the download failed "
            f"({type(error).__name__}); put the file from {ETT_URL.format(name=name)} into one of these folders "
            f"or set TSATTN_DATA to its folder.") from None
    try:
        _verify_ett(path, name)
    except DataError:
        path.unlink()
        raise
    return path

"""The record, ``results/``: tidy CSV tables, and the errors of every run by window.

A run exists if, and only if, its line in ``runs.csv`` does. Its errors and its curve are written
before that line; what a killed process leaves of a run without a line is written over by the next.
Every row has its checksum, so that damage is noticed, and git has what was committed. What a reader
makes goes to a folder of the reader's own, ``my-results/``, and is read together with the rest.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout

from .progress import bar
from .provenance import provenance, source_revision, version
from .settings import DATASETS, ROOT, Settings
from .training import Result

RESULTS = ROOT / "results"
OWN = ROOT / "my-results"
PATIENCE = 5  # seconds before it is said that another process holds the lock
CONFLICT = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
# Tables that lines are added to, and the columns that name a row of them. All others are replaced
# as a whole; a measurement is named by the columns of its point.
UNIQUE = {"runs": ("run_id",), "curves": ("run_id", "epoch")}
# What a killed process leaves: a file half-written, and errors of a run whose line may be there.
HALF = re.compile(r"\.(.+\.csv|.+\.npy|.+\.npy\.tmp|keys\.json)\.\d{1,7}\.tmp")
AHEAD = re.compile(r"(.+-[0-9a-f]{10})\.npy\.tmp")
GIT = "take the file from git"
LINES = GIT + ", or delete such lines: what they held is made again"
AGAIN = GIT + ", or delete the run's line in runs.csv and its file in window_errors to have it " \
              "trained again"


class LedgerError(RuntimeError):
    """A table is damaged or cannot be written; the message names file, line and what to do."""


# -- lines and files


def cell(value) -> str:
    """Text of one cell: floats as they read back exactly, nothing for what is missing."""
    if isinstance(value, (np.generic, torch.Tensor)):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return " ".join(str(value).split())


def text_of(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def cells_of(line: str) -> list[str]:
    return line.split(",") if '"' not in line else next(csv.reader([line]))


def rows_of(columns: list[str], lines: list[str]) -> list[dict]:
    return [dict(zip(columns, cells_of(line), strict=False)) for line in lines]


def checksum(filled: list[str]) -> str:
    """Of the filled cells of a row, each with its column in front."""
    return f"{zlib.crc32(chr(31).join(filled).encode()):08x}"


def line_of(columns: list[str], row: dict) -> str:
    filled = [f"{k}={row[k]}" for k in columns if row.get(k)]
    return text_of([*(row.get(k, "") for k in columns), checksum(filled)])


def scan(content: bytes, unique=()) -> tuple[list[str], list[str], list, list]:
    """Columns without ``check``, the good lines, and as (line, what is wrong): damage, and lines of
    a row that is there already, as after a merge, of which the first counts.

    ``unique`` columns name a row of a table that lines are added to: half a line at its end is of a
    process that was killed.
    """
    columns, good, damage, doubled, seen = [], [], [], [], {}
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
        damage.append((1, f"a byte-order mark in front of the header, from an editor; {GIT}"))
    if b"\r\n" in content:
        content = content.replace(b"\r\n", b"\n")
        damage.append((1, f"line ends of Windows (CRLF), from an editor or a spreadsheet; {GIT}"))
    lines = content.decode(errors="replace").split("\n")
    for n, line in enumerate(lines, 1):
        if not line and n == len(lines) > 1:
            break
        *values, check = cells_of(line)
        if check == "check" and values[:1] == (columns or values)[:1]:  # or again, after a merge
            before, columns = columns, list(dict.fromkeys(columns + values))
            good = [line_of(columns, row) for row in rows_of(before, good)]
            here, prefixes = values, [k + "=" for k in values]
            places = [values.index(k) for k in unique if k in values]
        elif not columns and not line.startswith(CONFLICT):
            what = "not the header of a ledger table" if content else "the file is empty"
            return [], [], [(n, f"{what}; {GIT}")], []
        elif not columns or len(values) > len(here) or check != checksum(
                [p + c for p, c in zip(prefixes, values, strict=False) if c]):
            what = ("a conflict marker of a merge" if line.startswith(CONFLICT) else
                    "the file ends within this line" if n == len(lines) else
                    "a byte that is not UTF-8" if "\ufffd" in line else
                    "truncated or changed, by hand or by a spreadsheet")
            damage += [] if unique and n == len(lines) else [(n, f"{what}; {LINES}")]
        elif places and seen.setdefault(key := " ".join([values[i] for i in places]), n) != n:
            doubled.append((n, f"{key} is in line {seen[key]} already, as after a merge; the first "
                               "counts, delete the other"))
        else:  # a line from before the table had its last columns is shorter
            good.append(line if here == columns and len(values) == len(columns) else
                        line_of(columns, dict(zip(here, values, strict=False))))
    return columns, good, damage, doubled


def write(path: Path, content: bytes) -> None:
    """Atomic: a new file replaces the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def errors_file(folder: Path, run_id: str) -> Path:
    """Within the folder, whatever stands in a row."""
    return folder / "window_errors" / f"{Path(run_id).name}.npy"


def ahead(path: Path) -> Path:
    """Where the errors of a run are until its line is there."""
    return path.with_name(path.name + ".tmp")


def npy(errors: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, errors.astype(np.float32))
    return buffer.getvalue()


def errors_of(folder: Path, row) -> np.ndarray:
    """Errors of a row of ``runs``: [windows, channels] or [windows]. Raises ``LedgerError`` if
    they are not what was recorded."""
    path, content, what = errors_file(folder, row["run_id"]), None, ""
    for at in (path, ahead(path), path):  # which may get its name in between
        with suppress(OSError):
            content = at.read_bytes() if content is None else content
    try:
        errors = np.load(io.BytesIO(content or b""), allow_pickle=False)
        recorded = row.get("errors_crc32")  # none in rows from before there was one
        if str(recorded).startswith("crc-") and recorded != f"crc-{zlib.crc32(content):08x}":
            what = "not what was recorded (wrong checksum)"
        elif not np.isclose(errors.mean(dtype=np.float64), float(row["test_mse"]), rtol=1e-5):
            what = "its mean is not the test_mse of the run"
    except (ValueError, EOFError, OSError):
        what = "the errors of this run are not there" if content is None else \
            "truncated or not an array" if content else "empty"
    if what:
        raise LedgerError(f"{path}: {what}; {AGAIN}.")
    return errors


class Folder:
    """The files of one folder. All methods raise ``LedgerError`` for a table that is damaged."""

    def __init__(self, path):
        self.path = Path(path)
        self._tables: dict = {}  # table -> (state of its file, columns, lines)
        self._frames: dict = {}  # table -> (state of its file, its rows)
        self._clean = False

    def file(self, table: str) -> Path:
        if not re.fullmatch(r"\w[\w-]*", table):
            raise LedgerError(f"{table!r}: not the name of a table; use letters, digits and _.")
        return self.path / f"{table}.csv"

    def tables(self) -> list[str]:
        return sorted(p.stem for p in self.path.glob("*.csv"))

    def state(self, table: str):
        path = self.file(table)
        file = path.stat() if path.is_file() else None
        return file and (file.st_ino, file.st_size, file.st_mtime_ns)

    # -- reading

    def lines(self, table: str) -> tuple:
        """State of the file, columns and good lines of a table; nothing where there is none."""
        state, path = self.state(table), self.file(table)
        if state is None:
            return None, [], []
        if self._tables.get(table, (0,))[0] != state:
            columns, lines, damage, doubled = scan(path.read_bytes(), UNIQUE.get(table, ()))
            for n, what in damage:
                more = f" {len(damage)} lines are damaged." if len(damage) > 1 else ""
                raise LedgerError(f"{path}, line {n}: {what}.{more}")
            if doubled and table not in self._tables:  # said once
                n, what = doubled[0]
                print(f"{path}, line {n}: {what} ({len(doubled)} such lines).", file=sys.stderr)
            self._tables[table] = state, columns, lines
        return self._tables[table]

    def rows(self, table: str) -> tuple[list[str], list[dict]]:
        """Columns and rows of a table, as texts."""
        _, columns, lines = self.lines(table)
        return columns, rows_of(columns, lines)

    def frame(self, table: str) -> pd.DataFrame:
        """All rows of a table, without their checksums; empty if there is none."""
        state, columns, lines = self.lines(table)
        if self._frames.get(table, (0,))[0] != state or state is None:
            text = "\n".join([",".join([*columns, "check"]), *lines])
            rows = pd.read_csv(io.BytesIO(text.encode()), usecols=columns) if columns else \
                pd.DataFrame()
            self._frames[table] = state, rows.copy()  # in few blocks: rows are taken often
        return self._frames[table][1].copy(deep=False)  # copied where it is written to

    def has(self, run_id: str) -> bool:
        """Whether a run has a line; where it has none, the others are not read."""
        path, name = self.file("runs"), text_of([run_id]) + ","
        return path.is_file() and f"\n{name}".encode() in path.read_bytes() and \
            any(line.startswith(name) for line in self.lines("runs")[2])

    # -- writing

    def check_writable(self) -> None:
        """Raises ``LedgerError`` where nothing could be recorded, before anything is trained."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(bytes(1 << 20))
            for path in self.path.glob("*.csv"):
                path.open("ab").close()
        except OSError as error:
            raise LedgerError(f"{self.path}: results cannot be written there ({error.strerror}); "
                              "make room or choose another folder with --results.") from None
        for table in UNIQUE:
            self.lines(table)

    @contextmanager
    def writing(self):
        """No other process writes for the length of the block."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{self.path}: not a folder that can be written to "
                              f"({error.strerror}); choose another with --results.") from None
        # One object, so that who holds it can take it again.
        lock = FileLock(self.path / ".lock", is_singleton=True)
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            print(f"{self.path}: another process holds the lock of the ledger; waiting for it "
                  "(end that process if it hangs)", file=sys.stderr, flush=True)
            lock.acquire()
        try:
            if not self._clean:  # leftovers of killed processes: nobody else writes now
                self._finish()
                self._clean = True
            yield
        finally:
            lock.release()

    def _finish(self) -> None:
        """Errors of a run whose line is there get their name; other halves are removed."""
        for path in (*self.path.glob(".*.tmp"), *self.path.glob("window_errors/*.tmp")):
            if HALF.fullmatch(path.name):
                path.unlink()
            elif run := AHEAD.fullmatch(path.name):
                os.replace(path, path.with_suffix("")) if self.has(run[1]) else path.unlink()

    def add(self, table: str, rows: list[dict], key) -> None:
        """Add rows within ``writing``, in place of all earlier ones with the same ``key`` columns
        as one of them: a run's by adding lines, all others by replacing the file."""
        path, new = self.file(table), [{k: cell(v) for k, v in row.items()} for row in rows]
        content = path.read_bytes() if table in UNIQUE and path.is_file() else b""
        columns = cells_of(content.partition(b"\n")[0].decode(errors="replace"))[:-1]
        if content.endswith(b"\n") and content.count(b",check\n") == 1 \
                and all(k in columns for row in new for k in row) and not any(
                    f"\n{name},".encode() in content
                    for name in {text_of([row.get(columns[0], "")]) for row in new}):
            with open(path, "ab") as f:
                f.write("".join(line_of(columns, row) + "\n" for row in new).encode())
                f.flush()
                os.fsync(f.fileno())
            return
        columns, old = self.rows(table)
        keys = {tuple(row.get(k, "") for k in key) for row in new}
        rows = [row for row in old if tuple(row.get(k, "") for k in key) not in keys] + new
        columns = list(dict.fromkeys([*columns, *(k for row in new for k in row)]))
        lines = [",".join([*columns, "check"]), *(line_of(columns, row) for row in rows), ""]
        write(path, "\n".join(lines).encode())


# -- the record


def needs_checkout() -> None:
    """Raises ``LedgerError`` where the package stands without the rest of its repository."""
    if not (ROOT / "notebooks").is_dir():
        raise LedgerError("tsattn is installed without the rest of its repository, where chapters "
                          "and results lie; clone the repository and call it there.")


class Ledger:
    """The tables ``<folder>/<table>.csv`` and the errors ``<folder>/window_errors/<run_id>.npy``.

    ``Ledger()`` and ``Ledger(RESULTS)`` read the committed tables and those in ``own``, and write
    to ``own``; with ``record=True`` they read and write the committed ones alone. A ledger in
    another folder is read and written there, unless it is given an ``own``. All methods raise
    ``LedgerError`` for a table that is damaged.
    """

    def __init__(self, folder=RESULTS, own=None, record: bool = False):
        self.folder = Path(folder)
        if self.folder == RESULTS:
            needs_checkout()
        if own is None and not record and self.folder.resolve() == RESULTS.resolve():
            own = OWN
        self.own = Path(own) if own is not None else None
        self.folders = [Folder(path) for path in (self.folder, self.own) if path is not None]
        self.target = self.folders[-1]  # where this ledger writes
        source_revision()  # what is loaded now, even if the files change while runs go on
        self.tally: Counter = Counter()  # what was read and what was made through this object
        self._joined: dict = {}  # table -> (states of its files, its rows)
        self._known: tuple = (None, {})  # state of the runs, what became of each

    # -- tables

    def read(self, table: str) -> pd.DataFrame:
        """All rows of a table, without their checksums; empty if there is none."""
        if self.own is None or self.target.state(table) is None:
            return self.folders[0].frame(table)
        state = [folder.state(of) for folder in self.folders for of in (table, "runs")]
        if self._joined.get(table, (0,))[0] != state:
            self._joined[table] = state, self._join(table)
        return self._joined[table][1].copy(deep=False)  # copied where it is written to

    def _join(self, table: str) -> pd.DataFrame:
        base, own = (folder.frame(table) for folder in self.folders)
        if base.empty or own.empty:
            return own if base.empty else base
        if table in UNIQUE:  # a complete run that is committed stays what it is
            runs = self.folders[0].frame("runs")
            own = own[~own.run_id.isin(runs.run_id[runs.status == "complete"] if len(runs) else ())]
            base = base[~base.run_id.isin(own.run_id)]
        elif key := self._own_keys().get(table):
            of_base, of_own = ([tuple(row.get(k, "") for k in key) for row in folder.rows(table)[1]]
                               for folder in self.folders)
            again = set(of_own)
            base = base[[name not in again for name in of_base]]
        return pd.concat([part for part in (base, own) if len(part)], ignore_index=True)

    def _own_keys(self) -> dict[str, list[str]]:
        path = self.own / "keys.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def record(self, table: str, rows: list[dict], key: list[str]) -> None:
        """Add rows, in place of all earlier ones with the same ``key`` columns as one of them."""
        with self.target.writing():
            if self.own is not None and self._own_keys().get(table) != key:
                keys = self._own_keys() | {table: key}
                write(self.own / "keys.json", json.dumps(keys, indent=1).encode())
            self.target.add(table, rows, key)

    def rows(self, table: str) -> Iterator[dict]:
        """Rows of a table as texts, own ones last."""
        for folder in self.folders:
            yield from folder.rows(table)[1]

    # -- measurements

    def measured(self, table: str, keys: list[dict], measure: Callable[..., list[dict]],
                 jobs: int = 1) -> pd.DataFrame:
        """Rows of ``table`` for ``keys``, in their order; ``measure(**key)`` makes what is missing.

        ``jobs`` keys are measured side by side, each in a process with one thread. Every new row
        gets its key, the number of rows of its measurement, the ``version`` of its measure and its
        provenance, and is recorded as it arrives, unless another process was first. Rows of
        another version count as missing, and are replaced.
        """
        header, groups = self._found(table, keys)
        todo = [key for key, rows in zip(keys, groups, strict=True) if not rows]
        self.tally["measurements made"] += len(todo)
        self.tally["measurements read"] += len(keys) - len(todo)
        made = _side_by_side(measure, todo, jobs)
        with bar(len(todo), table, disable=not todo) as progress:
            for key, rows in zip(todo, made, strict=True):
                how = {"rows": len(rows), "version": version(table), **provenance()}
                with self.target.writing():
                    if not self._found(table, [key])[1][0]:
                        self.record(table, [{**key, **row, **how} for row in rows], list(key))
                progress.update()
        if todo:
            header, groups = self._found(table, keys)
        found = pd.DataFrame([row for rows in groups for row in rows], columns=header)
        return pd.read_csv(io.StringIO(found.to_csv(index=False))) if header else found

    def lacking(self, table: str, keys: list[dict]) -> list[dict]:
        """Those of ``keys`` for which ``measured`` would have to measure."""
        groups = self._found(table, keys)[1]
        return [key for key, rows in zip(keys, groups, strict=True) if not rows]

    def _found(self, table: str, keys: list[dict]) -> tuple[list[str], list[list[dict]]]:
        """Columns of the table and the rows of every key. All keys have the same columns."""
        header, groups = [], [[] for _ in keys]
        for folder in reversed(self.folders):
            columns, rows = folder.rows(table)
            header += [k for k in columns if k not in header]
            by_key: dict = {}
            for row in rows if keys else []:
                if outdated(table, row):
                    continue
                by_key.setdefault(tuple(row.get(k, "") for k in keys[0]), []).append(row)
            for i, key in enumerate(keys):
                rows = by_key.get(tuple(map(cell, key.values())), [])
                # Measurements from before rows were counted have nothing here.
                counts = {row.get("rows", "") for row in rows} - {"", str(len(rows))}
                if counts:
                    raise LedgerError(
                        f"{folder.file(table)}: {len(rows)} rows of {key} where {counts.pop()} "
                        f"were measured; {LINES}.")
                groups[i] = groups[i] or rows
        return header, groups

    def summary(self) -> str:
        """One line for the end of a chapter: what was read, what was made, with which versions."""
        counts = ", ".join(f"{n} {what}" for what, n in sorted(self.tally.items()) if n)
        now = provenance()
        return (f"Provenance: {counts or 'nothing trained or measured here'}; "
                f"Python {now['python']}, torch {now['torch']}, numpy {now['numpy']}; "
                f"source {now['source']}; {now['time']}")

    # -- runs

    def record_run(self, result: Result) -> None:
        """A run's errors by window and its curves, then its row, with which it is there.

        A complete run that is recorded already stays what it is.
        """
        s, run_id = result.settings, result.run_id
        path, errors = errors_file(self.target.path, run_id), {}
        with self.target.writing():
            if any(folder.has(run_id) for folder in self.folders) and self.complete([s]):
                return
            if result.test_errors is not None:
                content = npy(result.test_errors)
                errors = {"errors_crc32": f"crc-{zlib.crc32(content):08x}"}
                write(ahead(path), content)
            if result.curves:
                rows = [{"run_id": run_id, **row} for row in result.curves]
                self.target.add("curves", rows, ["run_id"])
            row = {**row_of(result), **provenance(), **result.how, **errors}
            self.target.add("runs", [row], ["run_id"])
            if errors:
                os.replace(ahead(path), path)

    def add_channels(self, result: Result) -> bool:
        """Keep the errors by channel of a run that was recorded without them and trained again;
        returns whether that was done. The row stays. Refused unless the mean over the channels is
        the recorded error of every window, within a thousandth."""
        recorded, errors = self.channel_errors(result.settings), result.test_errors
        if recorded.ndim == 2 or not np.allclose(errors.mean(1), recorded, rtol=1e-3):
            return False
        with self.target.writing():
            write(errors_file(self.target.path, result.run_id), npy(errors))
        return True

    def runs(self, settings: list[Settings]) -> pd.DataFrame:
        """Rows of ``runs`` for these settings, in their order; what is missing is left out."""
        table = self.read("runs")
        if table.empty:
            return table
        at = pd.Index(table.run_id).get_indexer([s.run_id for s in settings])
        return table.iloc[at[at >= 0]].reset_index(drop=True)

    def settings(self, run_id: str) -> Settings:
        """The settings of a row of ``runs``. Raises ``LedgerError`` if there is none, or if they
        do not give its name."""
        row = self._row(run_id)
        if row is None:
            raise LedgerError(f"{run_id}: no such run in {self.folder / 'runs.csv'}.")
        return settings_of(row)

    def _row(self, run_id: str) -> dict | None:
        return next((row for row in self.rows("runs") if row["run_id"] == run_id), None)

    def known(self, run_id: str) -> Settings | None:
        """``settings``; None for a run without a row, or on a reader's file that is not in this
        folder as it was."""
        row = self._row(run_id)
        try:
            return row and settings_of(row)
        except (LedgerError, FileNotFoundError):
            if row["dataset"] in DATASETS:
                raise
            return None

    def all_settings(self) -> dict[str, Settings]:
        """The settings of every row of ``runs`` on the project's own data, by run_id."""
        return {row["run_id"]: settings_of(row) for row in self.rows("runs")
                if row["dataset"] in DATASETS}

    def curves(self, settings: list[Settings]) -> pd.DataFrame:
        """Per-epoch rows of the recorded runs among these settings, with attention and seed."""
        runs = self.runs(settings)  # first: a run's line is written last
        curves = self.read("curves")
        ran = {run.run_id: run.epochs_run for run in runs.itertuples()}
        if len(curves):
            curves = curves[curves.epoch <= curves.run_id.map(ran).astype(float)]
        found = Counter(curves.get("run_id", ()))
        for run in runs.itertuples():
            if run.status == "complete":
                _whole(self.folders[0], run.run_id, found, run.epochs_run)
        names = pd.DataFrame([(s.run_id, s.attention, s.seed) for s in settings],
                             columns=["run_id", "attention", "seed"])
        return curves.merge(names, on="run_id") if len(curves) else curves

    def orphans(self, settings: list[Settings]) -> list[Path]:
        """Errors of runs that have no row: lines of ``runs.csv`` were lost."""
        known = set(self.read("runs").get("run_id", ()))
        paths = [errors_file(folder.path, s.run_id) for s in settings for folder in self.folders
                 if s.run_id not in known]
        return [path for path in dict.fromkeys(paths) if path.is_file()]

    def channel_errors(self, s: Settings) -> np.ndarray:
        """MSE of every test window at the best epoch: [windows, channels], or [windows] for a run
        recorded before channels were kept apart. Raises ``LedgerError`` if it is not the run's."""
        row = self._outcomes().get(s.run_id)
        if row is None:
            raise LedgerError(f"{s.run_id}: no such run in {self.folder / 'runs.csv'}.")
        there = [folder.path for folder in self.folders
                 if errors_file(folder.path, s.run_id).is_file()]
        there += [folder.path for folder in self.folders if not there and folder.has(s.run_id)]
        return errors_of(there[0], row)

    def window_errors(self, s: Settings) -> np.ndarray:
        """``channel_errors``, the channels averaged: [windows]."""
        errors = self.channel_errors(s)
        return errors.mean(1) if errors.ndim == 2 else errors

    def complete(self, settings: list[Settings]) -> list[Settings]:
        """Those of ``settings`` that have a complete run."""
        known = self._outcomes()
        return [s for s in settings if known.get(s.run_id, {}).get("status") == "complete"]

    def _outcomes(self) -> dict[str, dict]:
        """What became of every run, by run_id; read again when a file has changed."""
        state = [folder.state("runs") for folder in self.folders]
        if self._known[0] != state:
            table = self.read("runs")
            columns = [c for c in ("run_id", "status", "test_mse", "errors_crc32") if c in table]
            self._known = state, {row["run_id"]: row for row in table[columns].to_dict("records")}
        return self._known[1]

    def errors_by_seed(self, settings: list[Settings]) -> dict:
        """``window_errors`` of the complete runs among ``settings``, by seed; None where no seed
        can change the result."""
        return {s.seed if s.seeded else None: self.window_errors(s)
                for s in self.complete(settings)}


def row_of(result: Result) -> dict:
    """What a run was and what came out of it, as a row of ``runs``."""
    s = result.settings
    measured = {k: getattr(result, k) for k in (
        "status", "reason", "best_epoch", "val_mse", "val_mae", "test_mse", "test_mae", "seconds")}
    return {"run_id": s.run_id, **asdict(s), "dataset": s.dataset_name, "n_tokens": s.n_tokens,
            **measured, "epochs_run": len(result.curves)}


def settings_of(row: dict) -> Settings:
    """The settings of a row (texts). Raises ``LedgerError`` if they do not give its run_id."""
    parse = {"int": int, "float": float, "str": str, "bool": "True".__eq__}
    values = {f.name: parse[f.type](row[f.name]) for f in fields(Settings) if row.get(f.name)}
    s = Settings(**values | {"device": "cpu" if row["device"] == "cpu" else "auto"})
    if s.run_id != row["run_id"]:
        raise LedgerError(f"{row['run_id']}: the settings in its row are those of {s.run_id}; "
                          f"{GIT}.")
    return s


def outdated(table: str, row: dict) -> bool:
    """Whether another version of its measure has made a row; one without a version is of 1."""
    return int(row.get("version") or 1) != version(table)


def _side_by_side(measure, keys: list[dict], jobs: int) -> Iterator[list[dict]]:
    if min(jobs, len(keys)) <= 1:
        yield from (measure(**key) for key in keys)
        return
    from loky.process_executor import ProcessPoolExecutor

    pool = ProcessPoolExecutor(min(jobs, len(keys)), env={"OMP_NUM_THREADS": "1"},
                               initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(lambda key: measure(**key), keys)
    finally:
        pool.shutdown(wait=True, kill_workers=True)


# -- what is recorded, and whether it is whole


def show(ledger: Ledger) -> str:
    """The tables of a ledger with their rows, and its runs by profile and status."""
    lines = []
    for folder in ledger.folders:
        for table in folder.tables():
            _, columns, rows = folder.lines(table)
            lines.append(f"{folder.file(table)}: {len(rows)} rows, {len(columns)} columns")
    runs = ledger.read("runs")
    if len(runs):
        for (profile, status), n in runs.groupby(["profile", "status"]).size().items():
            lines.append(f"{n} runs of profile {profile}: {status}")
    return "\n".join(lines) or "no tables"


def check(ledger: Ledger) -> list[str]:
    """A sentence for everything that is wrong, with file and line; none if all is whole."""
    said = []
    for folder in ledger.folders:
        for path in map(folder.file, folder.tables()):
            _, _, damage, doubled = scan(path.read_bytes(), UNIQUE.get(path.stem, ()))
            said += [f"{path}, line {n}: {what}." for n, what in damage + doubled]
    if said:
        return said  # what is missing elsewhere may stand in such a line
    known = {row["run_id"] for row in ledger.rows("runs")}
    for folder in ledger.folders:
        for table in folder.tables():  # what is measured in one second counts together
            counts = Counter((row.get("run_id", ""), row.get("time", ""), row.get("rows", ""))
                             for row in folder.rows(table)[1])
            said += [f"{folder.file(table)}: rows are missing of the measurement of {of[0]} at "
                     f"{of[1]}; {LINES}." for of, n in counts.items()
                     if of[2].isdigit() and n % int(of[2])]
        errors = sorted((folder.path / "window_errors").glob("*.npy"))
        said += [without_line([path]) for path in errors if path.stem not in known]
        epochs = Counter(row["run_id"] for row in folder.rows("curves")[1])
        for row in folder.rows("runs")[1]:
            if row.get("status") == "complete":
                try:
                    _whole(folder, row["run_id"], epochs, row.get("epochs_run", 0))
                    if row.get("test_mse"):
                        errors_of(folder.path, row)
                except LedgerError as error:
                    said.append(str(error))
    return said


def _whole(folder: Folder, run_id: str, epochs: Counter, ran: int) -> None:
    if epochs[run_id] != int(ran):
        raise LedgerError(f"{folder.file('curves')}: {epochs[run_id]} rows of {run_id}, which ran "
                          f"{ran} epochs; {AGAIN}.")


def without_line(orphans: list[Path]) -> str:
    return (f"{orphans[0].parents[1] / 'runs.csv'}: {len(orphans)} runs have their errors in "
            f"window_errors but no line (first: {orphans[0].stem}), so lines were lost; {GIT}, or "
            "delete those errors to have the runs trained again.")

"""The record, ``results/``: tidy CSV tables, and the errors of every run by window.

A run exists if, and only if, its line in ``runs.csv`` does. Its errors and its curve are written
before that line; what a killed process leaves of a run without a line is written over by the next.
A table is replaced as a whole, atomically. Every row has its checksum, so that damage is noticed,
and git has what was committed. What a reader makes goes to a folder of the reader's own,
``my-results/``, and is read together with the rest.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout

from .progress import bar, counted
from .settings import DATASETS, ROOT, Settings
from .training import Result

RESULTS = ROOT / "results"
OWN = ROOT / "my-results"
PATIENCE = 5  # seconds before it is said that another process holds the lock
# The columns that name a row of a table. A measurement is named by the columns of its point.
UNIQUE = {"runs": ("run_id",), "curves": ("run_id", "epoch"), "numbers": ("name",)}
GIT = "take the file from git"
LINES = GIT + ", or delete such lines: what they held is made again"
AGAIN = GIT + ", or delete the run's line in runs.csv and its file in window_errors to have it " \
              "trained again"


class LedgerError(RuntimeError):
    """A table is damaged or cannot be written; the message names file, line and what to do."""


# -- how a number was made

# Version of the measure that fills a table, where it is not 1: raised by whoever changes what it
# measures. Rows of another version are measured again; rows without one are of version 1.
VERSIONS: dict[str, int] = {}


def version(table: str) -> int:
    return VERSIONS.get(table, 1)


@cache
def source_revision() -> str:
    """Commit of the checkout, if it is one, and a hash of the sources that numbers depend on."""
    package = ROOT / "tsattn"
    rooms = ("settings", "tokenizers", "floors", "step", "training")
    files = [*(package / f"{room}.py" for room in rooms), *sorted(package.glob("data/*.*")),
             *sorted(package.glob("models/*.py"))]
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:10]
    try:
        commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"],
                                capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "no-commit"
    return f"{commit}:{digest}"


def provenance() -> dict:
    """How a measurement was made: versions, source revision and time (UTC)."""
    return {"python": platform.python_version(), "torch": torch.__version__,
            "numpy": np.__version__, "source": source_revision(),
            "time": datetime.now(UTC).isoformat(timespec="seconds")}


def processor() -> str:
    """Name of the processor where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":", 1)[1].strip() for line in f
                        if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# -- lines and files


def cell(value) -> str:
    """Text of one cell: floats as they read back exactly, nothing for what is missing."""
    if isinstance(value, (np.generic, torch.Tensor)):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return " ".join(str(value).split())


def cells_of(line: str) -> list[str]:
    return line.split(",") if '"' not in line else next(csv.reader([line]))


def row_in(columns: list[str], line: str) -> dict[str, str]:
    return dict(zip(columns, cells_of(line), strict=False))  # without its checksum


def checksum(filled: list[str]) -> str:
    """Of the filled cells of a row, each with its column in front."""
    return f"{zlib.crc32(chr(31).join(filled).encode()):08x}"


def line_of(columns: list[str], row: dict) -> str:
    check = checksum([f"{k}={row[k]}" for k in columns if row.get(k)])
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([*(row.get(k, "") for k in columns), check])
    return text.getvalue()


def content_of(columns: list[str], lines: Iterable[str]) -> bytes:
    """A table as it stands in its file."""
    return "\n".join([",".join([*columns, "check"]), *lines, ""]).encode()


def scan(path: Path) -> tuple[list[str], dict, list[str], list[str]]:
    """Columns without ``check``, the good lines by name (the ``UNIQUE`` columns, else its number),
    and in words the damaged lines, and those of a row that is there already, as after a merge, of
    which the first counts."""
    def at(n: int, what: str) -> str:
        return f"{path}, line {n}: {what}."

    unique = UNIQUE.get(path.stem, ())
    first, *lines = path.read_bytes().decode(errors="replace").split("\n")
    header = columns = cells_of(first)[:-1]
    if not first.endswith(",check") or not {*unique} <= {*header}:
        return [], {}, [at(1, "not the header of a ledger table; an editor (byte-order mark), a "
                              f"spreadsheet (CRLF) or a merge may have changed it; {GIT}")], []
    good, damage, doubled = {}, [], []
    measured: dict = {}  # run, second and number of rows of a measurement -> its lines
    for n, line in enumerate(lines[:-1], 2):
        *values, check = cells_of(line)
        if check == "check" and values[:1] == columns[:1]:  # a header again, after a merge
            header = values
            columns = list(dict.fromkeys([*columns, *header]))
            continue
        row = dict(zip(header, values, strict=False))  # from before the last columns: shorter
        if check != checksum([f"{k}={v}" for k, v in row.items() if v]) or len(values) > len(row):
            damage.append(at(n, "truncated or changed, by hand, by a spreadsheet or by a merge; "
                                f"{LINES}"))
        elif (name := " ".join(row[k] for k in unique) or n) in good:
            doubled.append(at(n, f"{name} is in a line above already, as after a merge; the first "
                                 "counts, delete the other"))
        else:
            good[name] = header[:len(values)], line
            if "rows" in row:
                of = row.get("run_id", ""), row.get("time", ""), row["rows"] or "1"
                measured.setdefault(of, []).append(n)
    if lines[-1:] != [""]:
        damage.append(at(len(lines) + 1, f"the file ends within this line; {LINES}"))
    damage += [at(of[0], f"rows are missing of the measurement of {run_id} at {time}; {LINES}")
               for (run_id, time, rows), of in measured.items() if len(of) % int(rows)]
    good = {name: line if of == columns else line_of(columns, row_in(of, line))
            for name, (of, line) in good.items()}
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


def npy(errors: np.ndarray) -> bytes:
    np.save(content := io.BytesIO(), errors.astype(np.float32))
    return content.getvalue()


class Folder:
    """The files of one folder. All methods raise ``LedgerError`` for a table that is damaged."""

    def __init__(self, path):
        self.path = Path(path)
        self._tables: dict = {}  # table -> (state of its file, columns, lines by name)

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

    def lines(self, table: str) -> tuple[list[str], dict]:
        """Columns of a table and its good lines by name; nothing where there is none."""
        state, path = self.state(table), self.file(table)
        if state is None:
            return [], {}
        if self._tables.get(table, (0,))[0] != state:
            columns, lines, damage, doubled = scan(path)
            if damage:
                raise LedgerError(damage[0])
            if doubled and table not in self._tables:  # said once
                print(f"{doubled[0]} In all {counted(len(doubled), 'line')}.", file=sys.stderr)
            self._tables[table] = state, columns, lines
        return self._tables[table][1:]

    def rows(self, table: str) -> list[dict]:
        """Rows of a table, as texts."""
        columns, lines = self.lines(table)
        return [row_in(columns, line) for line in lines.values()]

    def run(self, run_id: str) -> dict:
        """The row of a run, as texts; empty if there is none."""
        columns, lines = self.lines("runs")
        return row_in(columns, lines[run_id]) if run_id in lines else {}

    def frame(self, table: str) -> pd.DataFrame:
        """Rows of a table that are not ``outdated``, without their checksums; empty if there is
        none."""
        columns, lines = self.lines(table)
        if not columns:
            return pd.DataFrame()
        kept = lines.values() if table in UNIQUE else (
            line for line in lines.values() if not outdated(table, row_in(columns, line)))
        rows = pd.read_csv(io.BytesIO(content_of(columns, kept)), usecols=columns)
        return rows.copy()  # in few blocks: rows are taken often

    # -- writing

    def check_writable(self) -> None:
        """Raises ``LedgerError`` where nothing could be recorded, before anything is made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(bytes(1 << 20))
        except OSError as error:
            raise LedgerError(f"{self.path}: results cannot be written there ({error.strerror}); "
                              "make room or choose another folder with --results.") from None
        for table in UNIQUE:
            self.lines(table)

    @contextmanager
    def writing(self):
        """No other process writes for the length of the block."""
        self.path.mkdir(parents=True, exist_ok=True)
        # One object, so that who holds it can take it again.
        lock = FileLock(self.path / ".lock", is_singleton=True)
        try:
            held = lock.acquire(timeout=PATIENCE)
        except Timeout:
            print(f"{self.path}: another process holds the lock of the ledger; waiting for it "
                  "(end that process if it hangs)", file=sys.stderr, flush=True)
            held = lock.acquire()
        with held:
            for pattern in (".*.csv.*.tmp", "window_errors/.*.npy.*.tmp"):  # of killed processes
                for path in self.path.glob(pattern):
                    path.unlink()
            yield

    def add(self, table: str, rows: list[dict], key) -> None:
        """Add rows within ``writing``, in place of all earlier ones with the same ``key`` columns
        as one of them."""
        had, lines = self.lines(table)
        new = [{k: cell(v) for k, v in row.items()} for row in rows]
        columns = list(dict.fromkeys([*had, *(k for row in new for k in row)]))
        again = {tuple(row.get(k, "") for k in key) for row in new}
        kept = {}
        for name, line in lines.items():
            row = row_in(had, line)
            if tuple(row.get(k, "") for k in key) not in again:
                kept[name] = line if columns == had else line_of(columns, row)
        unique = UNIQUE.get(table, ())
        last = 0 if unique else max(lines, default=0)
        for n, row in enumerate(new, last + 1):
            kept[" ".join(row[k] for k in unique) or n] = line_of(columns, row)
        write(self.file(table), content_of(columns, kept.values()))
        self._tables[table] = self.state(table), columns, kept


# -- the record


def needs_checkout() -> None:
    """Raises ``LedgerError`` where the package stands without the rest of its repository."""
    if not (ROOT / "notebooks").is_dir():
        raise LedgerError("tsattn is installed without the rest of its repository, where chapters "
                          "and results lie; clone the repository and call it there.")


class Ledger:
    """The tables ``<folder>/<table>.csv`` and the errors ``<folder>/window_errors/<run_id>.npy``.

    ``Ledger()`` and ``Ledger(RESULTS)`` read the committed tables and those in ``OWN``, and write
    to ``OWN``; with ``record=True`` they read and write the committed ones alone. A ledger in
    another folder is read and written there. All methods raise ``LedgerError`` for a table that is
    damaged.
    """

    def __init__(self, folder=RESULTS, record: bool = False):
        self.folder = Path(folder)
        committed = self.folder.resolve() == RESULTS.resolve()
        if committed:
            needs_checkout()
        self.own = OWN if committed and not record else None
        self.folders = [Folder(path) for path in (self.folder, self.own) if path]
        self.target = self.folders[-1]  # where this ledger writes
        source_revision()  # what is loaded now, even if the files change while runs go on
        self.tally: Counter = Counter()  # what was read and what was made through this object
        self._frames: dict = {}  # table -> (states of its files, its rows)

    # -- tables

    def read(self, table: str) -> pd.DataFrame:
        """Rows of a table that are not ``outdated``, without their checksums; empty if there is
        none."""
        state = [folder.state(of) for folder in self.folders for of in (table, "runs")]
        if self._frames.get(table, (0,))[0] != state:
            self._frames[table] = state, self._join(table)
        return self._frames[table][1].copy(deep=False)  # copied where it is written to

    def _join(self, table: str) -> pd.DataFrame:
        base = self.folders[0].frame(table)
        own = self.target.frame(table) if self.own else base[:0]
        if base.empty or own.empty:
            return own if base.empty else base
        if "run_id" in UNIQUE.get(table, ()):  # a complete run that is committed stays what it is
            runs = self.folders[0].frame("runs")
            own = own[~own.run_id.isin(runs.run_id[runs.status == "complete"])]
            base = base[~base.run_id.isin(own.run_id)]
        elif "rows" in own:  # the columns before it name a measurement, see ``measured``
            key = own.columns[:own.columns.get_loc("rows")]
            of_base, of_own = ([tuple(row.get(k, "") for k in key) for row in folder.rows(table)
                                if not outdated(table, row)] for folder in self.folders)
            again = set(of_own)
            base = base[[name not in again for name in of_base]]
        return pd.concat([part for part in (base, own) if len(part)], ignore_index=True)

    def record(self, table: str, rows: list[dict], key: list[str]) -> None:
        """Add rows, in place of all earlier ones with the same ``key`` columns as one of them."""
        with self.target.writing():
            self.target.add(table, rows, key)

    def rows(self, table: str) -> Iterator[dict]:
        """Rows of a table as texts, own ones last."""
        for folder in self.folders:
            yield from folder.rows(table)

    # -- measurements

    def measured(self, table: str, keys: list[dict], measure: Callable[..., list[dict]],
                 jobs: int = 1) -> pd.DataFrame:
        """Rows of ``table`` for ``keys``, in their order; ``measure(**key)`` makes what is missing.

        ``jobs`` keys are measured side by side, each in a process with one thread. Every new row
        gets its key, the number of rows of its measurement, the ``version`` of its measure and its
        provenance, and is recorded as it arrives, unless another process was first. Rows of another
        version count as missing, and are replaced.
        """
        todo = self.lacking(table, keys)
        if todo:
            self.target.check_writable()
        self.tally["measurements made"] += len(todo)
        self.tally["measurements read"] += len(keys) - len(todo)
        with bar(len(todo), table, disable=not todo) as progress:
            for key, rows in zip(todo, _side_by_side(measure, todo, jobs), strict=True):
                how = {"version": version(table), **provenance()}
                with self.target.writing():
                    if self.lacking(table, [key]):
                        self.target.add(table, [{**key, "rows": len(rows), **row, **how}
                                                for row in rows], list(key))
                progress.update()
        found = pd.DataFrame([row for rows in self._found(table, keys) for row in rows])
        return pd.read_csv(io.StringIO(found.to_csv(index=False))) if len(found) else found

    def lacking(self, table: str, keys: list[dict]) -> list[dict]:
        """Those of ``keys`` for which ``measured`` would have to measure."""
        return [key for key, rows in zip(keys, self._found(table, keys), strict=True) if not rows]

    def _found(self, table: str, keys: list[dict]) -> list[list[dict]]:
        """The rows of every key, as texts. All keys have the same columns."""
        groups: dict = {}
        for folder in self.folders:
            by_key: dict = {}
            for row in folder.rows(table) if keys else []:
                if not outdated(table, row):
                    by_key.setdefault(tuple(row.get(k, "") for k in keys[0]), []).append(row)
            groups |= by_key  # a reader's own take the place of committed ones
        found = [groups.get(tuple(map(cell, key.values())), []) for key in keys]
        return [[row for row in rows if row.get("time") == rows[0].get("time")]  # of two, the first
                for rows in found]

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
        row = {**row_of(result), **provenance(), **result.how}
        with self.target.writing():
            if self.complete([result.settings]):
                return
            if result.test_errors is not None:
                content = npy(result.test_errors)
                row["errors_crc32"] = f"crc-{zlib.crc32(content):08x}"
                write(errors_file(self.target.path, result.run_id), content)
            if result.curves:
                rows = [{"run_id": result.run_id, **row} for row in result.curves]
                self.target.add("curves", rows, ["run_id"])
            self.target.add("runs", [row], ["run_id"])

    def add_channels(self, result: Result) -> bool:
        """Keep the errors by channel of a run that was recorded without them and trained again;
        returns whether that was done. The row stays. Refused unless the mean over the channels is
        the recorded error of every window, up to rounding."""
        recorded, errors = self.channel_errors(result.settings), result.test_errors
        there = self._run(result.run_id)[0] is self.target  # not one committed, read from results/
        if not there or recorded.ndim == 2 or not np.allclose(
                errors.mean(1), recorded, rtol=1e-5):
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

    def complete(self, settings: list[Settings]) -> list[Settings]:
        """Those of ``settings`` that have a complete run."""
        return [s for s in settings if any(folder.run(s.run_id).get("status") == "complete"
                                           for folder in self.folders)]

    def _run(self, run_id: str) -> tuple[Folder, dict]:
        """Where a run is recorded, and its row (texts): committed, if it is complete there."""
        found = [(folder, row) for folder in self.folders if (row := folder.run(run_id))]
        if not found:
            raise LedgerError(f"{run_id}: no such run in {self.folder / 'runs.csv'}.")
        return max(found, key=lambda of: of[1]["status"] == "complete")

    def settings(self, run_id: str) -> Settings:
        """The settings of a row of ``runs``; ``LedgerError`` if there is none or it is damaged."""
        return settings_of(self._run(run_id)[1])

    def known(self, run_id: str) -> Settings | None:
        """``settings``; None for a run without a row, or on a reader's file that is not in this
        folder as it was."""
        with suppress(LedgerError, FileNotFoundError):
            return self.settings(run_id)

    def all_settings(self) -> dict[str, Settings]:
        """The settings of every row of ``runs`` on the project's own data, by run_id."""
        return {row["run_id"]: settings_of(row) for row in self.rows("runs")
                if row["dataset"] in DATASETS}

    def curves(self, settings: list[Settings]) -> pd.DataFrame:
        """Per-epoch rows of the recorded runs among these settings, with attention and seed."""
        done = self.complete(settings)  # in this order, as a run's line is written last
        runs, curves = self.runs(settings), self.read("curves")
        ran = {run.run_id: run.epochs_run for run in runs.itertuples()}
        if len(curves):
            curves = curves[curves.epoch <= curves.run_id.map(ran).astype(float)]
        found = Counter(curves.get("run_id", ()))
        short = [s.run_id for s in done if found[s.run_id] != ran[s.run_id]]
        if short:
            raise LedgerError(
                f"{self._run(short[0])[0].file('curves')}: {found[short[0]]} rows of {short[0]}, "
                f"which ran {ran[short[0]]} epochs ({counted(len(short), 'such run')}); {AGAIN}.")
        names = pd.DataFrame([(s.run_id, s.attention, s.seed) for s in settings],
                             columns=["run_id", "attention", "seed"])
        return curves.merge(names, on="run_id") if len(curves) else curves

    def channel_errors(self, s: Settings) -> np.ndarray:
        """MSE of every test window at the best epoch: [windows, channels], or [windows] for a run
        recorded before channels were kept apart. Raises ``LedgerError`` if it is not what was
        recorded."""
        folder, row = self._run(s.run_id)
        path = errors_file(folder.path, s.run_id)
        try:
            content = path.read_bytes()
            errors = np.load(io.BytesIO(content), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise LedgerError(f"{path}: absent, truncated or not an array; {AGAIN}.") from None
        recorded = row.get("errors_crc32")  # none in rows from before there was one
        if recorded and recorded != f"crc-{zlib.crc32(content):08x}":
            raise LedgerError(f"{path}: not what was recorded (wrong checksum); {AGAIN}.")
        if not np.isclose(errors.mean(dtype=np.float64), float(row["test_mse"]), rtol=1e-5):
            raise LedgerError(f"{path}: its mean is not the test_mse of the run; {AGAIN}.")
        return errors

    def window_errors(self, s: Settings) -> np.ndarray:
        """``channel_errors``, the channels averaged: [windows]."""
        errors = self.channel_errors(s)
        return errors.mean(1) if errors.ndim == 2 else errors

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
    """Whether another version of its measure has made a row (texts); without one it is of 1."""
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


def check(ledger: Ledger) -> list[str]:
    """A sentence for everything that is wrong, with file and line; none if all is whole."""
    said = [sentence for folder in ledger.folders for table in folder.tables()
            for sentences in scan(folder.file(table))[2:] for sentence in sentences]
    if said:
        return said  # what is missing elsewhere may stand in such a line
    runs = list(ledger.read("runs").itertuples())
    for look, at in [(ledger.curves, runs),
                     *((ledger.channel_errors, r) for r in runs if r.status == "complete")]:
        try:
            look(at)
        except LedgerError as error:
            said.append(str(error))
    return said

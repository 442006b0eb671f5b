"""The committed record of measurements: tidy CSV tables, one per kind, in which every row carries its checksum.

Writing is atomic (a new file replaces the old one), safe with several processes (a lock), idempotent by key, and never
happens on top of a table that does not read well.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import platform
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, fields
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

from .settings import Settings
from .training import Result

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


class LedgerError(RuntimeError):
    """A table is damaged; the message names file and line."""


def _cell(value) -> str:
    """Text of one cell: floats in the shortest form that reads back exactly, nothing for what is missing."""
    if isinstance(value, (np.generic, torch.Tensor)):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return " ".join(str(value).split())


def _check(header: list[str], cells: list[str]) -> str:
    """Checksum of the row's filled cells with their column names: unchanged when a table gains a column."""
    text = "\x1f".join(f"{h}={c}" for h, c in zip(header, cells) if c)
    return f"{zlib.crc32(text.encode()):08x}"


class Ledger:
    """The tables ``<folder>/<table>.csv`` and the per-window errors ``<folder>/window_errors/<run_id>.npy``."""

    def __init__(self, folder=RESULTS):
        self.folder = Path(folder)
        source_revision()  # what is loaded now, even if the files change while runs go on
        self.tally: Counter = Counter()  # what was read and what was made through this object
        self._last: dict = {}  # table -> (state of its file, its rows): chapter 0 asks for the same table a thousand times

    def read(self, table: str) -> pd.DataFrame:
        """All rows of a table, without their checksums; empty if there is none. Raises ``LedgerError``."""
        path = self.folder / f"{table}.csv"
        file = path.stat() if path.is_file() else None
        state = file and (file.st_ino, file.st_size, file.st_mtime_ns)
        if table not in self._last or self._last[table][0] != state:
            self._last[table] = state, _frame(*self._rows(table))
        return self._last[table][1].copy()

    def record(self, table: str, rows: list[dict], key: list[str]) -> None:
        """Add rows, in place of all earlier ones with the same ``key`` columns as one of them. Raises ``LedgerError``."""
        with self._lock():
            header, old = self._rows(table)
            header = list(dict.fromkeys(header + [k for row in rows for k in row]))
            new = [{k: _cell(v) for k, v in row.items()} for row in rows]
            replaced = {tuple(row.get(k, "") for k in key) for row in new}
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(header + ["check"])
            for row in [row for row in old if tuple(row.get(k, "") for k in key) not in replaced] + new:
                cells = [row.get(k, "") for k in header]
                writer.writerow(cells + [_check(header, cells)])
            _replace(self.folder / f"{table}.csv", text.getvalue().encode())
            self._last.pop(table, None)

    def _lock(self) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / ".lock", is_singleton=True)  # one object, so that who holds it can take it again

    def measured(self, table: str, keys: list[dict], measure: Callable[..., list[dict]], jobs: int = 1) -> pd.DataFrame:
        """Rows of ``table`` for ``keys``, in their order; where there are none, ``measure(**key)`` makes them.

        ``jobs`` keys are measured side by side, each in a process with one thread. Every new row gets its key, the number
        of rows of its measurement and its provenance and is recorded as it arrives, unless another process was first.
        Raises ``LedgerError``.
        """
        header, groups = self._found(table, keys)
        todo = [key for key, rows in zip(keys, groups) if not rows]
        self.tally["measurements made"] += len(todo)
        self.tally["measurements read"] += len(keys) - len(todo)
        with parallel_config("loky", inner_max_num_threads=1) if jobs > 1 else nullcontext():
            made = Parallel(jobs, return_as="generator")(delayed(measure)(**key) for key in todo)
            for key, rows in zip(todo, tqdm(made, total=len(todo), desc=table, disable=not todo)):
                how = {"rows": len(rows), **provenance()}
                with self._lock():
                    if self.lacking(table, [key]):
                        self.record(table, [{**key, **row, **how} for row in rows], list(key))
        if todo:
            header, groups = self._found(table, keys)
        return _frame(header, [row for rows in groups for row in rows])

    def lacking(self, table: str, keys: list[dict]) -> list[dict]:
        """Those of ``keys`` for which ``measured`` would have to measure. Raises ``LedgerError``."""
        return [key for key, rows in zip(keys, self._found(table, keys)[1]) if not rows]

    def _found(self, table: str, keys: list[dict]) -> tuple[list[str], list[list[dict]]]:
        """Header of the table and the rows of every key. All keys have the same columns. Raises ``LedgerError``."""
        header, rows = self._rows(table)
        by_key: dict = {}
        for row in rows if keys else []:
            by_key.setdefault(tuple(row.get(k, "") for k in keys[0]), []).append(row)
        groups = [by_key.get(tuple(map(_cell, key.values())), []) for key in keys]
        for key, group in zip(keys, groups):
            # Measurements from before rows were counted have nothing here.
            counts = {row.get("rows", "") for row in group} - {"", str(len(group))}
            if counts:
                raise LedgerError(f"{self.folder / table}.csv: {len(group)} rows of {key} where {counts.pop()} were "
                                  f"measured; {_mend(table)}.")
        return header, groups

    def summary(self) -> str:
        """One line for the end of a chapter: what came from the ledger, what was made now, and with which versions."""
        counts = ", ".join(f"{n} {what}" for what, n in sorted(self.tally.items()) if n) or "nothing trained or measured here"
        now = provenance()
        return (f"Provenance: {counts}; Python {now['python']}, torch {now['torch']}, numpy {now['numpy']}; "
                f"source {now['source']}; {now['time']}")

    def _rows(self, table: str) -> tuple[list[str], list[dict]]:
        path = self.folder / f"{table}.csv"
        if not path.is_file():
            return [], []
        with open(path, newline="", encoding="utf-8") as f:
            reader = csv.reader(f)
            header, rows = next(reader, []), []
            if not header or header[-1] != "check":
                raise LedgerError(f"{path}, line 1: not the header of a ledger table; restore it from version control.")
            for cells in reader:
                if len(cells) != len(header) or _check(header[:-1], cells[:-1]) != cells[-1]:
                    raise LedgerError(f"{path}, line {reader.line_num}: truncated or changed by hand; {_mend(table)}.")
                rows.append(dict(zip(header[:-1], cells)))
        return header[:-1], rows

    # -- runs

    def record_run(self, result: Result) -> None:
        """A run's row, its curves and its per-window errors; the row comes last and makes the run complete."""
        s = result.settings
        if result.test_errors is not None:
            buffer = io.BytesIO()
            np.save(buffer, result.test_errors.astype(np.float32))
            _replace(self.folder / "window_errors" / f"{s.run_id}.npy", buffer.getvalue())
        if result.curves:
            self.record("curves", [{"run_id": s.run_id, **row} for row in result.curves], ["run_id"])
        settings = asdict(s)
        settings["dataset"] = s.dataset_name
        measured = {k: getattr(result, k) for k in ("status", "reason", "best_epoch", "val_mse", "val_mae", "test_mse",
                                                    "test_mae", "seconds")}
        row = {"run_id": s.run_id, **settings, "n_tokens": s.n_tokens, **measured, "epochs_run": len(result.curves),
               **provenance(), **result.how}
        self.record("runs", [row], ["run_id"])

    def runs(self, settings: list[Settings]) -> pd.DataFrame:
        """Rows of ``runs`` for these settings, in their order; what is missing is left out."""
        table = self.read("runs")
        if table.empty:
            return table
        ids = [s.run_id for s in settings]
        return table.set_index("run_id").reindex([i for i in ids if i in set(table.run_id)]).reset_index()

    def settings(self, run_id: str) -> Settings:
        """The settings of a row of ``runs``. Raises ``LedgerError`` if there is none, or if they do not give its name."""
        row = next((row for row in self._rows("runs")[1] if row["run_id"] == run_id), None)
        if row is None:
            raise LedgerError(f"{run_id}: no such run in {self.folder / 'runs.csv'}.")
        return _settings_of(row)

    def all_settings(self) -> dict[str, Settings]:
        """The settings of every row of ``runs``, by run_id. Raises ``LedgerError`` as ``settings`` does."""
        return {row["run_id"]: _settings_of(row) for row in self._rows("runs")[1]}

    def curves(self, settings: list[Settings]) -> pd.DataFrame:
        """Per-epoch rows of these settings, with attention and seed. Raises ``LedgerError`` if epochs are missing."""
        names = pd.DataFrame([(s.run_id, s.attention, s.seed) for s in settings], columns=["run_id", "attention", "seed"])
        curves = self.read("curves")
        found = Counter(curves.run_id if len(curves) else ())
        for run in self.runs(settings).itertuples():
            if run.status == "complete" and found[run.run_id] != run.epochs_run:
                raise LedgerError(f"{self.folder / 'curves.csv'}: {found[run.run_id]} rows of {run.run_id}, which ran "
                                  f"{run.epochs_run} epochs; {_mend('curves')}.")
        return curves.merge(names, on="run_id") if len(curves) else curves

    def channel_errors(self, s: Settings) -> np.ndarray:
        """MSE of every test window at the best epoch: [windows, channels], or [windows] for a run recorded before
        channels were kept apart. Raises ``LedgerError`` if it does not fit its run."""
        path = self.folder / "window_errors" / f"{s.run_id}.npy"
        errors, row = np.load(path), self.runs([s]).iloc[0]
        if not np.isclose(errors.mean(dtype=np.float64), row.test_mse, rtol=1e-5):
            raise LedgerError(f"{path}: its mean is not the test_mse of the run; restore it from version control.")
        return errors

    def window_errors(self, s: Settings) -> np.ndarray:
        """``channel_errors``, the channels averaged: [windows]."""
        errors = self.channel_errors(s)
        return errors.mean(1) if errors.ndim == 2 else errors

    def complete(self, settings: list[Settings]) -> list[Settings]:
        """Those of ``settings`` that have a complete run."""
        runs = self.runs(settings)
        done = set(runs[runs.status == "complete"].run_id) if len(runs) else set()
        return [s for s in settings if s.run_id in done]

    def errors_by_seed(self, settings: list[Settings]) -> dict:
        """``window_errors`` of the complete runs among ``settings``, by seed; None where no seed can change the result."""
        return {s.seed if s.seeded else None: self.window_errors(s) for s in self.complete(settings)}


def _settings_of(row: dict) -> Settings:
    parse = {"int": int, "float": float, "str": str, "bool": "True".__eq__}
    values = {f.name: parse[f.type](row[f.name]) for f in fields(Settings) if row.get(f.name)}
    s = Settings(**values | {"device": "cpu" if row["device"] == "cpu" else "auto"})
    if s.run_id != row["run_id"]:
        raise LedgerError(f"{row['run_id']}: the settings in its row are those of {s.run_id}; restore it from version control.")
    return s


def _mend(table: str) -> str:
    """What to do about damage: a measurement with some of its rows left would not be made again."""
    lines = "the run's lines here and in runs.csv" if table == "curves" else "all lines of the same run_id and point"
    return f"restore it from version control, or remove {lines} to have them measured again"


def _frame(header: list[str], rows: list[dict]) -> pd.DataFrame:
    text = io.StringIO()
    writer = csv.DictWriter(text, header)
    writer.writeheader()
    writer.writerows(rows)
    text.seek(0)
    return pd.read_csv(text) if header else pd.DataFrame()


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


@cache
def source_revision() -> str:
    """Commit of the checkout, if it is one, and a hash of the sources that numbers depend on, when first asked for."""
    package = ROOT / "tsattn"
    files = [package / "settings.py", package / "training.py", *sorted(package.glob("data/*.py")),
             *sorted(package.glob("models/*.py"))]
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:10]
    try:
        commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"], capture_output=True,
                                text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "no-commit"
    return f"{commit}:{digest}"


def provenance() -> dict:
    """How a measurement was made: versions, source revision and time (UTC)."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
            "source": source_revision(), "time": datetime.now(timezone.utc).isoformat(timespec="seconds")}

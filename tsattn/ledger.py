"""The record of measurements: tidy CSV tables, one per kind, in which every row has its checksum.

The committed tables lie in ``results/``. What a reader makes goes to a folder of the reader's own,
``my-results/``, and is read together with them.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .ledger_files import Folder, LedgerError, cell
from .progress import bar
from .provenance import provenance, source_revision
from .settings import DATASETS, ROOT, Settings
from .training import Result

RESULTS = ROOT / "results"
OWN = ROOT / "my-results"
STALE = "measured by an earlier version (`python -m tsattn measure --stale` measures them again)"


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
        self._base = Folder(self.folder)
        self._own = Folder(self.own) if self.own is not None else None
        source_revision()  # what is loaded now, even if the files change while runs go on
        self.tally: Counter = Counter()  # what was read and what was made through this object
        self._joined: dict = {}  # table -> (states of its files, its rows)

    @property
    def target(self) -> Folder:
        """Where this ledger writes."""
        return self._own or self._base

    # -- tables

    def read(self, table: str) -> pd.DataFrame:
        """All rows of a table, without their checksums; empty if there is none."""
        if self._own is None or not self._own.file(table).is_file():
            return self._base.frame(table)
        state = self._base._state(table), self._own._state(table), self._base._state("runs")
        if self._joined.get(table, (0,))[0] != state:
            self._joined[table] = state, self._join(table)
        return self._joined[table][1].copy(deep=False)  # copied where it is written to

    def _join(self, table: str) -> pd.DataFrame:
        base, own = self._base.frame(table), self._own.frame(table)
        if base.empty or own.empty:
            return own if base.empty else base
        if table in ("runs", "curves"):  # a complete run that is committed stays what it is
            runs = self._base.frame("runs")
            kept = set(runs[runs.status == "complete"].run_id) if len(runs) else set()
            own = own[~own.run_id.isin(kept)]
            base = base[~base.run_id.isin(set(own.run_id))]
        else:
            key = self._own_keys().get(table, [])

            def names(folder):
                return [tuple(row.get(k, "") for k in key) for row in folder.rows(table)[1]]

            again = set(names(self._own)) if key else set()
            base = base[[name not in again for name in names(self._base)]]
        return pd.concat([part for part in (base, own) if len(part)], ignore_index=True)

    def _own_keys(self) -> dict[str, list[str]]:
        path = self.own / "keys.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def record(self, table: str, rows: list[dict], key: list[str]) -> None:
        """Add rows, in place of all earlier ones with the same ``key`` columns as one of them."""
        with self.target.transaction():
            if self._own is not None and self._own_keys().get(table) != key:
                keys = self._own_keys() | {table: key}
                self._own.put(self.own / "keys.json", json.dumps(keys, indent=1).encode())
            self.target.record(table, rows, key)

    # -- measurements

    def measured(self, table: str, keys: list[dict], measure: Callable[..., list[dict]],
                 jobs: int = 1, digest: str = "", stale: bool = False) -> pd.DataFrame:
        """Rows of ``table`` for ``keys``, in their order; ``measure(**key)`` makes what is missing.

        ``jobs`` keys are measured side by side, each in a process with one thread. Every new row
        gets its key, the number of rows of its measurement, the ``digest`` of what measures and
        its provenance, and is recorded as it arrives, unless another process was first. Rows of
        another digest, or from before there was one, count as measured by an earlier version;
        they are measured again if ``stale``.
        """
        header, groups = self._found(table, keys)
        earlier = [_earlier(rows, digest) for rows in groups]
        todo = [key for key, rows, old in zip(keys, groups, earlier, strict=True)
                if not rows or (stale and old)]
        self.tally["measurements made"] += len(todo)
        self.tally["measurements read"] += len(keys) - len(todo)
        self.tally[f"of them {STALE}"] += 0 if stale else sum(earlier)
        made = _side_by_side(measure, todo, jobs)
        with bar(len(todo), table, unit="measurement", disable=not todo) as progress:
            for key, rows in zip(todo, made, strict=True):
                how = {"rows": len(rows), **({"measured_by": digest} if digest else {})}
                with self.target.transaction():
                    found = self._found(table, [key])[1][0]
                    if not found or (stale and _earlier(found, digest)):
                        self.record(table, [{**key, **row, **how, **provenance()} for row in rows],
                                    list(key))
                progress.update()
        if todo:
            header, groups = self._found(table, keys)
        return _frame(header, [row for rows in groups for row in rows])

    def lacking(self, table: str, keys: list[dict], digest: str = "",
                stale: bool = False) -> list[dict]:
        """Those of ``keys`` for which ``measured`` would have to measure."""
        return [key for key, rows in zip(keys, self._found(table, keys)[1], strict=True)
                if not rows or (stale and _earlier(rows, digest))]

    def _found(self, table: str, keys: list[dict]) -> tuple[list[str], list[list[dict]]]:
        """Columns of the table and the rows of every key. All keys have the same columns."""
        header, groups = [], [[] for _ in keys]
        for folder in [self._own, self._base] if self._own is not None else [self._base]:
            columns, rows = folder.rows(table)
            header += [k for k in columns if k not in header]
            by_key: dict = {}
            for row in rows if keys else []:
                by_key.setdefault(tuple(row.get(k, "") for k in keys[0]), []).append(row)
            for i, key in enumerate(keys):
                rows = by_key.get(tuple(map(cell, key.values())), [])
                # Measurements from before rows were counted have nothing here.
                counts = {row.get("rows", "") for row in rows} - {"", str(len(rows))}
                if counts:
                    raise LedgerError(
                        f"{folder.file(table)}: {len(rows)} rows of {key} where {counts.pop()} "
                        "were measured; restore it from version control, or have them measured "
                        f"again after `{folder.command()}`.")
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
        """A run's row, its curves and its errors by window, together or not at all.

        A result that failed never replaces a complete one.
        """
        s = result.settings
        run_id, folder = s.run_id, self.target
        with folder.transaction():
            _, known = folder._known("runs", ("run_id",), False)
            fresh = (run_id,) not in known
            if result.status != "complete" and self.complete([s]):
                return
            errors = {}
            if result.test_errors is not None:
                buffer = io.BytesIO()
                np.save(buffer, result.test_errors.astype(np.float32))
                errors = {"errors_crc32": f"crc-{zlib.crc32(buffer.getvalue()):08x}"}
                folder.put(folder.path / "window_errors" / f"{run_id}.npy", buffer.getvalue())
            if result.curves:
                folder.record("curves", [{"run_id": run_id, **row} for row in result.curves],
                              ["run_id"], fresh=fresh)
            row = {**row_of(result), **provenance(), **result.how, **errors}
            folder.record("runs", [row], ["run_id"])

    def add_channels(self, result: Result) -> bool:
        """Keep the errors by channel of a run that was recorded without them and trained again;
        returns whether that was done. The row stays. Refused unless the mean over the channels is
        the recorded error of every window, within a thousandth."""
        recorded, errors = self.channel_errors(result.settings), result.test_errors
        if recorded.ndim == 2 or not np.allclose(errors.mean(1), recorded, rtol=1e-3):
            return False
        buffer = io.BytesIO()
        np.save(buffer, errors.astype(np.float32))
        with self.target.transaction():
            path = self.target.path / "window_errors" / f"{result.run_id}.npy"
            self.target.put(path, buffer.getvalue())
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
        row = next((row for row in self.rows("runs") if row["run_id"] == run_id), None)
        if row is None:
            raise LedgerError(f"{run_id}: no such run in {self.folder / 'runs.csv'}.")
        return settings_of(row)

    def known(self, run_id: str) -> Settings | None:
        """``settings``; None for a run without a row, or on a reader's file that is not in this
        folder as it was."""
        row = next((row for row in self.rows("runs") if row["run_id"] == run_id), None)
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

    def rows(self, table: str) -> Iterator[dict]:
        """Rows of a table as texts, own ones last."""
        for folder in [self._base, self._own] if self._own is not None else [self._base]:
            yield from folder.rows(table)[1]

    def curves(self, settings: list[Settings]) -> pd.DataFrame:
        """Per-epoch rows of these settings, with attention and seed."""
        names = pd.DataFrame([(s.run_id, s.attention, s.seed) for s in settings],
                             columns=["run_id", "attention", "seed"])
        curves = self.read("curves")
        found = Counter(curves.run_id if len(curves) else ())
        for run in self.runs(settings).itertuples():
            if run.status == "complete" and found[run.run_id] != run.epochs_run:
                raise LedgerError(
                    f"{self.folder / 'curves.csv'}: {found[run.run_id]} rows of {run.run_id}, "
                    f"which ran {run.epochs_run} epochs; restore it from version control, or have "
                    "the run trained again after `python -m tsattn ledger repair`.")
        return curves.merge(names, on="run_id") if len(curves) else curves

    def orphans(self, settings: list[Settings]) -> list[Path]:
        """Errors of runs that have no row: lines of ``runs.csv`` were lost."""
        known = set(self.read("runs").get("run_id", ()))
        paths = [folder / "window_errors" / f"{s.run_id}.npy" for s in settings
                 for folder in (self.folder, self.target.path) if s.run_id not in known]
        return [path for path in dict.fromkeys(paths) if path.is_file()]

    def channel_errors(self, s: Settings) -> np.ndarray:
        """MSE of every test window at the best epoch: [windows, channels], or [windows] for a run
        recorded before channels were kept apart. Raises ``LedgerError`` if it is not the run's."""
        run_id, folder = s.run_id, self.folder
        if self.own is not None and not (folder / "window_errors" / f"{run_id}.npy").is_file():
            folder = self.own
        path, row = folder / "window_errors" / f"{run_id}.npy", self.runs([s])
        advice = "restore it from version control, or have the run trained again after `python " \
                 f"-m tsattn ledger repair --results {folder}`"
        if row.empty:
            raise LedgerError(f"{run_id}: no such run in {self.folder / 'runs.csv'}.")
        try:
            content = path.read_bytes()
            errors = np.load(io.BytesIO(content), allow_pickle=False)
        except FileNotFoundError:
            raise LedgerError(f"{path}: the errors of this run are not there; {advice}.") from None
        except (ValueError, EOFError, OSError):
            what = "truncated or not an array" if content else "empty"
            raise LedgerError(f"{path}: {what}; {advice}.") from None
        recorded = row.iloc[0].get("errors_crc32")
        if isinstance(recorded, str) and recorded != f"crc-{zlib.crc32(content):08x}":
            raise LedgerError(f"{path}: not what was recorded (wrong checksum); {advice}.")
        if not np.isclose(errors.mean(dtype=np.float64), row.test_mse.iloc[0], rtol=1e-5):
            raise LedgerError(f"{path}: its mean is not the test_mse of the run; {advice}.")
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
                          "restore it from version control.")
    return s


def _earlier(rows: list[dict], digest: str) -> bool:
    """Whether rows are there and something else than ``digest`` has measured them."""
    return bool(rows and digest) and any(row.get("measured_by", "") != digest for row in rows)


def _call(measure, key):
    torch.set_num_threads(1)
    return measure(**key)


def _side_by_side(measure, keys: list[dict], jobs: int) -> Iterator[list[dict]]:
    if min(jobs, len(keys)) <= 1:
        yield from (measure(**key) for key in keys)
        return
    from loky.process_executor import ProcessPoolExecutor

    pool = ProcessPoolExecutor(min(jobs, len(keys)), env={"OMP_NUM_THREADS": "1"})
    try:
        yield from pool.map(functools.partial(_call, measure), keys)
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _frame(header: list[str], rows: list[dict]) -> pd.DataFrame:
    text = io.StringIO()
    writer = csv.DictWriter(text, header)
    writer.writeheader()
    writer.writerows(rows)
    text.seek(0)
    return pd.read_csv(text) if header else pd.DataFrame()

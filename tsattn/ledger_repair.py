"""What is in a ledger, whether it is whole, and how it is made whole again."""

from __future__ import annotations

import io
import os
import zlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from .ledger import Ledger
from .ledger_files import UNIQUE, Folder, cells_of, lines_of, scan


def show(ledger: Ledger) -> str:
    """The tables of a ledger with their rows, and its runs by profile and status."""
    lines = []
    for folder in _folders(ledger):
        lines.append(f"{folder.path}:")
        for table in folder.tables():
            header, rows = folder.rows(table)
            lines.append(f"  {table:24} {len(rows):7} rows, {len(header)} columns")
    runs = ledger.read("runs")
    if len(runs):
        for (profile, status), n in runs.groupby(["profile", "status"]).size().items():
            lines.append(f"{n} runs of profile {profile}: {status}")
    return "\n".join(lines) or "no tables"


def check(ledger: Ledger) -> list[str]:
    """A sentence for everything that is wrong, with file and line; none if all is whole."""
    return [said for folder in _folders(ledger) for said in _check(folder)]


def repair(ledger: Ledger) -> list[str]:
    """Keep every good row, set aside the rest under ``set-aside/``; a sentence for each file.

    A run of which some curves or the errors by window are lost is set aside as a whole, and a
    measurement of which rows are lost likewise: the next sweep or chapter makes them again.
    """
    said = []
    for folder in _folders(ledger):
        with folder.writing():  # all of it, else a run recorded meanwhile looks like half a run
            said += _repair(folder)
    return said


def _folders(ledger: Ledger) -> list[Folder]:
    return [Folder(p) for p in (ledger.folder, ledger.own) if p is not None and p.is_dir()]


def _scan(folder: Folder, table: str):
    return scan(folder.file(table).read_bytes(), UNIQUE.get(table, ()))


def _check(folder: Folder) -> list[str]:
    said, whole = [], True
    for table in folder.tables():
        header, _, damage = _scan(folder, table)
        said += [f"{folder.file(table)}, line {n}: {what}" for n, what, _ in damage]
        whole &= bool(header)
        if header:
            said += [f"{folder.file(table)}: rows are missing of the measurement of {key[0]} at "
                     f"{key[1]}" for key in _incomplete(folder, table)]
    if whole:
        said += [f"{folder.path}: {what} ({run_id})" for run_id, what in _bad_runs(folder).items()]
    return said


def _good(folder: Folder, table: str) -> list[dict]:
    if not folder.file(table).is_file():
        return []
    header, lines, _ = _scan(folder, table)
    return [dict(zip(header, cells_of(line), strict=False)) for line in lines]


def _measurement(row: dict) -> tuple:
    return row.get("run_id", ""), row.get("time", ""), row.get("rows", "")


def _incomplete(folder: Folder, table: str) -> list[tuple]:
    """Measurements with some of their rows left; what is measured in one second counts together."""
    counts = Counter(map(_measurement, _good(folder, table)))
    return [key for key, n in counts.items() if key[2].isdigit() and n % int(key[2])]


def _bad_runs(folder: Folder) -> dict[str, str]:
    """Runs of which something is lost, and what."""
    found, rows = {}, {row["run_id"]: row for row in _good(folder, "runs")}
    epochs = Counter(row["run_id"] for row in _good(folder, "curves"))
    for run_id in epochs:
        if run_id not in rows:
            found[run_id] = "curves.csv has epochs of a run that has no line in runs.csv"
    errors = {p.stem for p in (folder.path / "window_errors").glob("*.npy")}
    for run_id in sorted(errors - set(rows)):
        found[run_id] = "window_errors has a run that has no line in runs.csv"
    for run_id, row in rows.items():
        if row.get("status") != "complete":
            continue
        if row.get("epochs_run", "0") != str(epochs[run_id]):
            found[run_id] = f"curves.csv has {epochs[run_id]} epochs of a run that ran " \
                            f"{row.get('epochs_run')}"
        elif row.get("test_mse") and (what := _errors(folder.path, run_id, row)):
            found[run_id] = f"window_errors: {what}"
    return found


def _errors_file(folder: Path, run_id: str) -> Path:
    """Within the folder, whatever stands in a row."""
    return folder / "window_errors" / f"{Path(run_id).name}.npy"


def _errors(folder: Path, run_id: str, row: dict) -> str:
    path = _errors_file(folder, run_id)
    try:
        content = path.read_bytes()
        mean = np.load(io.BytesIO(content), allow_pickle=False).mean(dtype=np.float64)
    except FileNotFoundError:
        return "the file is not there"
    except (ValueError, EOFError, OSError):
        return "the file is truncated, empty or not an array"
    if row.get("errors_crc32") not in (None, "", f"crc-{zlib.crc32(content):08x}"):
        return "the file is not what was recorded"
    return "" if np.isclose(mean, float(row["test_mse"]), rtol=1e-5) else \
        "their mean is not the test_mse of the run"


def _repair(folder: Folder) -> list[str]:
    said = []
    aside = folder.path / "set-aside" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")

    def rewrite(table, header, lines, out):
        path = folder.file(table)
        aside.mkdir(parents=True, exist_ok=True)
        with open(aside / path.name, "a", encoding="utf-8") as f:
            f.write("\n".join([",".join([*header, "check"]), *filter(None, out), ""]))
        folder.put(path, "\n".join([",".join([*header, "check"]), *lines, ""]).encode())

    for table in folder.tables():
        with folder.transaction():
            header, lines, damage = _scan(folder, table)
            path = folder.file(table)
            if damage and not header:
                return [*said, f"{path}, line 1: {damage[0][1]}; its columns are lost, so it "
                               "cannot be repaired; restore it from version control"]
            if damage:
                rewrite(table, header, lines, [text for _, _, text in damage])
                said += [f"{path}, line {n}: {what}; " + (f"set aside in {aside / path.name}"
                                                          if text else "mended")
                         for n, what, text in damage]
    bad = _bad_runs(folder)
    for table in folder.tables():
        with folder.transaction():
            header, rows = folder.rows(table)
            lost = set(_incomplete(folder, table))
            out = [row for row in rows if _measurement(row) in lost
                   or (table in UNIQUE and row["run_id"] in bad)]
            if out:
                gone = set(map(id, out))
                kept = [row for row in rows if id(row) not in gone]
                rewrite(table, header, lines_of(header, kept).splitlines(),
                        lines_of(header, out).splitlines())
                said.append(f"{folder.file(table)}: {len(out)} rows of runs or measurements of "
                            f"which a part is lost; set aside in {aside / (table + '.csv')}; they "
                            "are made again when they are asked for")
    for run_id in bad:
        path = _errors_file(folder.path, run_id)
        if path.is_file():
            (aside / "window_errors").mkdir(parents=True, exist_ok=True)
            os.replace(path, aside / "window_errors" / path.name)
    return said + [f"{run_id}: {what}; set aside in {aside}" for run_id, what in bad.items()]

"""Files of the ledger: CSV tables in which every row carries its checksum, in one folder.

What belongs together is written together: a process that is killed in the middle of it leaves a
journal, by which the next one takes back the half that was written.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from pandas.api.types import is_string_dtype

PATIENCE = 5  # seconds before it is said that another process holds the lock
# Columns by which a row of these tables exists once; a measurement has the columns of its point.
UNIQUE = {"runs": ("run_id",), "curves": ("run_id", "epoch")}
# What a record is made of, and what a killed process leaves half-written of it.
WRITTEN = re.compile(r"[\w-]+\.csv|window_errors/[^/]+\.npy")
LEFT = re.compile(r"\.(.+\.csv|.+\.npy|\.writing)\.(\d{1,7}|before)\.tmp")
CONFLICT = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


class LedgerError(RuntimeError):
    """A table is damaged or cannot be written; the message names file, line and what to do."""


def cell(value) -> str:
    """Text of one cell: floats as they read back exactly, nothing for what is missing."""
    if isinstance(value, (np.generic, torch.Tensor)):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return " ".join(str(value).split())


def checksum(header: list[str], cells: list[str]) -> str:
    """Of the filled cells with their columns: unchanged when a table gains a column."""
    text = "\x1f".join(f"{h}={c}" for h, c in zip(header, cells, strict=False) if c)
    return f"{zlib.crc32(text.encode()):08x}"


def cells_of(line: str) -> list[str]:
    return line.split(",") if '"' not in line else next(csv.reader([line]))


def lines_of(header: list[str], rows: list[dict]) -> str:
    """Lines of a table for ``rows``, each with its checksum."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        cells = [row.get(k, "") for k in header]
        writer.writerow([*cells, checksum(header, cells)])
    return text.getvalue()


def scan(content: bytes, unique=()) -> tuple[list[str], list[str], list[tuple[int, str, str]]]:
    """Columns without ``check``, the good lines, and the damage: (line, what is wrong, its text).

    ``unique`` columns name a row: a second line with the same ones is damage.
    """
    damage = []
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
        damage.append((1, "a byte-order mark in front of the header, from an editor", ""))
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode(errors="replace")  # the lines with such a byte fail their checksum
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
        damage.append((1, "line ends of Windows (CRLF), from an editor", ""))
    lines = text.split("\n")
    if lines[-1]:
        damage.append((len(lines), "the file ends within this line", ""))
    else:
        lines.pop()
    first = next((n for n, line in enumerate(lines) if not line.startswith(CONFLICT)), 0)
    top = lines[first] if lines else ""
    header = cells_of(top)
    if header[-1] != "check":
        what = "the file is empty" if not content else "not the header of a ledger table"
        return [], [], [(1, what, top)]
    prefixes, width, where = [h + "=" for h in header[:-1]], len(header), {}
    places = [header.index(k) for k in unique if k in header]
    good = []
    for n, line in enumerate(lines, 1):
        if n == first + 1:
            continue
        cells = cells_of(line)
        filled = [p + c for p, c in zip(prefixes, cells, strict=False) if c]
        if len(cells) != width or f"{zlib.crc32(chr(31).join(filled).encode()):08x}" != cells[-1]:
            if line.startswith(CONFLICT):
                what = "a conflict marker of a merge"
            elif line == top:
                what = "the header again, after a merge"
            elif "\ufffd" in line:
                what = "a byte that is not UTF-8"
            else:
                what = "truncated or changed by hand"
            damage.append((n, what, line))
            continue
        if places:
            key = tuple([cells[i] for i in places])
            if where.setdefault(key, n) != n:
                damage.append((n, f"{' '.join(key)} is in line {where[key]} already, as after a "
                                  "merge", line))
                continue
        good.append(line)
    return header[:-1], good, damage


class Folder:
    """The files of one folder. All methods raise ``LedgerError`` for a table that is damaged."""

    def __init__(self, path):
        self.path = Path(path)
        self._frames: dict = {}  # table -> (state of its file, its rows)
        self._keys: dict = {}  # (table, key) -> (state of its file, header, keys in it)
        self._undo: dict | None = None  # what the record in progress has touched
        self._clean = False

    def file(self, table: str) -> Path:
        if not re.fullmatch(r"\w[\w-]*", table):
            raise LedgerError(f"{table!r}: not the name of a table; use letters, digits and _.")
        return self.path / f"{table}.csv"

    def tables(self) -> list[str]:
        return sorted(p.stem for p in self.path.glob("*.csv"))

    def command(self, what: str = "repair") -> str:
        return f"python -m tsattn ledger {what} --results {shlex.quote(str(self.path))}"

    # -- reading

    def _read(self, table: str) -> tuple[bytes, list[str], list[str]]:
        """Content, columns and lines of a table; nothing where there is none."""
        path = self.file(table)
        if not path.is_file():
            return b"", [], []
        content = path.read_bytes()
        header, lines, damage = scan(content, UNIQUE.get(table, ()))
        if damage and (self.path / ".writing").is_file() and self._undo is None:
            with self.writing():  # another process was writing, or was killed while it was
                content = path.read_bytes() if path.is_file() else b""
            if not content:
                return b"", [], []
            header, lines, damage = scan(content, UNIQUE.get(table, ()))
        if damage:
            n, what, _ = damage[0]
            if not header:
                raise LedgerError(f"{path}, line {n}: {what}; restore it from version control.")
            raise LedgerError(f"{path}, line {n}: {what}; restore it from version control, or keep "
                              f"every good row by `{self.command()}`.")
        return content, header, lines

    def frame(self, table: str) -> pd.DataFrame:
        """All rows of a table, without their checksums; empty if there is none."""
        state = self._state(table)
        if self._frames.get(table, (0,))[0] != state:
            content, header, _ = self._read(table)
            rows = pd.read_csv(io.BytesIO(content), usecols=header) if header else pd.DataFrame()
            self._frames[table] = state, rows.copy()  # in few blocks: rows are taken often
        return self._frames[table][1].copy(deep=False)  # copied where it is written to

    def rows(self, table: str) -> tuple[list[str], list[dict]]:
        """Columns and rows of a table, as texts."""
        _, header, lines = self._read(table)
        return header, [dict(zip(header, cells_of(line), strict=False)) for line in lines]

    def _state(self, table: str):
        path = self.file(table)
        file = path.stat() if path.is_file() else None
        return file and (file.st_ino, file.st_size, file.st_mtime_ns)

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
            self._ends(table)  # where rows are added

    @contextmanager
    def writing(self):
        """No other process writes for the length of the block; half a record is taken back."""
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
            if self._undo is None:
                self._take_back()
            if not self._clean:  # leftovers of killed processes: nobody else writes now
                for path in (*self.path.glob(".*.tmp"), *self.path.glob("window_errors/.*.tmp")):
                    if LEFT.fullmatch(path.name):
                        path.unlink(missing_ok=True)
                self._clean = True
            yield
        finally:
            lock.release()

    @contextmanager
    def transaction(self):
        """What is written in the block is there as a whole or not at all."""
        with self.writing():
            if self._undo is not None:
                yield
                return
            self._undo = {}
            try:
                yield
                (self.path / ".writing").unlink(missing_ok=True)
                for how in self._undo.values():
                    if isinstance(how, str):
                        (self.path / how).unlink(missing_ok=True)
            except BaseException:
                self._take_back()
                raise
            finally:
                self._undo = None

    def _note(self, path: Path, appended: bool) -> None:
        """Keep what it takes to undo what happens to ``path`` next."""
        name, how = path.relative_to(self.path).as_posix(), None
        if path.is_file() and appended:
            how = [path.stat().st_size, path.stat().st_ino]
        elif path.is_file():
            how = (path.parent / f".{path.name}.before.tmp").relative_to(self.path).as_posix()
            (self.path / how).unlink(missing_ok=True)
            shutil.copy2(path, self.path / how)
        self._undo[name] = how
        write(self.path / ".writing", json.dumps(self._undo).encode())

    def _take_back(self) -> None:
        journal = self.path / ".writing"
        if not journal.is_file():
            return
        for name, how in json.loads(journal.read_text()).items():
            path = self.path / name
            if not WRITTEN.fullmatch(name) or \
                    not path.resolve().is_relative_to(self.path.resolve()):
                raise LedgerError(f"{journal}: names a file that is no table of its folder; "
                                  "remove it.")
            if how is None:
                path.unlink(missing_ok=True)
            elif isinstance(how, str):
                if (self.path / how).is_file():
                    os.replace(self.path / how, path)
            elif path.is_file() and path.stat().st_ino == how[1]:  # else restored meanwhile
                os.truncate(path, how[0])
        journal.unlink()
        self._keys.clear()

    def put(self, path: Path, content: bytes) -> None:
        """A whole file, in place of an earlier one, within a ``transaction``."""
        self._note(path, appended=False)
        write(path, content)

    def record(self, table: str, rows: list[dict], key: list[str], fresh: bool = False) -> None:
        """Add rows, in place of all earlier ones with the same ``key`` columns as one of them.

        ``fresh``: there are none, which saves reading the table.
        """
        with self.transaction():
            path, state = self.file(table), self._state(table)
            new = [{k: cell(v) for k, v in row.items()} for row in rows]
            keys = {tuple(row.get(k, "") for k in key) for row in new}
            header, known = self._known(table, tuple(key), fresh)
            if state and not keys & known and all(k in header for row in new for k in row):
                self._note(path, appended=True)
                with open(path, "ab") as f:
                    f.write(lines_of(header, new).encode())
                    f.flush()
                    os.fsync(f.fileno())
            else:
                header, old = self.rows(table)
                header = list(dict.fromkeys([*header, *(k for row in new for k in row)]))
                kept = [row for row in old if tuple(row.get(k, "") for k in key) not in keys]
                text = ",".join([*header, "check"]) + "\n" + lines_of(header, kept + new)
                self.put(path, text.encode())
            if not fresh:
                self._keys[table, tuple(key)] = self._state(table), header, known
                known |= keys

    def _known(self, table: str, key: tuple, fresh: bool) -> tuple[list[str], set]:
        """Columns of a table, and the keys of its rows."""
        if fresh:
            return self._ends(table), set()
        state = self._state(table)
        if self._keys.get((table, key), (0,))[0] != state:
            t = self.frame(table)  # columns of text stand in it as they are written
            if all(k in t and is_string_dtype(t[k]) and t[k].notna().all() for k in key):
                header, known = list(t), set(zip(*(t[k] for k in key), strict=True))
            else:
                header, rows = self.rows(table)
                known = {tuple(row.get(k, "") for k in key) for row in rows}
            self._keys[table, key] = state, header, known
        return self._keys[table, key][1:]

    def _ends(self, table: str) -> list[str]:
        """Columns of a table of which only the first and the last line are read."""
        path = self.file(table)
        if not path.is_file():
            return []
        with open(path, "rb") as f:
            head = f.readline()
            begin = max(f.tell(), path.stat().st_size - 4096)
            f.seek(begin)
            tail = f.read()
        last = tail.splitlines(keepends=True)[-1:]
        header, _, damage = scan(head + b"".join(last))
        if damage:
            self._read(table)  # says where
        return header


def write(path: Path, content: bytes) -> None:
    """Atomic: a new file replaces the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)

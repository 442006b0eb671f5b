"""The folder that a report is written to: nothing in it is replaced or removed but what a report
has written there.

Its file ``MARKER`` lists every other file with its digest, before the first of them is there. What
is not listed, or has been changed since, is somebody's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from .ledger import write

MARKER = ".tsattn-report"
LOCK = MARKER + ".lock"
TEMPORARY = re.compile(r"\.(.+)\.(\d{1,7})\.tmp")  # of a file and the process that writes it
OTHER = "give another folder with --output."


def check(folder: Path) -> set[str]:
    """The files of a report in ``folder``, by their paths in it; none where it is absent or empty.

    Raises ``ValueError`` for a link, a file, and a folder with anything in it that no report has
    written.
    """
    if folder.is_symlink():
        raise ValueError(f"{folder}: is a link; give the folder that it leads to, or {OTHER}")
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise ValueError(f"{folder}: is not a folder; {OTHER}")
    if not (folder / MARKER).is_file() and any(p.name != LOCK for p in folder.iterdir()):
        raise ValueError(f"{folder}: is not empty, and no report has written what is in it; move "
                         f"that away, or {OTHER}")
    listed, found = _listed(folder), set()
    names = {name for _, name in listed}
    for path in folder.rglob("*"):  # which follows no link
        name = path.relative_to(folder).as_posix()
        half = TEMPORARY.fullmatch(path.name)  # what a killed report has left
        goal = path.with_name(half[1]).relative_to(folder).as_posix() if half else ""
        if name in (MARKER, LOCK) or path.is_dir() and not path.is_symlink():
            continue
        if goal not in {*names, MARKER} and (name not in names or path.is_symlink()
                                             or (_digest(path), name) not in listed):
            raise ValueError(f"{folder}: {name} in it was not written by a report, or has been "
                             f"changed since; move it away, or {OTHER}")
        found.add(name)
    return found


def claim(folder: Path) -> None:
    """Make ``folder``, if it is absent. Raises as ``check``, and ``ValueError`` where nothing can
    be written."""
    try:
        check(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"{folder}: a report cannot be written there ({error.strerror}); "
                         f"{OTHER}") from None


def put(made: Path, folder: Path, keep: bool = False) -> None:
    """Copy the files below ``made`` to ``folder``, in place of the report that is there; ``keep``:
    beside what they do not replace. Raises as ``check``."""
    new = {p.relative_to(made).as_posix(): p for p in sorted(made.rglob("*")) if p.is_file()}
    lines = [(_digest(path), name) for name, path in new.items()]
    with FileLock(folder / LOCK):  # of two reports at once, one after the other
        old, before = check(folder), _listed(folder)
        _list(folder, [*before, *lines])
        together([(path, folder / name) for name, path in new.items()])
        left = [line for line in before if keep and line[1] not in new]
        for name in old - {*new} - {name for _, name in left}:
            (folder / name).unlink()
            with suppress(OSError):  # the first that is not empty stays; the marker is in folder
                os.removedirs((folder / name).parent)
        _list(folder, [*left, *lines])


def together(files: list[tuple[Path, Path]]) -> None:
    """Copy each file to its goal: all are written beside their goals first, so that a full disk or
    a kill leaves the old ones. Who may read a copy may write to it."""
    ready = [(goal.with_name(f".{goal.name}.{os.getpid()}.tmp"), goal) for _, goal in files]
    try:
        for (source, _), (beside, _) in zip(files, ready, strict=True):
            beside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, beside)
        for beside, goal in ready:
            os.replace(beside, goal)
    finally:
        for beside, _ in ready:
            beside.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(folder: Path) -> list[tuple[str, str]]:
    """Digest and name of every file that a report has written."""
    marker = folder / MARKER
    lines = marker.read_text(encoding="utf-8").splitlines() if marker.is_file() else []
    return [(digest, name) for digest, _, name in (line.partition("  ") for line in lines)]


def _list(folder: Path, files: list[tuple[str, str]]) -> None:
    write(folder / MARKER, "".join(f"{digest}  {name}\n" for digest, name in files).encode())

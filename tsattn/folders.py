"""The folder that a report is written to: nothing in it is replaced or removed but what a report
has written there.

Its file ``MARKER`` lists all of that, before the first file of it is there. A folder with anything
else in it is somebody's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

MARKER, LOCK = ".tsattn-report", ".tsattn-report.lock"
NEW = ".tsattn-report.new"  # where all files are copied before the first takes its place
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
    marker, found = folder / MARKER, set()
    if not marker.is_file() and any(p.name not in (LOCK, NEW) for p in folder.iterdir()):
        raise ValueError(f"{folder}: is not empty, and no report has written what is in it; move "
                         f"that away, or {OTHER}")
    lines = marker.read_text(encoding="utf-8").splitlines() if marker.is_file() else []
    listed = {line.rpartition("  ")[2] for line in lines}  # once a digest stood before the name
    for path in folder.rglob("*"):  # which follows no link
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink() or name in (MARKER, LOCK) \
                or name.startswith(f"{NEW}/"):
            continue
        if name not in listed or path.is_symlink():
            raise ValueError(f"{folder}: {name} in it was not written by a report; move it away, "
                             f"or {OTHER}")
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
    beside what they do not replace. A full disk or a kill while they are copied leaves the old
    ones. Raises as ``check``."""
    names = {p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()}
    with FileLock(folder / LOCK):  # of two reports at once, one after the other
        old, ready = check(folder), folder / NEW

        def write_marker(listed: set[str]) -> None:
            (ready / MARKER).write_text("\n".join(sorted(listed)), encoding="utf-8")
            os.replace(ready / MARKER, folder / MARKER)

        shutil.rmtree(ready, ignore_errors=True)
        try:
            shutil.copytree(made, ready, copy_function=shutil.copyfile)
            write_marker(old | names)
            for name in sorted(names):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(ready / name, folder / name)
            for name in set() if keep else old - names:
                (folder / name).unlink()
                with suppress(OSError):  # the first that is not empty stays
                    os.removedirs((folder / name).parent)
            write_marker(old | names if keep else names)
        finally:
            shutil.rmtree(ready, ignore_errors=True)

"""Chapters executed side by side with papermill, and cleaned of what only this machine knows."""

from __future__ import annotations

import json
import re
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import papermill

from . import kernels
from .progress import say
from .settings import ROOT, Settings
from .workers import cores

FOLDERS = ("results_dir", "figures_dir")
OWN = ("train_minutes", "figures_dir")  # parameters that the report sets itself


@dataclass
class Chapter:
    """One notebook of the report, and what has become of it."""

    path: Path
    notebook: nbformat.NotebookNode | None = None  # as committed, then as executed
    defaults: dict = field(default_factory=dict)  # of its parameters
    values: dict = field(default_factory=dict)  # what it is executed with, where that was given
    asked: list[Settings] = field(default_factory=list)  # runs it rests on, where it says so
    todo: list[Settings] | None = None  # those of them that are lacking; None: it does not say
    measuring: list[tuple[Settings, dict]] = field(default_factory=list)  # lacking: model, point
    state: str = ""  # empty: not executed; "done"; else what went wrong
    seconds: float = 0.0

    @property
    def label(self) -> str:
        return self.path.name.split("_")[0]

    @property
    def changed(self) -> dict:
        return {k: v for k, v in self.values.items()
                if k not in (*FOLDERS, *OWN) and v != self.defaults[k]}


def command(chapters: list[Chapter], *options: str) -> str:
    """The command that runs ``chapters`` as they are run now, into the same ledger, with
    ``options``."""
    given: dict = {}
    for c in chapters:
        given |= {k: v for k, v in c.values.items() if k not in OWN and v != c.defaults.get(k)}
    said = [("--profile " if k == "profile" else f"-p {k} ")
            + shlex.quote(v if isinstance(v, str) else json.dumps(v)) for k, v in given.items()]
    return " ".join(["python -m tsattn report", *said, *options])


def execute(chapters: list[Chapter], work: Path, limit: float | None, counter,
            after: float = 0.0) -> None:
    """Execute ``chapters`` side by side, as many as there are cores; sets their ``state``.
    ``counter`` (``progress.bar``) counts down to the ``after`` seconds of what comes then."""
    each, done = (counter.total - counter.n - after) / max(1, len(chapters)), 0

    def one(chapter: Chapter) -> None:
        nonlocal done
        run(chapter, work, limit)
        done += 1
        counter.update(each)
        say(f"[{done}/{len(chapters)}] {chapter.path.stem}: {chapter.state}, "
            f"{chapter.seconds:.0f} s")

    with ThreadPoolExecutor(max(1, min(cores(), len(chapters)))) as pool:
        list(pool.map(one, sorted(chapters, key=lambda c: -c.path.stat().st_size)))


def run(chapter: Chapter, work: Path, limit: float | None) -> None:
    target, started = work / "notebooks" / chapter.path.name, time.perf_counter()
    own = dict(chapter.values)
    if "train_minutes" in chapter.defaults:
        own.setdefault("train_minutes", limit)
    if "figures_dir" in chapter.defaults:
        own.setdefault("figures_dir", str(work / "figures"))
    try:
        # What goes wrong in a cell comes back as its error; a kernel that is told to end logs more.
        papermill.execute_notebook(str(chapter.path), str(target), parameters=own,
                                   kernel_name="python3", cwd=str(ROOT / "notebooks"),
                                   progress_bar=False,
                                   extra_arguments=["--Application.log_level=50"],
                                   **kernels.ready())
        chapter.state = "done"
    except papermill.PapermillExecutionError as error:
        message = (error.evalue or "").strip().splitlines()
        chapter.state = f"FAILED in cell {error.exec_count}: {error.ename}" + \
            (f": {message[0]}" if message else "")
    except Exception as error:  # a killed kernel, say: whatever it is, the others go on
        message = str(error).strip().splitlines()
        chapter.state = f"FAILED: {message[0] if message else type(error).__name__}"
    chapter.seconds = time.perf_counter() - started
    try:
        chapter.notebook = nbformat.read(target, as_version=4)
    except (OSError, ValueError):
        pass  # nothing was written: the page shows the committed notebook
    clean(chapter.notebook)


def clean(notebook):
    """Without papermill's record of this machine, the injected copy of the parameters cell and
    progress bars.

    The injected values stay visible: they replace those of the parameters cell.
    """
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    injected = {}
    for cell in [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]:
        injected |= dict(re.findall(r"^(\w+) = (.*)$", cell.source, re.M))
        notebook.cells.remove(cell)
    # papermill's own cell that tells of an error
    notebook.cells = [c for c in notebook.cells
                      if not {"papermill-error-cell-tag"} & set(c.metadata.get("tags", []))]
    for name in OWN:
        injected.pop(name, None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(
                r"^(\w+)( *= *)([^#\n]*?)(\s*(?:#.*)?)$",
                lambda m: m[1] + m[2] + injected.get(m[1], m[3]) + m[4], cell.source, flags=re.M)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook


def provenance_line(notebook) -> str:
    """The chapter's own closing line: what was read from the ledger and what was trained."""
    for cell in reversed(notebook.cells):
        for output in cell.get("outputs", []):
            text = output.get("text", "")
            text = text if isinstance(text, str) else json.dumps(text)
            if text.startswith("Provenance: "):
                return text.removeprefix("Provenance: ").splitlines()[0]
    return ""

"""Execute the numbered notebooks with papermill, and say what was read and what was trained."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time

import nbformat
import papermill
from nbconvert import HTMLExporter

from .ledger import ROOT


def report(only: list[str], profile: str, parameters: dict, in_place: bool) -> int:
    """Execute the chapters ``only`` (all if empty) into ``build/report/``, as notebooks and HTML; returns an exit code.

    Every chapter runs, also after another has failed. ``in_place`` copies the executed notebooks to ``notebooks/``.
    Raises ``ValueError`` for a chapter or a parameter that does not exist.
    """
    chapters = sorted(p for p in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb") if not only or p.name[:2] in only)
    absent = set(only) - {p.name[:2] for p in chapters}
    if absent or not chapters:
        raise ValueError(f"--only {' '.join(sorted(absent))}: no such chapter in notebooks/; "
                         f"there are {', '.join(sorted(p.name[:2] for p in (ROOT / 'notebooks').glob('[0-9]*.ipynb')))}.")
    known = {p: papermill.inspect_notebook(str(p)) for p in chapters}
    for name in parameters:
        if not any(name in k for k in known.values()):
            raise ValueError(f"-p {name}: no chapter has this parameter; choose among "
                             f"{', '.join(sorted(set().union(*known.values())))}.")
    build = ROOT / "build" / "report"
    build.mkdir(parents=True, exist_ok=True)
    failed, said = [], []
    for number, chapter in enumerate(chapters, 1):
        print(f"[{number}/{len(chapters)}] {chapter.stem} ...", file=sys.stderr, flush=True)
        own = {k: v for k, v in parameters.items() if k in known[chapter]} | {"profile": profile}
        if "figures_dir" in known[chapter] and not in_place:
            own.setdefault("figures_dir", str(build / "figures"))
        started, target = time.perf_counter(), build / chapter.name
        try:
            papermill.execute_notebook(str(chapter), str(target), parameters=own, kernel_name="python3",
                                       cwd=str(ROOT / "notebooks"), progress_bar=False)
            state = "done"
        except papermill.PapermillExecutionError as error:
            failed.append(chapter.stem)
            state = f"FAILED in cell {error.exec_count}: {error.ename}: {error.evalue.splitlines()[0]}"
        notebook = clean(nbformat.read(target, as_version=4))
        nbformat.write(notebook, target)
        (build / f"{chapter.stem}.html").write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
        if in_place and state == "done":
            shutil.copy(target, chapter)
        line = f"{chapter.stem}: {state}, {time.perf_counter() - started:.0f} s. {provenance_line(notebook)}"
        print(line, file=sys.stderr, flush=True)
        said.append(line)
    print("\n".join(["", *said, f"notebooks, HTML and figures: {build}"]))
    return int(bool(failed))


def clean(notebook):
    """Without papermill's record of this machine, the injected copy of the parameters cell and progress bars.

    The injected values stay visible: they replace those of the parameters cell.
    """
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    injected = {}
    for cell in [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]:
        injected |= dict(re.findall(r"^(\w+) = (.*)$", cell.source, re.M))
        notebook.cells.remove(cell)
    injected.pop("figures_dir", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(r"^(\w+)( *= *)([^#\n]*?)(\s*(?:#.*)?)$",
                                 lambda m: m[1] + m[2] + injected.get(m[1], m[3]) + m[4], cell.source, flags=re.M)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook


def provenance_line(notebook) -> str:
    """The chapter's own closing line: what was read from the ledger and what was trained."""
    for cell in reversed(notebook.cells):
        for output in cell.get("outputs", []):
            text = json.dumps(output.get("text", "")) if not isinstance(output.get("text"), str) else output["text"]
            if text.startswith("Provenance: "):
                return text.removeprefix("Provenance: ").splitlines()[0]
    return ""

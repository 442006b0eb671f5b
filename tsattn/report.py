"""Execute the chapters side by side with papermill, and build the site from them."""

from __future__ import annotations

import ast
import hashlib
import math
import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import papermill

from . import folders, numbers, site, slides
from .chapter import checked
from .claims import Facts
from .data import DataError
from .ledger import RESULTS, Ledger, LedgerError
from .progress import bar, counted, duration, say
from .settings import DATASETS, ROOT, Settings
from .sweep import cores, missing, seconds_expected, sweep, together
from .text import escape, refresh

BUILD = ROOT / "build" / "report"
MARKS = str.maketrans("<>", "‹›")  # the search page takes a title for HTML
CHAPTER = re.compile(r"(\d\d|[A-Z])_\w+\.ipynb")
FOLDERS = ("results_dir", "figures_dir")
OWN = ("train_minutes", "figures_dir")  # parameters that the report sets itself
EXECUTING, SITE = 15, 25  # seconds: a chapter on a core, and the site


@dataclass
class Chapter:
    """One notebook of the report, and what has become of it."""

    path: Path
    notebook: nbformat.NotebookNode | None = None  # as committed, then as executed
    defaults: dict = field(default_factory=dict)  # of its parameters
    values: dict = field(default_factory=dict)  # what it is executed with, where that was given
    asked: list[Settings] = field(default_factory=list)  # runs it rests on, where it says so
    todo: list[Settings] = field(default_factory=list)  # those of them that are not recorded
    measuring: list[tuple[Settings, dict]] = field(default_factory=list)  # lacking: model, point
    state: str = ""  # empty: not executed; "done"; else what went wrong
    seconds: float = 0.0

    @property
    def label(self) -> str:
        return self.path.name.split("_")[0]

    @property
    def outcome(self) -> str:
        return f"{self.path.stem}: {self.state}, {self.seconds:.0f} s"

    @property
    def changed(self) -> dict:
        return {k: v for k, v in self.values.items()
                if k not in (*FOLDERS, *OWN) and v != self.defaults[k]}


def report(only: list[str], profile: str | None, parameters: dict, in_place: bool, *,
           train: bool = False, within: float = 10, overwrite: bool = False,
           build: Path | None = None, with_site: bool = True) -> int:
    """Execute chapters and build a site in the folder ``build``, which must be absent, empty, or
    hold a report and nothing else; returns an exit code.

    Chapters ``only`` are executed (all, if empty; with ``parameters``, those that have one of
    them); the others are shown as they are committed. Runs that are missing are trained first,
    unless that takes more than ``within`` minutes and ``train`` is not set. ``in_place`` also
    replaces the committed notebooks and figures. A CSV file as ``dataset`` gets a site of its own:
    chapter C, and those of ``only``. Neither a chapter that fails nor a site that cannot be built
    stops the rest. Raises ``ValueError`` for a chapter, parameter or value that does not exist, or
    for a file or folder that cannot be used.
    """
    parameters = {k: from_here(k, v) for k, v in parameters.items()}
    given = parameters.pop("profile", None)
    if given and profile and given != profile:
        raise ValueError(f"-p profile {given}: --profile says {profile}; give one of them.")
    profile = checked("profile", given or profile or "paper")
    dataset = str(parameters.get("dataset", ""))
    own = Path(dataset) if dataset.lower().endswith(".csv") else None
    build = build or (BUILD.with_name(f"report-{short(own)}") if own else BUILD)
    chapters = [read(p) for p in sorted((ROOT / "notebooks").iterdir())
                if CHAPTER.fullmatch(p.name)]
    chosen = choose(chapters, [*only, "C"] if own else only, profile, parameters)
    if in_place and own:
        raise ValueError("--in-place replaces the committed report, which is of ETTh1; a series of "
                         "your own gets a site of its own without it.")
    if in_place and (parameters or profile != "paper") and not overwrite:
        raise ValueError("--in-place with other settings would replace the committed report; if "
                         "that is meant, add --overwrite-committed.")
    ledger = Ledger(parameters.get("results_dir", RESULTS))
    if in_place and any(folder.tables() for folder in ledger.folders[1:]):
        raise ValueError("--in-place shows what is committed, but my-results/ holds runs of your "
                         "own; record them with --record, or move that folder away.")
    readable = [c for c in chosen if c.notebook]
    for c in readable:
        c.todo = needed(c, ledger)
    folders.claim(build)
    limit, todo, training, executing = prepare(readable, ledger, train, within, own)
    seconds = training + executing + SITE * with_site
    train_first = f"{counted(len(todo), 'model')} to train, " if todo else ""
    say(f"{train_first}{counted(len(readable), 'chapter')} to execute: about {duration(seconds)} "
        f"on {counted(cores(), 'core')}")
    place, failed = None, ""
    with TemporaryDirectory(prefix="tsattn-report-") as folder, \
            bar(seconds, "report", expected=seconds) as counter:
        work = Path(folder)
        (work / "notebooks").mkdir()
        try:
            sweep(todo, ledger=ledger, counter=counter, weights=True)
        except (DataError, LedgerError, OSError) as error:
            say(f"Nothing can be trained: {error}\nThe report shows what is recorded.")
            limit = 0
        execute(readable, work, limit, counter, executing)
        # What was run with other settings is its own page's, and no text says it.
        usual = [c.path.stem for c in chosen if c.state == "done" and not c.changed]
        told = numbers.gather(numbers.read(ledger), work / "figures", usual)
        if len(told):
            numbers.save(told.reset_index().to_dict("records"), work / "numbers.csv")
        pages = [page_of(c, ledger, own) for c in (chosen if own else chapters)]
        if with_site:
            if own:
                begin_with(next(p for p in pages if p.name.startswith("C_")), own, work)
            else:
                decks(work, Facts(ledger, told))
            say(f"the site of {len(pages)} chapters ...")
            of = {s.run_id for c in chosen for s in c.asked} if own else None
            try:
                place = site.build(pages, ledger, work, build, of)
            except Exception as error:  # of whatever Sphinx and its extensions raise
                failed = " ".join(f"The site was not built ({type(error).__name__}: {error}); the "
                                  "executed chapters and their figures are kept.".split())
        if place is None:
            place = site.notebooks([page_of(c, ledger, own) for c in readable], work, build)
        if in_place:
            replace_committed([c for c in chosen if c.state == "done"], work,
                              profile == "paper" and not parameters and len(told) > 0)
            for problem in refresh(ROOT, Ledger(record=True))[1]:
                print(problem, file=sys.stderr)
            if with_site and not only:
                slides.save_figures()
    print("", *(c.outcome for c in chosen), *filter(None, [failed]), f"read it: {place}", sep="\n")
    return int(bool(failed) or any(c.state != "done" for c in chosen))


# -- before anything runs


def read(path: Path) -> Chapter:
    """The chapter in ``path``, with the defaults of its parameters."""
    chapter = Chapter(path)
    try:
        chapter.notebook = nbformat.read(path, as_version=4)
        chapter.defaults = {name: ast.literal_eval(value)
                            for name, value, _ in site.parameters(chapter.notebook)}
    except Exception as error:  # whatever is wrong with one notebook, the others are shown
        chapter.notebook = None
        chapter.state = f"FAILED: the notebook cannot be read ({type(error).__name__})"
    return chapter


def from_here(name: str, value):
    """A parameter as it was meant on the command line: a path belongs to the folder of the call,
    not to ``notebooks/``. Raises ``ValueError`` for a file that is not there."""
    if name == "missing":  # -9999 on a command line is a number
        return str(value)
    if name in FOLDERS:
        return str(Path(str(value)).resolve())
    if name == "dataset" and isinstance(value, str) and value not in DATASETS:
        path = Path(value).expanduser().resolve()
        if path.is_file():
            return str(path)
        if path.suffix or "/" in value:
            raise ValueError(f"-p dataset {value}: no such file; give the path of a CSV file, or "
                             f"one of {', '.join(DATASETS)}.")
    return value


def short(file: Path) -> str:
    """A name for what is made of ``file``: its own in plain characters, and six that tell its path
    from every other."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.")[:40] or "series"
    return f"{plain}-{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:6]}"


def choose(chapters: list[Chapter], only: list[str], profile: str,
           parameters: dict) -> list[Chapter]:
    """The chapters to execute, their ``values`` set. Raises ``ValueError``."""
    labels = [c.label for c in chapters]
    absent = [name for name in only if name not in labels]
    if absent or not chapters:
        raise ValueError(f"--only {' '.join(absent)}: no such chapter in notebooks/; there are "
                         f"{', '.join(labels)}.")
    chosen = [c for c in chapters if not only or c.label in only]
    known = sorted(set().union(*(c.defaults for c in chosen)) - {"profile", *OWN})
    for name in parameters:
        if name not in {*known, *OWN}:
            raise ValueError(f"-p {name}: no chapter has this parameter; choose among "
                             f"{', '.join(known)}.")
    asked = set(parameters) - set(FOLDERS)
    if asked and not only:
        chosen = [c for c in chosen if asked & set(c.defaults)]
    for c in chosen:
        c.values = {k: checked(k, v, c.defaults[k]) for k, v in parameters.items()
                    if k in c.defaults}
        if "profile" in c.defaults:
            c.values["profile"] = profile
    return chosen


def needed(chapter: Chapter, ledger: Ledger) -> list[Settings]:
    """Runs of the chapter that are not in the ledger; sets what it asks for, and what of its
    measurements is lacking. Raises ``ValueError`` for settings or a file that cannot be.

    A chapter says what it needs in a cell tagged ``runs``, which stands below its parameters,
    imports what it uses and sets ``runs``, a list of ``Settings``, and where measuring takes long
    ``measurements``, a list of (table, models, points) as for ``Chapter.on_trained``.
    """
    tagged = [c.source for c in chapter.notebook.cells if "runs" in c.metadata.get("tags", [])]
    names = {"runs": []} | chapter.defaults | chapter.values
    try:
        exec(compile("\n".join(tagged), str(chapter.path), "exec"), names)
    except OSError:
        return []  # the chapter says in its place what it lacks
    except Exception as error:
        what = "" if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__} "
        raise ValueError(f"{chapter.path.stem}: {what}{error}") from error
    chapter.asked, chapter.measuring = list(names["runs"]), []
    for table, models, points in names.get("measurements", ()):
        of = {s.run_id: s for s in models}
        lacking = ledger.lacking(table, [{"run_id": i, **point} for i in of for point in points])
        chapter.measuring += [(of[key["run_id"]], key) for key in lacking]
    return missing(chapter.asked, ledger)


def prepare(chapters: list[Chapter], ledger: Ledger, train: bool, within: float,
            own: Path | None = None) -> tuple[float | None, list[Settings], float, float]:
    """The minutes that a chapter may train by itself (None: no limit), what is to be trained
    first, the seconds that this takes, and those of the chapters with their measurements. Says what
    is not trained, and how it can be."""
    lacking = [each for c in chapters for each in c.measuring]
    todo = [s for c in chapters for s in c.todo]
    todo += missing([s for s, _ in lacking], ledger, weights=True)  # a measurement needs weights
    todo = list({s.run_id: s for s in todo}.values())
    training = together(seconds_expected(todo, ledger), cores())
    measuring = together(seconds_expected([s for s, _ in lacking], ledger,
                                          points=[p for _, p in lacking]), cores())
    executing = EXECUTING * math.ceil(len(chapters) / cores())
    takes = training + measuring
    if train or takes <= 60 * within:
        return None if train else within, todo, training, executing + measuring
    for c in [c for c in chapters if c.todo]:
        say(f"{c.path.stem}: {len(c.todo)} runs are not recorded")
    say(f"Training {counted(len(todo), 'model')} takes about {duration(takes)}, and nobody said "
        f"that it may take more than {within:g} min: the report shows what is recorded. To train, "
        "add --train" + (f", or --within {math.ceil(takes / 60)}." if takes > 0 else "."))
    if own and any(c.values.get("profile") == "paper" for c in chapters):
        say("A first look without verdicts (short training, one seed) takes a few minutes: add "
            "--profile quick.")
    return 0, [], 0.0, executing


# -- executing


def execute(chapters: list[Chapter], work: Path, limit: float | None, counter,
            seconds: float) -> None:
    """Execute ``chapters`` side by side, as many as there are cores; sets their ``state``.
    ``counter`` (``progress.bar``) counts down the ``seconds`` that they are expected to take."""
    with ThreadPoolExecutor(cores()) as pool:
        started = {pool.submit(run, chapter, work, limit): chapter
                   for chapter in sorted(chapters, key=lambda c: -c.path.stat().st_size)}
        for done, future in enumerate(as_completed(started), 1):
            future.result()
            counter.update(seconds / len(chapters))
            say(f"[{done}/{len(chapters)}] {started[future].outcome}")


def run(chapter: Chapter, work: Path, limit: float | None) -> None:
    target, started = work / "notebooks" / chapter.path.name, time.perf_counter()
    own = {"train_minutes": limit, "figures_dir": str(work / "figures")}
    values = {k: v for k, v in own.items() if k in chapter.defaults} | chapter.values
    try:
        # A kernel imports the package that lies in its folder. What goes wrong in a cell comes
        # back as its error; a kernel that is told to end logs more.
        papermill.execute_notebook(str(chapter.path), str(target), parameters=values,
                                   kernel_name="python3", cwd=str(ROOT), progress_bar=False,
                                   extra_arguments=["--Application.log_level=50"])
        chapter.state = "done"
    except papermill.PapermillExecutionError as error:
        message = (error.evalue or "").strip().splitlines()
        chapter.state = ": ".join([f"FAILED in cell {error.exec_count}", error.ename, *message[:1]])
    except Exception as error:  # a killed kernel, say: whatever it is, the others go on
        message = str(error).strip().splitlines()
        chapter.state = f"FAILED: {message[0] if message else type(error).__name__}"
    chapter.seconds = time.perf_counter() - started
    if target.is_file():  # else the page shows the committed notebook
        chapter.notebook = nbformat.read(target, as_version=4)
    clean(chapter.notebook)


def clean(notebook):
    """The notebook without papermill's record of this machine and progress bars; the injected
    values replace those of the parameters cell."""
    injected, kept = {}, []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            injected |= dict(re.findall(r"^(\w+) = (.*)$", cell.source, re.M))
        elif "papermill-error-cell-tag" not in tags:  # papermill's own, which tells of an error
            kept.append(cell)
    notebook.cells = kept
    for each in (notebook, *kept):
        for key in ("papermill", "widgets", "execution"):
            each.metadata.pop(key, None)
    for cell in kept:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(
                r"^(\w+)( *= *)([^#\n]*?)(\s*(?:#.*)?)$",
                lambda m: m[1] + m[2] + (m[3] if m[1] in OWN else injected.get(m[1], m[3])) + m[4],
                cell.source, flags=re.M)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook


# -- what comes of it


def decks(work: Path, facts: Facts) -> None:
    """Write the deck in every language into ``work``."""
    try:
        for lang in slides.story.LANGUAGES:
            slides.build(lang, work / f"slides-{lang}.pptx", facts)
    except ValueError as error:
        print(f"no slides: {error}", file=sys.stderr)


def page_of(chapter: Chapter, ledger: Ledger, own: Path | None = None) -> site.Page:
    """The chapter's page, with what a reader must know about it first; ``own`` is the file that the
    whole site is about."""
    title = nbformat.v4.new_markdown_cell(f"# {chapter.path.stem}")
    page = site.Page(chapter.path.stem, chapter.notebook or nbformat.v4.new_notebook(cells=[title]))
    if not chapter.state:
        return page
    if chapter.state != "done":
        page.notices.append(site.notice("danger", "This chapter stopped", chapter.state))
    page.aside = bool(chapter.changed)
    if chapter.changed and not own:
        changed, usual = (", ".join(f"{k} = {of[k]!r}" for k in chapter.changed)
                          for of in (chapter.changed, chapter.defaults))
        page.notices.append(site.notice(
            "warning", "Run with other settings",
            f"This page was computed with {changed}. The report itself has {usual}."))
    if left := missing(chapter.todo, ledger):
        page.notices.append(site.notice(
            "note", "Not everything has been run", f"{len(left)} of its runs are not recorded. To "
            "train them, add --train to the command that made this page."))
    return page


def begin_with(page: site.Page, own: Path, work: Path) -> None:
    """Make the page of chapter C the first of the site of the file ``own``, with links to the CSV
    files it has written."""
    page.name, cells = site.START, page.notebook.cells
    _, _, rest = cells[0].source.partition("\n")
    cells[0].source = f"# Does attention matter in {escape(own.name.translate(MARKS))}?\n{rest}"
    for file in (work / "figures").glob("C_*.csv"):
        link = f'<a href="figures/{file.name}" download>{file.name}</a>: these forecasts'
        at = next(i for i, c in enumerate(cells) if f'"{file.name}"' in c.source)
        cells.insert(at + 1, nbformat.v4.new_markdown_cell(link))


def replace_committed(chapters: list[Chapter], work: Path, told: bool) -> None:
    """Put executed notebooks and their figures in the place of the committed ones, and with
    ``told`` the table of numbers; all are on the disk of the checkout before the first is
    replaced."""
    goals = {c.path: work / c.path.name for c in chapters}  # and what is put there
    for c in chapters:
        nbformat.write(c.notebook, goals[c.path])
        of = "0[01]" if c.label == "01" else c.label  # it draws the figure of the start page, too
        goals |= {ROOT / "figures" / f.name: f for f in (work / "figures").glob(f"{of}_*")}
    if told:
        goals[ROOT / "results" / "numbers.csv"] = work / "numbers.csv"
    (ROOT / "build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir=ROOT / "build") as near:
        for goal, made in goals.items():
            shutil.copyfile(made, Path(near, goal.name))
        for goal in goals:
            os.replace(Path(near, goal.name), goal)

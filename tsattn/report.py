"""Execute the chapters side by side with papermill, and build the site from them."""

from __future__ import annotations

import ast
import math
import re
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from . import anchors, folders, numbers, site, slides
from .chapter import checked
from .checkpoints import alive
from .claims.facts import Facts
from .data import DataError, load
from .estimates import seconds_expected, together
from .execution import FOLDERS, OWN, Chapter, command, execute, provenance_line
from .harmless import harmless_markdown
from .ledger import Ledger, LedgerError
from .own_series import short
from .progress import bar, counted, duration, say
from .settings import DATASETS, ROOT, Settings
from .sweep import missing, sweep
from .text import escape
from .workers import cores

BUILD = ROOT / "build" / "report"
CHAPTER = re.compile(r"(\d\d|[A-Z])_\w+\.ipynb")
WITHIN = 10  # minutes of training that nobody has to be asked about
EXECUTING, SITE = 15, 25  # seconds: a chapter on a core, and the site


def report(only: list[str], profile: str, parameters: dict, in_place: bool, *, train: bool = False,
           within: float = WITHIN, overwrite: bool = False, build: Path | None = None,
           with_site: bool = True) -> int:
    """Execute chapters and build ``build/index.html``; returns an exit code. The folder ``build``
    must be absent, empty, or hold a report and nothing else.

    Chapters ``only`` are executed (all, if empty; with ``parameters``, those that have one of
    them); the others are shown as they are committed. Runs that are missing are trained first,
    unless that takes more than ``within`` minutes and ``train`` is not set. A chapter that fails
    does not stop the others. ``in_place`` also replaces the committed notebooks and figures.
    A CSV file as ``dataset`` gets a site of its own, which begins with chapter C and has no others
    but those of ``only``.
    A site that cannot be built leaves the executed chapters there. Raises ``ValueError`` for a
    chapter, parameter or value that does not exist, or for a file or folder that cannot be used.
    """
    parameters = dict(parameters)
    own = own_file(parameters)
    build = build or (BUILD.with_name(f"report-{short(own)}") if own else BUILD)
    clean_up()
    if profile == "paper":
        profile = parameters.pop("profile", profile)
    if parameters.pop("profile", profile) != profile:
        raise ValueError(f"--profile {profile} and -p profile differ; give one of them.")
    checked("profile", profile)
    chapters = [read(p) for p in sorted((ROOT / "notebooks").iterdir())
                if CHAPTER.fullmatch(p.name)]
    if own:
        only = list(dict.fromkeys([*only, *[c.label for c in chapters if c.label == "C"]]))
    chosen = choose(chapters, only, profile, parameters)
    if in_place and own:
        raise ValueError("--in-place replaces the committed report, which is of ETTh1; a series of "
                         "your own gets a site of its own without it.")
    if in_place and (parameters or profile != "paper") and not overwrite:
        raise ValueError("--in-place with other settings would replace the committed report; if "
                         "that is meant, add --overwrite-committed.")
    for c in [c for c in chosen if own and c.label == "C"]:
        used = c.defaults | c.values
        load(str(own), **{k: used[k] for k in ("seq_len", "pred_len", "gaps", "missing")})
    ledger = Ledger(parameters["results_dir"]) if "results_dir" in parameters else Ledger()
    folders.claim(build)
    said = ""
    with TemporaryDirectory(prefix="tsattn-report-") as folder, ExitStack() as stack:
        work = Path(folder)
        (work / "notebooks").mkdir()
        limit, todo, seconds = prepare([c for c in chosen if c.notebook], ledger, train, within,
                                       own, SITE * with_site)
        counter = stack.enter_context(bar(seconds, "report", expected=seconds))
        try:
            sweep(todo, ledger=ledger, counter=counter, weights=True)
        except (DataError, LedgerError, OSError) as error:
            say(f"Nothing can be trained: {error}\nThe report shows what is recorded.")
            limit = 0
        execute([c for c in chosen if c.notebook], work, limit, counter, SITE * with_site)
        # What was run with other settings is its own page's, and no text says it.
        usual = [c.path.stem for c in chosen if c.state == "done" and not c.changed]
        told = numbers.gather(numbers.read(ledger), work / "figures", usual)
        if len(told):
            numbers.save(told.reset_index().to_dict("records"), work / "numbers.csv")
        place = None
        if with_site:
            if not own and (failed := decks(work, Facts(ledger, told))):
                print(failed, file=sys.stderr)
            pages = [page_of(c, own) for c in (chosen if own else chapters)]
            say(f"the site of {len(pages)} chapters ...")
            start = start_page(pages, own, work) if own else None
            of = {s.run_id for c in chosen for s in c.asked} if own else None
            try:
                place = site.build([p for p in pages if p is not start], ledger, work, build, start,
                                   of)
            except Exception as error:  # of whatever Sphinx and its extensions raise
                said = " ".join(f"The site was not built ({type(error).__name__}: {error}); the "
                                "executed chapters and their figures are kept.".split())
        place = place or without_site(chosen, work, build)
        if in_place:
            replace_committed([c for c in chosen if c.state == "done"], work)
            if profile == "paper" and not parameters and len(told):
                folders.together([(work / "numbers.csv", ROOT / "results" / "numbers.csv")])
            anchors.refresh(ROOT, Ledger(record=True))
            if with_site and not only:
                slides.save_figures(ledger=Ledger(record=True))
    lines = [f"{c.path.stem}: {c.state}, {c.seconds:.0f} s. "
             f"{provenance_line(c.notebook) if c.notebook else ''}" for c in chosen]
    print("\n".join(["", *lines, *[said] * bool(said), f"read it: {place}"]))
    return int(bool(said) or any(c.state != "done" for c in chosen))


def decks(work: Path, facts: Facts) -> str:
    """Write the deck in every language into ``work``; returns what was wrong, if something was."""
    try:
        for lang in slides.story.LANGUAGES:
            slides.build(lang, work / f"slides-{lang}.pptx", facts)
    except ValueError as error:
        return f"no slides: {error}"
    return ""


def clean_up() -> None:
    """Remove what killed reports have left beside committed files, and nothing else."""
    for folder in (ROOT / "notebooks", ROOT / "figures"):
        for file in folder.glob(".*.tmp"):
            name = folders.TEMPORARY.fullmatch(file.name)
            if name and re.fullmatch(r"(\d\d|[A-Z])_.+", name[1]) and not alive(int(name[2])):
                file.unlink()


# -- before anything runs


def read(path: Path) -> Chapter:
    """The chapter in ``path``, with the defaults of its parameters."""
    chapter = Chapter(path)
    try:
        chapter.notebook = nbformat.read(path, as_version=4)
        text = "\n".join(c.source for c in chapter.notebook.cells
                         if "parameters" in c.metadata.get("tags", []))
        for line in ast.parse(text).body:
            if isinstance(line, ast.Assign):
                chapter.defaults[line.targets[0].id] = ast.literal_eval(line.value)
    except Exception as error:  # whatever is wrong with one notebook, the others are shown
        chapter.notebook = None
        chapter.state = f"FAILED: the notebook cannot be read ({type(error).__name__})"
    return chapter


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
        c.values = {k: checked(k, from_here(k, v), c.defaults[k]) for k, v in parameters.items()
                    if k in c.defaults}
        if "profile" in c.defaults:
            c.values["profile"] = profile
    for name in set(parameters) & set(FOLDERS):
        parameters[name] = from_here(name, parameters[name])
    return chosen


def from_here(name: str, value):
    """A path given on the command line belongs to the folder of the call, not to ``notebooks/``."""
    if name in FOLDERS and isinstance(value, str):
        return str(Path(value).resolve())
    if name == "missing":  # -9999 on a command line is a number
        return str(value)
    if name == "dataset" and isinstance(value, str) and value not in DATASETS:
        path = Path(value).expanduser().resolve()
        if path.is_file():
            return str(path)
        if path.suffix or "/" in value:
            raise ValueError(f"-p dataset {value}: no such file; give the path of a CSV file, or "
                             f"one of {', '.join(DATASETS)}.")
    return value


def own_file(parameters: dict) -> Path | None:
    """The CSV file of the reader's that is asked for, if one is."""
    dataset = from_here("dataset", parameters.get("dataset"))
    own = isinstance(dataset, str) and dataset not in DATASETS and dataset.lower().endswith(".csv")
    return Path(dataset) if own else None


def prepare(chapters: list[Chapter], ledger: Ledger, train: bool, within: float,
            own: Path | None = None,
            site: float = SITE) -> tuple[float | None, list[Settings], float]:
    """Say how long the report takes; returns the minutes that a chapter may train by itself (None:
    no limit), what is to be trained first, and the seconds of all, those of ``site`` among them.

    A chapter says what it needs in a cell tagged ``runs``, which stands below its parameters,
    imports what it uses and sets ``runs``, a list of ``Settings``, and where measuring takes long
    ``measurements``, a list of (table, models, points) as for ``Chapter.on_trained``.
    """
    for c in chapters:
        c.todo = needed(c, ledger)
    todo, training, measuring = expected(chapters, ledger)
    others = EXECUTING * math.ceil(len(chapters) / cores()) + site
    if not (train or training + measuring <= 60 * within):
        for c in [c for c in chapters if c.todo]:
            say(f"{c.path.stem}: {len(c.todo)} runs are not recorded")
        takes = training + measuring
        say(f"Training {counted(len(todo), 'model')} takes about {duration(takes)}, and nobody "
            f"said that it may take more than {within:g} min: the report shows what is recorded. "
            "To train, add --train"
            + (f", or --within {math.ceil(takes / 60)}." if takes > 0 else "."))
        if own and any(c.values.get("profile") == "paper" for c in chapters):
            quick = [Chapter(c.path, c.notebook, c.defaults, c.values | {"profile": "quick"})
                     for c in chapters]
            for c in quick:
                c.todo = needed(c, ledger)
            takes = sum(expected(quick, ledger)[1:])
            say("A first look without verdicts (short training, one seed) takes about "
                f"{duration(takes)}:\n{command(quick)}{' --train' * (takes > 60 * within)}")
        todo, training, measuring, limit = [], 0.0, 0.0, 0
    else:
        limit = None if train else within
    total = training + measuring + others
    train_first = f"{counted(len(todo), 'model')} to train, " if todo else ""
    say(f"{train_first}{counted(len(chapters), 'chapter')} to execute: about {duration(total)} on "
        f"{counted(cores(), 'core')}")
    return limit, todo, total


def expected(chapters: list[Chapter], ledger: Ledger) -> tuple[list[Settings], float, float]:
    """What has to be trained for ``chapters``, for a measurement again where its model's weights
    are not here; the seconds that this takes, and those of all measurements."""
    lacking = [each for c in chapters for each in c.measuring]
    todo = [s for c in chapters for s in c.todo or []]
    todo += missing([s for s, _ in lacking], ledger, weights=True)
    todo = list({s.run_id: s for s in todo}.values())
    measuring = seconds_expected([s for s, _ in lacking], ledger, points=[p for _, p in lacking])
    return (todo, *(together(each, cores())
                    for each in (seconds_expected(todo, ledger), measuring)))


def needed(chapter: Chapter, ledger: Ledger) -> list[Settings] | None:
    """Runs of the chapter that are not in the ledger. Raises ``ValueError`` for settings that
    cannot be."""
    tagged = [c for c in chapter.notebook.cells if "runs" in c.metadata.get("tags", [])]
    if not tagged:
        return None
    names = chapter.defaults | chapter.values
    try:
        exec(compile("\n".join(c.source for c in tagged), str(chapter.path), "exec"), names)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{chapter.path.stem}: {error}") from error
    except (DataError, OSError):
        return None  # the chapter says in its place what it lacks
    chapter.asked = list(names["runs"])
    chapter.measuring = []
    for table, models, points in names.get("measurements", ()):
        of = {s.run_id: s for s in models}
        lacking = ledger.lacking(table, [{"run_id": i, **point} for i in of for point in points])
        chapter.measuring += [(of[key["run_id"]], key) for key in lacking]
    return missing(chapter.asked, ledger)


# -- what comes of it


def page_of(chapter: Chapter, own: Path | None = None) -> site.Page:
    """The chapter's page, with what a reader must know about it first; ``own`` is the file that the
    whole site is about."""
    page = site.Page(chapter.path.stem, chapter.notebook)
    changed = ", ".join(f"{k} = {v!r}" for k, v in chapter.changed.items())
    if chapter.state not in ("", "done"):
        page.notices.append(site.notice("danger", "This chapter stopped", chapter.state))
    if changed and chapter.state:
        usual = ", ".join(f"{k} = {chapter.defaults[k]!r}" for k in chapter.changed)
        page.notices += [] if own else [site.notice(
            "warning", "Run with other settings",
            f"This page was computed with {changed}. The report itself has {usual}.")]
        whose = "the report's own series" if own else f"`{usual}`"
        page.aside = harmless_markdown(
            f"*The reading that stands here was written for {whose} and is set aside; "
            "figures and tables speak for these settings.*")
    if chapter.todo and chapter.state and left(chapter):
        page.notices.append(site.notice(
            "note", "Not everything has been run",
            f"{len(chapter.todo)} of its runs are not recorded. To train them: "
            + command([chapter], *([] if own else [f"--only {chapter.label}"]), "--train")))
    return page


def start_page(pages: list[site.Page], own: Path, work: Path) -> site.Page | None:
    """Chapter C as the first page of the site of the file ``own``, with links to the CSV files it
    has written; None if it cannot be read."""
    page = next((p for p in pages if p.name.startswith("C_") and p.notebook), None)
    if page:
        page.name = site.START
        cells = page.notebook.cells
        _, _, rest = cells[0].source.partition("\n")
        cells[0].source = f"# Does attention matter in {escape(own.name)}?\n{rest}"
        for file in (work / "figures").glob("C_*.csv"):
            link = f'<a href="figures/{file.name}" download>{file.name}</a>: these forecasts'
            at = next(i for i, c in enumerate(cells) if f'"{file.name}"' in c.source)
            cells.insert(at + 1, nbformat.v4.new_markdown_cell(link))
    return page


def left(chapter: Chapter) -> list[Settings]:
    results = chapter.values.get("results_dir")
    return missing(chapter.todo, Ledger(results) if results else Ledger())


def without_site(chapters: list[Chapter], work: Path, build: Path) -> Path:
    """Leave the executed notebooks and their figures in ``build``."""
    made = work / "kept"
    (made / "notebooks").mkdir(parents=True)
    for c in [c for c in chapters if c.notebook]:
        nbformat.write(site.without_reading(page_of(c)), made / "notebooks" / c.path.name)
    if (work / "figures").is_dir():
        shutil.copytree(work / "figures", made / "figures")
    folders.put(made, build, keep=True)
    return build / "notebooks"


def replace_committed(chapters: list[Chapter], work: Path) -> None:
    """Put executed notebooks and their figures in the place of the committed ones, together."""
    ready = []
    for c in chapters:
        figures = sorted((work / "figures").glob(f"{c.label}_*"))
        if c.label == "01":  # draws the figure of the start page, too
            figures += sorted((work / "figures").glob("00_*"))
        written = work / c.path.name
        nbformat.write(c.notebook, written)
        ready += [*((f, ROOT / "figures" / f.name) for f in figures), (written, c.path)]
    folders.together(ready)

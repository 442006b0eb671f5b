"""What every chapter begins with: one call that checks its parameters and opens the ledger.

A chapter's second code cell is ``c = chapter.start(profile, dataset=dataset, seeds=seeds, ...)``.
"""

from __future__ import annotations

import html
import json
import math
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

from . import claims, compare, figures, measures, numbers
from .data import SYNTHETIC, available
from .ledger import RESULTS, Ledger
from .settings import ATTENTIONS, PROFILES, ROOT, SEEDS, Settings
from .sweep import missing, on_trained, sweep
from .text import escape


def checked(name: str, value, default=None):
    """``value`` as the parameter ``name`` of a chapter needs it, whose default is ``default``.

    Raises ``ValueError`` with the right form. Text that YAML or a shell left of a number is one.
    """
    if value is None and default is None:
        return None
    several = isinstance(value, list) and 0 < len(value) == len(set(map(str, value)))
    if name == "profile":
        right, form = value in PROFILES, f"one of {', '.join(PROFILES)}"
    elif name == "seeds":
        right = several and all(type(v) is int and 0 <= v < 2**32 for v in value)
        form = "a list of different whole numbers from 0 to 4294967295, e.g. [2021, 2022]"
    elif name == "attentions":
        right = several and all(v in ATTENTIONS for v in value)
        form = f'a list of some of {", ".join(ATTENTIONS)}, e.g. ["softmax", "zero"]'
    elif isinstance(default, list):
        right = isinstance(value, list) and value != []
        form = f"a list, e.g. {json.dumps(default)}"
        if right:  # one whole number among the defaults does not make all of them whole
            usual = next((v for v in default if isinstance(v, float)), default[0])
            value = [checked(name, v, usual) for v in value]
    elif isinstance(default, bool):
        right, form = isinstance(value, bool), "true or false"
    elif isinstance(default, (int, float)):
        whole = isinstance(default, int)
        number = math.nan
        with suppress(TypeError, ValueError):
            number = float(value)
        right = math.isfinite(number) and not (isinstance(value, bool) or whole and number % 1)
        form = "a whole number" if whole else "a number"
        if right:
            value = int(number) if whole else number
    else:
        right, form = isinstance(value, str) or not isinstance(default, str), "text"
    if not right:
        raise ValueError(f"{name} = {value!r}: must be {form}.")
    return value


@dataclass
class Chapter:
    """What a chapter works with. ``words`` of caution belong beside every number and figure."""

    profile: str
    ledger: Ledger
    figures_dir: Path
    dataset: str
    seeds: list[int]
    words: str
    train_minutes: float | None  # training that takes longer is left out; None: no limit
    name: str = ""
    said: dict[str, dict] = field(default_factory=dict)  # rows of ``numbers``, by name
    shown: int = 0  # figures

    def sweep(self, runs: list[Settings]) -> pd.DataFrame:
        """Complete rows of ``runs``, each once, after training what is missing, if that takes no
        longer than ``train_minutes``; the page says what is left out."""
        runs = list({s.run_id: s for s in runs}.values())
        table = sweep(runs, ledger=self.ledger, within=self.train_minutes)
        self._say_missing(len(missing(runs, self.ledger)), "models")
        if table.empty:
            return Ledger(record=True).read("runs")[:0]  # with the columns that there would be
        return table[table.status == "complete"]

    def on_trained(self, table: str, runs: list[Settings], points: list[dict]) -> pd.DataFrame:
        """``sweep.on_trained`` in the same manner, with the measure that ``table`` is made by."""
        rows = on_trained(table, runs, points, measures.MEASURES[table], ledger=self.ledger,
                          within=self.train_minutes)
        keys = [{"run_id": s.run_id, **point} for s in runs for point in points]
        self._say_missing(len(self.ledger.lacking(table, keys)), f"measurements of {table}")
        return rows if len(rows) else Ledger(record=True).read(table)[:0]

    def _say_missing(self, n: int, what: str) -> None:
        if n:
            display(Markdown(f"**Not run yet:** {n} {what}. What is above says how long that "
                             "takes, and which command runs it."))

    def show(self, fig, name: str, caption: str, alt: str, rows=()) -> None:
        """Save a figure and display it, numbered; the site makes one ``<figure>`` of it.

        ``alt`` says what is seen, for those who cannot see it; ``caption`` (Markdown) what it
        means. ``rows``: what stands ``behind`` the figure."""
        self.shown += 1
        chapter = self.name.partition("_")[0].lstrip("0")
        number = f"**Figure {chapter}.{self.shown}.** " if self.name else ""
        figures.save(fig, name, self.figures_dir, self.words)
        display(fig, metadata={"image/png": {"alt": alt}})
        display(Markdown(number + caption), metadata={"text/markdown": {"caption": True}})
        plt.close(fig)
        self.behind(rows)

    def behind(self, rows) -> None:
        """Folded: the line of pandas that gives the runs of ``rows`` (``numbers.run_ids``)."""
        if ids := numbers.run_ids(rows):
            runs = compare.runs(self.ledger)
            chosen = runs[runs.run_id.isin(ids)]
            line = f'compare.runs().query("{compare.selection(runs, chosen)}")'
            display(HTML(f"<details><summary>The {len(chosen)} runs behind it</summary><p><code>"
                         f"from tsattn import compare</code><br><code>{html.escape(line)}</code>"
                         "</p></details>"))

    def number(self, name: str, value, low=None, high=None, form: str = "change",
               seeds: int | None = None, rows=None, words: str = "", detectable=None) -> None:
        """Hand a number to every text that says it, as a row of ``numbers``; one that is NaN, or
        rests on ``rows`` of which there are none, is not kept. ``seeds``: else counted in ``rows``.
        Raises ``ValueError`` for an unknown form and for a run that is not recorded."""
        if form not in numbers.FORMS:
            raise ValueError(f"{name}: form {form!r} must be one of {', '.join(numbers.FORMS)}.")
        if np.isfinite(value) and (rows is None or numbers.run_ids(rows)):
            counted, digest = numbers.support(self.ledger, name, () if rows is None else rows)
            self.said[name] = dict(
                name=name, value=value, low=low, high=high, detectable=detectable, form=form,
                seeds=counted if seeds is None else seeds, words=words, chapter=self.name,
                digest=digest)

    def compared(self, name: str, row: pd.Series, rows=None) -> None:
        """Hand on a row of a table of ``compare``, or one like it that rests on ``rows``: its
        change with its interval, and the change that would have been seen."""
        self.number(name, row.change, row.low, row.high, rows=row if rows is None else rows,
                    detectable=row.detectable)

    def holds(self, name: str, value: bool, words: str, rows=None) -> None:
        """Hand on whether the statement ``words`` is true."""
        self.number(name, int(value), form=numbers.HOLDS, rows=rows, words=words)

    def claim(self, name: str, verdict: str, value, low, high, form: str = "change", rows=None,
              detectable=None, notes: tuple[str, ...] = ()) -> claims.Found:
        """Decide a claim of ``claims`` here: the verdict, and the number shown beside it. ``notes``
        are ``claims.LOST``, ``claims.FEW_WEEKS`` and ``claims.HERE`` with a verdict."""
        self.number(name, value, low, high, form, rows=rows, words="; ".join([verdict, *notes]),
                    detectable=detectable)
        return claims.decided(name, pd.DataFrame(self.said.values(),
                                                 columns=numbers.COLUMNS).set_index("name"))

    def end(self) -> None:
        """The chapter's last line: what was read and what was made. Its numbers are written beside
        its figures."""
        if self.said:
            numbers.save(self.said.values(), numbers.file(self.figures_dir, self.name))
        print(self.ledger.summary())


def start(profile: str, *, name: str = "", dataset: str = "", seeds: list[int] | None = None,
          results_dir="", figures_dir="", train_minutes: float | None = 10, about: str = "ETTh1",
          **others) -> Chapter:
    """Check a chapter's parameters and open what it works with; ``name`` is that of its file.

    ``others`` are parameters that are only checked (``attentions``, ``pred_len``, ...). Folders
    left empty are ``results/`` and ``build/figures/`` of the checkout, wherever the notebook was
    called from. ``about`` is the series that the prose speaks of: run on another, the page says so.
    Raises ``ValueError`` with one sentence.
    """
    usual = {f.name: f.default for f in fields(Settings)}
    for key, value in {"profile": profile, "seeds": seeds, **others}.items():
        checked(key, value, usual.get(key, value))
    asked, dataset = dataset, available(dataset) if dataset else ""
    recorded = dataset != asked and profile == "paper"  # there may be rows of it all the same
    cautions = {"SYNTHETIC DATA: the data set could not be found or downloaded":
                dataset == SYNTHETIC and not recorded,
                f"{profile.upper()} PROFILE: shortened training, not a result": profile != "paper"}
    words = "; ".join(caution for caution, holds in cautions.items() if holds)
    figures.style()
    if words:
        display(Markdown(f"**⚠ {words}**"))
    if recorded:
        display(Markdown(f"**⚠ {asked} is not here and could not be downloaded.** What is recorded "
                         "of it is shown. Formulas are tried, and windows drawn, on a synthetic "
                         "series instead."))
    if about and dataset not in ("", about, SYNTHETIC):
        file = escape(Path(dataset).name)
        display(Markdown(f"**Figures, tables and verdict lines are of {file}.** The text between "
                         f"them was written about {about}: what it says of months, hours and "
                         "transformer stations is of that series."))
    return Chapter(profile, Ledger(results_dir or RESULTS),
                   Path(figures_dir or ROOT / "build" / "figures"), dataset,
                   seeds or SEEDS[profile], words, train_minutes, name=name)

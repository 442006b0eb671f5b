"""The deck's figures, for the back row: no title, direct labels, at least 18 pt at slide size.

Each function takes ``Facts`` and returns a figure, or None where nothing of it has been run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .. import analysis, figures, preregistered, runs
from ..claims import registered
from ..claims.facts import Facts
from ..figures import COLORS, FEED_FORWARD, PUBLISHED
from ..statistics import MARGIN, interval

SIZE = (12.3, 3.75)  # inches on the slide
FONT = 18
BETTER = "change of the test error (%)    ← better | worse →"
CHANGED = {  # of ``figures.CHANGES``, in one line and apart from what is taken out after training
    "no feed-forward": "trained without feed-forward",
    "linear model": "a linear model",
    "no attention": "trained without attention",
    "no feed-forward, unseen": "trained without feed-forward (new)",
    "no attention, unseen": "trained without attention (new)",
    "seeds": "another seed",
    "learning rate": "learning rate 1e-3, not 1e-4",
}
DRAWN: dict[str, Callable[[Facts], Figure | None]] = {}


def drawn(draw):
    """Under its name, the one that the deck's text uses."""
    DRAWN[draw.__name__] = draw
    return draw


@contextmanager
def look():
    """The report's look at the size of a slide."""
    with plt.rc_context():
        figures.style()
        sizes = ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize")
        plt.rcParams.update({**dict.fromkeys(sizes, FONT), "savefig.bbox": "standard"})
        yield


def draw(name: str, facts: Facts) -> Figure | None:
    with look():
        return DRAWN[name](facts)


def save(facts: Facts, folder) -> list[Path]:
    """Write every figure that can be drawn to ``folder`` as SVG; returns the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in DRAWN:
        with look():
            if fig := DRAWN[name](facts):
                files.append(folder / f"{name}.svg")
                fig.savefig(files[-1], metadata={"Date": None})
                plt.close(fig)
    return files


# -- parts


def panels(*widths: float):
    return plt.subplots(1, len(widths), figsize=SIZE, width_ratios=widths, squeeze=False)


def heading(ax, words: str) -> None:
    """What a panel shows, above it."""
    ax.text(0, 1.03, words, transform=ax.transAxes, fontsize=FONT, weight="bold", va="bottom")


def percent(value: float, digits: int = 1) -> str:
    return f"{value:+.{digits}f} %".replace("-", "−")


def band(ax) -> None:
    """Zero, and the margin within which two models count as equal."""
    ax.axvspan(-100 * MARGIN, 100 * MARGIN, color="0.92", lw=0)
    ax.axvline(0, color="0.4", lw=1.5)


def row(ax, y: float, triple, color, right: float = 0, hollow: bool = False) -> None:
    """A value with its interval, and its number to the right of it (and of ``right``).

    ``hollow``: on the standard test months, where the new ones stand beside.
    """
    value, low, high = triple
    if np.isfinite(low):
        ax.plot([low, high], [y, y], color=color, lw=2 if hollow else 4, solid_capstyle="butt")
    ax.plot(value, y, "o", ms=11 if hollow else 13, color=color, mew=2,
            mfc="white" if hollow else color)
    ax.annotate(
        percent(value),
        (np.nanmax([value, high, right]), y),
        (10, 0),
        textcoords="offset points",
        va="center",
        color=color,
        weight="normal" if hollow else "bold",
    )


def twice(ax, labels: list[str], new: pd.DataFrame, standard: pd.DataFrame) -> None:
    """Rows ``labels`` of both tables (model, difference, low, high, reference), where they have it:
    the new months above, filled; the standard ones below, hollow."""
    for table, shift in ((new, -0.2), (standard, 0.2)):
        for r in table.itertuples():
            color = COLORS.get(r.model, COLORS["softmax"])
            row(ax, labels.index(r.model) + shift, in_percent(r), color, hollow=shift > 0)
    names(ax, labels, [COLORS.get(m, COLORS["softmax"]) for m in labels])


def names(ax, labels: list[str], colors: list[str] | None = None) -> None:
    """Row labels, the first at the top, in the colours of what they name."""
    ax.set(yticks=range(len(labels)), yticklabels=labels, ylim=(len(labels) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for label, color in zip(ax.get_yticklabels(), colors or [], strict=False):
        label.set_color(color)


def explained(ax, authors: bool = False) -> None:
    """What ``twice`` draws, in a panel of its own."""
    ax.axis("off")
    kinds = [("o", "0.3", "new months"), ("o", "white", "standard test")]
    for i, (marker, fill, words) in enumerate(kinds + [("D", "white", "authors")] * authors):
        ax.plot(0, 0.9 - 0.17 * i, marker, ms=11, color="0.3", mfc=fill, mew=2, clip_on=False)
        ax.annotate(words, (0, 0.9 - 0.17 * i), (16, 0), textcoords="offset points",
                    va="center", color=PUBLISHED)
    ax.text(0, 0.2, "bars: 95 %\nintervals\ngrey: ±1 %", va="center", color=PUBLISHED)
    ax.set(xlim=(0, 1), ylim=(0, 1))


def room(ax, share: float = 0.16) -> None:
    """Room to the right for the numbers."""
    low, high = ax.get_xlim()
    ax.set_xlim(low, high + share * (high - low))


def in_percent(r) -> tuple[float, float, float]:
    return tuple(100 * v / r.reference for v in (r.difference, r.low, r.high))


def bars(ax, rows: list[tuple[str, pd.Series, str]], said: Callable[[float], str]) -> None:
    """Horizontal bars from zero with the 95 % interval over the seeds: label, values, colour."""
    for y, (_, values, color) in enumerate(rows):
        value, low, high = interval(values)
        ax.barh(y, value, color=color, alpha=0.8, height=0.6)
        if np.isfinite(low):
            ax.plot([low, high], [y, y], color="black", lw=2)
        ax.annotate(
            said(value),
            (np.nanmax([value, high, 0]), y),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=color,
            weight="bold",
        )
    ax.axvline(0, color="0.4", lw=1.5)
    names(ax, [label for label, *_ in rows])
    ax.locator_params(axis="x", nbins=4)
    room(ax, 0.35)


def lacking(ax, words: str = "not run yet") -> None:
    """A panel of which nothing has been run says so."""
    ax.axis("off")
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=PUBLISHED)


# -- figures


@drawn
def patchtst(facts: Facts) -> Figure | None:
    """Each replacement, and attention alone, against softmax: as registered on the new months,
    beside the standard ones with the authors' values."""
    new, standard = (
        pd.concat([facts.outcomes[claim].found.comparisons for claim in claims])
        for claims in (
            ("registered-without", "registered-halves"),
            ("patchtst-without", "attention-alone"),
        )
    )
    if new.empty and standard.empty:
        return None
    if len(new):
        new = new[~new.family.str.endswith("contrast")].drop_duplicates("model")
    labels = list(dict.fromkeys([*new.get("model", ()), *standard.get("model", ())]))
    fig, ((ax, key),) = panels(3, 1)
    band(ax)
    twice(ax, labels, new, standard)
    if "authors" in standard:
        at = [labels.index(m) + 0.45 for m in standard.model]
        ax.scatter(100 * standard.authors, at, marker="D", s=60, fc="white", ec="black", lw=2,
                   zorder=3)
    room(ax, 0.14)
    ax.set_xlabel(BETTER)
    explained(key, authors=True)
    return fig


@drawn
def itransformer(facts: Facts) -> Figure | None:
    """The same replacements under two training schedules, on standard and new months."""
    tables = {claim: outcome.found.comparisons for claim, outcome in facts.outcomes.items()}
    found = []
    for claim, ending, words in (
        ("itransformer-better", "halved", "1e-4, halved every epoch"),
        ("itransformer-small-steps", "1e-5", "constant 1e-5"),
    ):
        new, standard = tables["registered-itransformer"], tables[claim]
        new = new[new.cell.str.endswith(ending)] if len(new) else new
        standard = standard[standard.cell == "ETTh1-96"] if len(standard) else standard
        found.append((words, new, standard))
    if all(new.empty and standard.empty for _, new, standard in found):
        return None
    fig, (axes,) = panels(1, 1, 0.45)
    explained(axes[2])
    for ax, (words, new, standard) in zip(axes[:2], found, strict=True):
        if new.empty and standard.empty:
            lacking(ax)
            continue
        band(ax)
        labels = list(dict.fromkeys([*standard.get("model", ()), *new.get("model", ())]))
        twice(ax, labels, new, standard)
        heading(ax, words)
        ax.tick_params(axis="y", labelleft=ax is axes[0])
        ax.set_xlim(-11.5, 5)
        ax.locator_params(axis="x", nbins=4)
        ax.set_xlabel("change of the test error (%)")
    return fig


@drawn
def what_changes(facts: Facts) -> Figure | None:
    """Everything on one axis: what changes PatchTST's error, smallest first."""
    rows = facts.changed.reset_index()
    if rows.empty:
        return None
    rows["size"] = rows.value.abs().where(rows.what != "seeds", rows.high - rows.low)
    fig, ((ax,),) = panels(1)
    band(ax)
    labels, colors = [], []
    for y, r in enumerate(rows.sort_values("size").itertuples()):
        label, color = CHANGED[r.what], figures.CHANGES[r.what][1]
        value, low, high = (100 * v for v in (r.value, r.low, r.high))
        if r.what == "seeds":
            ax.plot([low, high], [y, y], color=color, lw=14, solid_capstyle="butt", alpha=0.7)
            ax.annotate(
                f"{high - low:.1f} % from lowest to highest",
                (high, y),
                (10, 0),
                textcoords="offset points",
                va="center",
                color=color,
                weight="bold",
            )
        else:
            row(ax, y, (value, low, high), color)
        labels.append(label)
        colors.append(color)
    names(ax, labels, colors)
    room(ax)
    ax.set_xlabel(BETTER)
    return fig


@drawn
def used(facts: Facts) -> Figure | None:
    """What is taken out of a trained model costs, and what it costs to give every window the same
    matrix."""
    change = analysis.after_training(facts.ledger)
    shown = (
        ("A = mean", "A = mean", COLORS["mean"]),
        ("attention removed", "attention out", COLORS["zero"]),
        ("A = identity", "A = identity", COLORS["identity"]),
        ("feed-forward removed", "feed-forward out", FEED_FORWARD),
    )
    left = [(label, 100 * change[n], color) for n, label, color in shown if n in change]
    table = registered.exchanges(facts.ledger)
    tables = [
        preregistered.exchanged(table[table.split == split]) if len(table) else table
        for split in ("test", "standard")
    ]
    if not left and all(t.empty for t in tables):
        return None
    fig, (axes,) = panels(1, 1.15, 0.65)
    explained(axes[2])
    if left:
        bars(axes[0], left, percent)
        heading(axes[0], "changed after training")
        axes[0].set_xlabel("change of the test error (%)")
    else:
        lacking(axes[0])
    if all(t.empty for t in tables):
        lacking(axes[1])
        return fig
    ax, labels = axes[1], ["average A", "another A"]
    model = dict(zip(runs.EXCHANGES, labels, strict=True))
    new, standard = (
        t.assign(model=t.intervention.map(model), reference=1.0) if len(t) else t for t in tables
    )
    band(ax)
    twice(ax, labels, new, standard)
    heading(ax, "A exchanged")
    ax.locator_params(axis="x", nbins=4)
    room(ax, 0.7)
    ax.set_xlabel("change of the test error (%)")
    return fig

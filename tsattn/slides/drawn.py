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

from .. import analysis, figures, runs
from ..claims.facts import LOW, Facts, UnknownName
from ..figures import COLORS, FEED_FORWARD, PUBLISHED
from ..statistics import MARGIN, interval

SIZE = (12.3, 3.75)  # inches on the slide
FONT = 18
BETTER = "change of the test error (%)    ← better | worse →"
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


def row(ax, y: float, triple, color, right: float = 0) -> None:
    """A value with its interval, and its number to the right of it (and of ``right``)."""
    value, low, high = triple
    if np.isfinite(low):
        ax.plot([low, high], [y, y], color=color, lw=4, solid_capstyle="butt")
    ax.plot(value, y, "o", ms=13, color=color)
    ax.annotate(
        percent(value),
        (np.nanmax([value, high, right]), y),
        (10, 0),
        textcoords="offset points",
        va="center",
        color=color,
        weight="bold",
    )


def names(ax, labels: list[str], colors: list[str] | None = None) -> None:
    """Row labels, the first at the top, in the colours of what they name."""
    ax.set(yticks=range(len(labels)), yticklabels=labels, ylim=(len(labels) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for label, color in zip(ax.get_yticklabels(), colors or [], strict=False):
        label.set_color(color)


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
    """Each replacement against softmax, every seed, the authors' values beside."""
    table = facts.outcomes["patchtst-without"].found.comparisons
    if table.empty:
        return None
    fig, ((ax, key),) = panels(3, 1)
    try:
        seeds = 100 * facts.relative(**LOW)
    except UnknownName:
        seeds = pd.DataFrame()
    band(ax)
    for y, r in enumerate(table.itertuples()):
        color = COLORS[r.model]
        row(ax, y, in_percent(r), color, seeds.get(r.model, pd.Series([0])).max())
        if r.model in seeds:
            ax.scatter(seeds[r.model], np.full(len(seeds), y - 0.27), s=45, color=color, alpha=0.6)
        if np.isfinite(r.authors):
            ax.scatter(100 * r.authors, y + 0.28, marker="D", s=70, fc="none", ec=PUBLISHED, lw=2)
    names(ax, list(table.model), [COLORS[m] for m in table.model])
    room(ax, 0.12)
    ax.set_xlabel(BETTER)
    key.axis("off")
    said = "small dots: seeds\nbars: 95 % interval\ndiamonds: authors\ngrey band: ±1 %"
    key.text(0, 0.5, said, transform=key.transAxes, va="center", color=PUBLISHED)
    return fig


@drawn
def itransformer(facts: Facts) -> Figure | None:
    """The same replacements under two training schedules."""
    found = [
        facts.outcomes[claim].found.comparisons
        for claim in ("itransformer-better", "itransformer-small-steps")
    ]
    if all(t.empty for t in found):
        return None
    fig, (axes,) = panels(1, 1)
    for ax, table, words in zip(
        axes, found, ("learning rate 1e-4, halved every epoch", "constant 1e-5"), strict=True
    ):
        if table.empty:
            lacking(ax)
            continue
        table = table[table.cell == "ETTh1-96"]
        band(ax)
        for y, r in enumerate(table.itertuples()):
            row(ax, y, in_percent(r), COLORS[r.model])
        names(ax, list(table.model), [COLORS[m] for m in table.model])
        heading(ax, words)
        ax.set_xlim(-11.5, 5)
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
        label, color = figures.CHANGES[r.what]
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


def changed_after_training(facts: Facts) -> dict:
    """Relative changes of the error of softmax models at 1e-4, by what is done to them."""
    softmax = analysis.by_attention(runs.attentions(seeds=runs.MORE_SEEDS, **LOW))["softmax"]
    table = facts.ledger.read("interventions")
    return analysis.changes(table, softmax) if len(table) else {}


@drawn
def used(facts: Facts) -> Figure | None:
    """What is taken out of a trained model costs: ETTh1, and events of the toy series."""
    change = changed_after_training(facts)
    shown = (
        ("A = mean", "A = mean", COLORS["mean"]),
        ("attention removed", "no attention", COLORS["zero"]),
        ("A = identity", "A = identity", COLORS["identity"]),
        ("feed-forward removed", "no feed-forward", FEED_FORWARD),
    )
    left = [(label, 100 * change[n], color) for n, label, color in shown if n in change]
    right = [
        (label, events, color)
        for n, label, color in shown
        if len(events := analysis.removal_on_events(facts.ledger, n))
    ]
    if not left and not right:
        return None
    fig, (axes,) = panels(1.1, 1)
    for ax, rows, words, said, unit in (
        (axes[0], left, "ETTh1, 96 hours ahead", percent, "change of the test error (%)"),
        (
            axes[1],
            right,
            "toy series, events",
            lambda v: f"×{v:.1f}",
            "error (undisturbed: 1)",
        ),
    ):
        if not rows:
            lacking(ax)
            continue
        bars(ax, rows, said)
        heading(ax, words)
        ax.set_xlabel(unit)
    return fig


@drawn
def positions(facts: Facts) -> Figure | None:
    """The encoding changed after training, and left out of the training, by head."""
    change = changed_after_training(facts)
    shown = (
        ("W_pos = 0", "set to 0", COLORS["softmax"]),
        ("W_pos = 0.5", "set to 0.5", PUBLISHED),
        ("W_pos rows permuted", "rows shuffled", COLORS["softmax"]),
    )
    left = [(label, 100 * change[n], color) for n, label, color in shown if n in change]
    right = analysis.without_positions(facts.ledger)
    if not left and not right:
        return None
    fig, (axes,) = panels(1, 1)
    if left:
        bars(axes[0], left, lambda v: percent(v, 2 if abs(v) < 0.1 else 1))
        heading(axes[0], "encoding of a trained model changed")
        axes[0].set_xlabel("change of the test error (%)")
    else:
        lacking(axes[0])
    if right:
        ax, labels = axes[1], {"flatten": "flatten head", "mean": "mean head"}
        ax.axvline(0, color="0.4", lw=1.5)
        for y, t in enumerate(right.values()):
            row(ax, y, in_percent(t.iloc[0]), COLORS["softmax"])
        names(ax, [labels[head] for head in right])
        heading(ax, "trained without encoding")
        ax.locator_params(axis="x", nbins=4)
        room(ax, 0.5)
        ax.set_xlabel("change of the test error (%)")
    else:
        lacking(axes[1])
    return fig

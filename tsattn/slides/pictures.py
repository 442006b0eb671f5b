"""The deck's pictures, for the back row: in the deck's language, at least 18 pt at slide size.

A *forest* is drawn from rows of the deck's text; each of the others is a function of ``Drawing``
that returns a figure. It raises ``NotRun`` where nothing of it has been run."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from .. import data, figures, registered_dose, runs
from ..codebook_rule import gaps
from ..compare import beside, by_embedding, comparisons
from ..figures import COLORS
from ..numbers import NotRun
from ..settings import Settings, make
from .story import LACKING, Picture, Story

FONT, EVENT, WITH = 18, "#8C510A", ("softmax", "zero")
HUES = COLORS | {"black": "#222222", "grey": "#555555", "purple": figures.FEED_FORWARD}
compared = cache(comparisons)


class Drawing:
    """A picture of the deck to be drawn in ``size`` (inches); ``drawing[key]`` is a label."""

    def __init__(self, picture: Picture, story: Story, size: tuple[float, float]):
        self.picture, self.story, self.size = picture, story, size
        self.ledger = story.facts.ledger

    def __getitem__(self, key: str) -> str:
        return self.story.words[f"label.{key}"].replace("//", "\n")

    def panels(self, n: int = 1, **how):
        """A figure of this size, and its ``n`` axes side by side."""
        fig, axes = plt.subplots(1, n, figsize=self.size, squeeze=False, **how)
        return fig, *axes[0]

    def change(self, value: float) -> str:
        return self.story.said(value, "change", 2 if abs(value) < 0.001 else 1)

    def row(self, source: str, where: str = "") -> dict:
        """``change``, ``low`` and ``high`` of a row of a forest; empty where it has not been run.
        Raises ``UnknownName``, and ``ValueError`` for a query that more than one row answers."""
        columns = ["change", "low", "high"]
        if source == LACKING:
            return {}
        if "==" in source:
            of = {k: type(getattr(Settings, k))(v) for k, v in self.picture.only.items()}
            table = compared(self.ledger, **of)
            found = table.query(" and ".join(filter(None, (where, source)))) if len(table) else ()
            if len(found) > 1:
                raise ValueError(f"{source}: {len(found)} comparisons")
            return found[columns].iloc[0].to_dict() if len(found) else {}
        try:
            return {k: self.story.facts.number(source + end)[0]
                    for k, end in zip(columns, ("", ".low", ".high"), strict=True)}
        except NotRun:
            return {}


@contextmanager
def look():
    """The report's look at the size of a slide, in letters that Korean has too."""
    with plt.rc_context():
        figures.style()
        sizes = [f"{part}size" for part in ("font.", "axes.label", "axes.title", "xtick.label",
                                            "ytick.label", "legend.font")]
        plt.rcParams.update({**dict.fromkeys(sizes, FONT), "savefig.bbox": "standard",
                             "font.family": [*figures.east_asian()[:1], "DejaVu Sans"]})
        yield


def draw(picture: Picture, story: Story, size: tuple[float, float]) -> Figure | None:
    """The picture in ``size`` (inches); None where nothing of it has been run."""
    with look():
        try:
            return DRAWN[picture.name](Drawing(picture, story, size))
        except (NotRun, data.DataError):
            return None


def some(table: pd.DataFrame) -> pd.DataFrame:
    if table.empty:
        raise NotRun("no rows")
    return table


def bare(ax, title: str = "", color: str = "black", **labels) -> None:
    """Axes of which only the bottom counts."""
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set(**labels)
    ax.set_title(title, loc="left", color=color)


def forest(d: Drawing) -> Figure:
    """Changes with their intervals; a second source of a row is drawn hollow below the first."""
    panels = [(heading, {row[0].replace("//", "\n"): ([d.row(s, *where) for s in row[1:-1]],
                                                      HUES[row[-1]]) for row in rows})
              for (heading, *where), rows in d.picture.panels]
    if not any(any(found) for _, rows in panels for found, _ in rows.values()):
        raise NotRun("no rows")
    several = len(panels) > 1
    alike = several and all([*rows] == [*panels[0][1]] for _, rows in panels)
    fig, *axes = d.panels(len(panels), sharex=alike, sharey=alike)
    for ax, (heading, rows) in zip(axes, panels, strict=True):
        colors = {label: color for label, (_, color) in rows.items()}
        two = max(len(found) for found, _ in rows.values()) > 1
        for k in range(1 + two):
            table = [dict(variant=label, **found[k]) for label, (found, _) in rows.items()]
            figures.forest(ax, pd.DataFrame(table, columns=["variant", "change", "low", "high"]),
                           [*rows], offset=two * (0.4 * k - 0.2), filled=not k, colors=colors,
                           label=d[("new", "standard")[k]] if two else None, said=d.change)
        for name, color in zip(ax.get_yticklabels(), colors.values(), strict=False):
            name.set_color(color)
        for y, (found, _) in enumerate(rows.values()):
            if not any(found):
                ax.annotate(d["not-run"], (0, y), (8, 0), va="center", textcoords="offset points")
        bare(ax, heading * several, xlabel="")
        ax.locator_params(axis="x", nbins=round(d.size[0] / len(axes) / 1.5))
    if two:
        fig.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=d.size[0] // 5)
    elif not several:
        fig.suptitle(heading, x=0, ha="left", fontsize=FONT, weight="bold")
    fig.supxlabel(d["change" if d.size[0] > 9 else "change-short"], fontsize=FONT)
    for ax in axes[: 1 if alike else None]:  # room for the numbers
        low, high = ax.get_xlim()
        ax.set_xlim(low, high + (high - low) * min(0.6, 2.6 * len(axes) / d.size[0]))
    return fig


def months(d: Drawing) -> Figure:
    """Which months are trained on, and which are tested."""
    fig, ax = d.panels()
    start = 0
    for name, n, color in (("train", 12, "0.9"), ("val", 4, "0.75"), ("test", 4, "white"),
                           ("tail", 4, "0.3")):
        bar = ax.barh(0, n, left=start, color=color, ec="0.3", lw=1.5)
        ax.bar_label(bar, [d[f"months.{name}"]], label_type="center", weight="bold",
                     color="white" if name == "tail" else "black")
        start += n
    ax.axis("off")
    ax.margins(0.002, 0)
    return fig


def forecasts(d: Drawing) -> Figure:
    """Two recorded windows of the unseen months: where attention gains, and where it loses."""
    table = some(beside(d.ledger.read("forecasts"), [
        make("paper", attention=a, learning_rate=runs.LOW_RATE, split="tail",
             seed=runs.FEW_SEEDS[0]) for a in WITH]))
    test, k = data.load("ETTh1", 336, 96, split="tail").test, int(table.channel.iloc[0])
    true = {w: [v[0, k].numpy() for v in test.batch([int(w)])] for w in table.window.unique()}
    loss = [(r.forecast - true[r.window][1][r.step - 1]) ** 2 for r in table.itertuples()]
    loss = table.assign(loss=loss).pivot_table(index="window", columns="attention", values="loss")
    order = (loss.zero - loss.softmax).sort_values().index
    fig, *axes = d.panels(2, sharey=True)
    for ax, window, what in zip(axes, (order[-1], order[0]), ("helps", "hurts"), strict=True):
        x, y = true[window]
        ax.plot(np.arange(-96, 96), np.r_[x[-96:], y], color="black", lw=1.8, label=d["truth"])
        for a, of in table[table.window == window].groupby("attention"):
            ax.plot(of.step - 1, of.forecast, color=COLORS[a], lw=3, label=d[f"with.{a}"])
        ax.axvline(0, color="0.5", ls="--", lw=1.5)
        bare(ax, d[what].format(*loss.loc[window, list(WITH)]), xlabel=d["hours"], yticks=[],
             xticks=range(-96, 97, 48))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return fig


def model(d: Drawing) -> Figure:
    """The blocks of PatchTST with the place that is exchanged, and what is put there."""
    fig, axes = plt.subplot_mosaic("AAAAAA;BCDEFG", figsize=d.size, height_ratios=(1, 1.5))
    ax, first, *axes = axes.values()
    ax.set(xlim=(0, 100), ylim=(0, 20))
    boxes = dict(layers=(36, 40), input=(0, 13), patches=(16.5, 15.5), attention=(37.5, 18.5),
                 feedforward=(59, 15.5), head=(78.5, 8.5), output=(89.5, 10.5))
    for name, (x, width) in boxes.items():
        frame, here = name == "layers", name == "attention"
        color = COLORS["zero"] if here else "0.3"
        ax.add_patch(FancyBboxPatch((x, 1 if frame else 2.5), width, 18 if frame else 11,
                                    "round,pad=0,rounding_size=1", lw=3 if here else 1.5, ec=color,
                                    fc="0.94" if frame else "#FFF1DD" if here else "white"))
        ax.text(x + width / 2, 16.2 if frame else 8, d[f"block.{name}"], ha="center", va="center",
                color=color, weight="bold" if here else "normal")
        if not frame and x:
            ax.annotate("", (x, 8), (x - 3, 8), arrowprops=dict(arrowstyle="-|>", color="0.3"))
    T, table = 22, d.ledger.read("trained_matrices")
    A = {"softmax": None, "identity": np.eye(T), "zero": np.zeros((T, T)),
         "mean": np.full((T, T), 1 / T), "fixed": None}
    for run_id, of in table.groupby("run_id") if len(table) else ():
        A[run_id.split("-")[4]] = of.pivot(index="query", columns="key", values="weight")
    first.text(0, 0.5, d["exchanged"], va="center", color=COLORS["zero"], weight="bold")
    for panel, (a, matrix) in zip(axes, A.items(), strict=True):
        if matrix is not None:
            panel.imshow(matrix, cmap="Blues", vmin=0, vmax=3 / T, aspect="auto")
        panel.set(xticks=[], yticks=[], xlabel=d[f"A.{a}"])
        panel.set_title(a, loc="center", color=COLORS[a], pad=4)
    ax.axis("off")
    first.axis("off")
    return fig


def window(d: Drawing, y, spans=(), **how) -> tuple[Figure, plt.Axes]:
    """A window of 336 steps and the 96 to be forecast; ``spans``: start, width, colour, words."""
    fig, ax = d.panels()
    ax.plot(y, color="black", lw=1.5, zorder=3, label=d["undosed"])
    for start, width, color, words in spans:
        ax.axvspan(start, start + width, fc=color, ec="white", alpha=0.3, lw=2)
        ax.text(start + width / 2, 1, words, transform=ax.get_xaxis_transform(), color=color,
                weight="bold", va="top", ha="right" if start == 320 else "center")
    ax.axvline(336, color="0.4", ls="--", lw=1.5)
    bare(ax, **dict(yticks=[], xticks=(0, 336, 432), xlabel=d["steps"]) | how)
    return fig, ax


def recall_window(d: Drawing) -> Figure:
    """A window of recall: keys with their values, the question, the answer."""
    example = data.toy.recall(1, 4, 7)
    words = {example.slot[0]: d["this"], 20: d["asks"]}  # the patch asked for, the one that asks
    spans = [(16 * j, 16, COLORS["zero" if j in words else "softmax"], words.get(j, ""))
             for j in np.flatnonzero(example.key[0] >= 0)]
    fig, ax = window(d, example.x[0], spans, title=d["pair"], color=COLORS["softmax"],
                     ylim=(-3.9, 5.3), xticks=(0, 336))
    ax.text(384, -3.7, d["answer"], ha="center", weight="bold", color=COLORS["zero"])
    return fig


def recall_errors(d: Drawing) -> Figure:
    """The error that is left on recall for a growing number of pairs."""
    pairs = ("1", "2", "4", "8", "16")
    table = some(by_embedding(d.ledger, {
        (n, a, s): runs.toy(f"recall-{n}", attention=a, seed=s)
        for n in pairs for a in WITH for s in runs.FEW_SEEDS}))
    fig, ax = d.panels()
    palette = {d[f"with.{a}"]: COLORS[a] for a in WITH}
    table = table.assign(attention=[d[f"with.{a}"] for a in table.attention],
                         left=100 * table.error)
    figures.dots(ax, table, "embedding", "left", pairs, palette, "attention")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.05, 1), ncols=2, columnspacing=1)
    ax.set(ylim=(-4, 104), yticks=(0, 50, 100), xlabel=d["pairs"], ylabel=d["left"])
    return fig


def dose_window(d: Drawing) -> Figure:
    """A window of ETTh1 as it is, and with recall's pattern at a dose of 30 %."""
    x, y = (v[0, 0].numpy() for v in data.load("ETTh1", 336, 96).test.batch([0]))
    fig, ax = window(d, np.r_[x, y], xlabel=d["window-hours"])
    added = data.dose.pattern(1, 1, 336, 96, 30).at([0])[0, 0].numpy()
    ax.plot(np.r_[x, y] + added, color=COLORS["zero"], lw=2, label=d["dosed"])
    fig.legend(loc="outside upper left", ncols=d.size[0] // 5)
    return fig


def dose(d: Drawing) -> Figure:
    """What attention saves of each dose of look-up, over zero (over mean it is the same)."""
    of = some(registered_dose.judged(d.ledger)).query("without == 'zero'")
    fig, ax = d.panels()
    doses = [0, *of.dose]
    ax.plot(doses, doses, color="0.5", ls="--", lw=2, label=d["perfect"])
    ax.axhline(registered_dose.LEAST, color="0.7", lw=1.5)
    x = np.linspace(0, doses[-1], 1000)  # straight lines, which these axes bend
    ax.plot(x, np.interp(x, [0, *of.dose], [0, *of.saved]), lw=3, color=COLORS["softmax"])
    ax.errorbar(of.dose, of.saved, [of.saved - of.low, of.high - of.saved], fmt="o", ms=10, lw=3,
                capsize=6, color=COLORS["softmax"], label=d["over.zero"])
    ax.set_xscale("symlog", linthresh=1)
    ax.set_yscale("symlog", linthresh=1)
    ends = dict(xticks=doses, xticklabels=doses, yticks=doses, yticklabels=doses)
    ax.set(xlabel=d["dose"], ylabel=d["saved"], **ends)
    ax.minorticks_off()
    ax.legend(loc="upper left")
    return fig


def codebook(d: Drawing) -> Figure:
    """What attention is worth by embedding, an oracle beside the codebooks, on three series."""
    hues = {"linear": "black", "code-init": "softmax", "RQ-VAE": "softmax", "random": "grey",
            "oracle": "mean"}
    colors = {d[f"code.{k}"]: HUES[hue] for k, hue in hues.items()}
    fig, *axes = d.panels(3, sharey=True)
    for ax, on in zip(axes, ("state-machine", "recall-4-nonlinear", "ETTh1"), strict=True):
        asked = runs.embeddings(on, names=[
            k for k in hues if k != "oracle" or on in runs.ORACLE_DATA])
        gap = gaps(some(by_embedding(d.ledger, asked))).relative.mul(100).reset_index()
        gap["embedding"] = [d[f"code.{k}"] for k in gap.embedding]
        ax.axvline(0, color="0.4", lw=1.5)
        figures.dots(ax, gap, "relative", "embedding", [*colors], colors)
        for name, v in gap.groupby("embedding").relative:
            ax.annotate(d.story.said(round(v.mean()) / 100 + 0.0, "share", 0),
                        (v.max(), [*colors].index(name)), (14, 0), textcoords="offset points",
                        va="center", color=colors[name], weight="bold")
        bare(ax, d[f"on.{on}"], xlim=(-25, 135), xticks=(0, 50, 100), xlabel=d["gap"], ylabel="")
    return fig


def toy_series(d: Drawing) -> Figure:
    """A stretch of the toy series, its events and the state of each."""
    machine = data.toy.state_machine(600)
    states = [f"{machine.process.states[k]:g}".replace("-", "−") for k in machine.event_states]
    spans = [(start - 3, 16, EVENT, state) for start, state in zip(machine.event_starts, states,
                                                                  strict=True) if 3 < start < 416]
    return window(d, machine.x[:432], spans, title=d["states"], color=EVENT, ylim=(-1.8, 2.6))[0]


def surfaces(d: Drawing) -> Figure:
    """The paper's own picture: attention and feed-forward of trained models disturbed."""
    table = some(beside(d.ledger.read("perturbation"),
                        [make("paper", seed=s) for s in runs.FEW_SEEDS]))
    table = table.query("layers == 'all'").set_index(["run_id", "sublayer"])
    own = table.query("smoothing == 0 and noise == 0").test_mse
    table = table.assign(change=100 * (table.test_mse / own - 1))
    fig, *axes = d.panels(2)
    for ax, part in zip(axes, ("attention", "feed_forward"), strict=True):
        z = table.xs(part, level="sublayer").pivot_table("change", "noise", "smoothing")[::-1]
        limit = abs(z).max(axis=None)
        sns.heatmap(z, ax=ax, cmap="RdBu_r", vmin=-limit, vmax=limit, xticklabels=5,
                    yticklabels=5, cbar_kws=dict(label=d["change-short"]))
        ax.set(xlabel=d["smoothing"], ylabel=d["noise"])
        ax.set_title(d[f"panel.{part}"], loc="left")
    return fig


# By the names that the deck's text uses.
DRAWN = {of.__name__: of for of in (
    forest, months, forecasts, model, recall_window, recall_errors, dose_window, dose, codebook,
    toy_series, surfaces)}

"""One look for every figure, legible from the back row: style, colours, shared parts, saving."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text
from PIL import Image

from .statistics import MARGIN, interval

# Okabe and Ito's palette: distinct also without full colour vision.
COLORS = {"softmax": "#0072B2", "identity": "#E69F00", "zero": "#D55E00", "mean": "#009E73",
          "fixed": "#CC79A7", "attention only": "#6A51A3"}
FEED_FORWARD = COLORS["attention only"]
PUBLISHED = "#555555"
DPI = 110  # of a PNG: 10 inches fill a page's column on a screen of double density
# Fonts for what the usual one cannot draw: the pinned package's (Korean), then those of systems.
EAST_ASIAN = ("NanumGothic", "Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans CJK SC",
              "Malgun Gothic", "Apple SD Gothic Neo", "Microsoft YaHei", "PingFang SC",
              "Yu Gothic", "Hiragino Sans", "WenQuanYi Zen Hei")


@cache
def east_asian() -> list[str]:
    """Those of ``EAST_ASIAN`` that are here, so that Korean, Chinese and Japanese can be drawn."""
    package = find_spec("koreanize_matplotlib")  # its fonts alone: importing it sets a style
    for file in sorted(Path(package.origin).parent.glob("fonts/*.ttf")) if package else ():
        font_manager.fontManager.addfont(file)
    return [name for name in EAST_ASIAN if name in font_manager.get_font_names()]


def style() -> None:
    """Set the look for all figures that follow; in a notebook also how they are shown."""
    sns.set_theme(context="talk", style="ticks", font_scale=0.8)
    plt.rcParams.update({"figure.dpi": 80, "savefig.dpi": DPI, "savefig.bbox": "tight",
                         "axes.spines.top": False, "axes.spines.right": False,
                         "axes.titleweight": "bold", "axes.titlelocation": "left",
                         "font.family": ["sans-serif", *east_asian()],  # the first that has it
                         "figure.constrained_layout.use": True, "legend.frameon": False,
                         # Text stays text: lighter, searchable, and edited as such in a slide.
                         "svg.fonttype": "none", "svg.hashsalt": "tsattn"})
    # seaborn scatters dots with the global generator; a figure drawn again is to be the same
    np.random.seed(0)
    if shell := get_ipython():
        plt.switch_backend(plt.get_backend())  # sets its own way of showing figures, now, not later
        shell.display_formatter.formatters["image/png"].for_type(Figure, picture)


def _only_math_is_math(fig) -> None:
    """Text with ``$`` that is no mathematics, such as a file's name, is drawn as it stands."""
    for text in fig.findobj(Text):
        try:
            for line in text.get_text().split("\n"):
                if line.count("$") > 1:
                    MathTextParser("agg").parse(line)
        except ValueError:
            text.set_parse_math(False)


def picture(fig, dpi: float | None = None) -> bytes:
    """The figure as a PNG in 256 colours, at its own resolution or ``dpi``."""
    drawn, small = BytesIO(), BytesIO()
    _only_math_is_math(fig)
    fig.savefig(drawn, format="png", dpi=dpi or fig.dpi)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True, dpi=(dpi or fig.dpi,) * 2)
    return small.getvalue()


def save(fig, name: str, folder, words: str = "") -> None:
    """Write ``<folder>/<name>.svg``, its text as text, and ``.png``, 110 dpi in 256 colours, with
    ``words`` of caution across the top."""
    if words:
        fig.text(0.5, 1.02, words, ha="center", va="bottom", color="#B00000", weight="bold",
                 fontsize=18)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _only_math_is_math(fig)
    fig.savefig(folder / f"{name}.svg", metadata={"Date": None})
    (folder / f"{name}.png").write_bytes(picture(fig, DPI))


def group(ax, at: float, values, color, *, gap: float = 0.08, across: bool = False,
          size: float = 9, label: str | None = None) -> None:
    """``values`` as dots at ``at - gap``, their mean with its 95 % t interval at ``at + gap``: on
    the y axis, or ``across``, on the x axis. ``size`` is that of the mean, in points."""
    mean, low, high = interval(values)
    bar = [[mean - low], [high - mean]] if np.isfinite(low) else None
    ax.errorbar(*((mean, at + gap) if across else (at + gap, mean)), fmt="o", ms=size, color=color,
                capsize=5, lw=3 * size / 11, label=label, **{"xerr" if across else "yerr": bar})
    dots = np.full(len(values), at - gap), values
    ax.scatter(*(dots[::-1] if across else dots), s=50, color=color, alpha=0.5, lw=0)


def rows(ax, names: list[str]) -> None:
    """``names`` on the y axis, the first at the top."""
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))


def seeds(ax, table: pd.DataFrame, x: str, y: str, color, *, offset: float = 0.0, gap: float = 0.08,
          label: str | None = None) -> None:
    """``group`` of every ``x``, which holds positions on the axis; ``table`` has one row per seed
    and ``x``. ``offset`` moves all, so that several tables can stand side by side."""
    for position, of in table.groupby(x):
        group(ax, position + offset, of[y], color, gap=gap, label=label)
        label = None


def dots(ax, table: pd.DataFrame, x: str, y: str, order: list, palette: dict,
         hue: str | None = None, *, dodge: float = 0.36, gap: float = 0.05) -> None:
    """``group`` of every name, the mean first; ``table`` has a row per seed or model.

    One of ``x`` and ``y`` holds numbers, the other the names in ``order``, first at the left or at
    the top. Without ``hue`` the ``palette`` gives each name its colour; with it, each of its
    groups, which stand side by side, ``dodge`` apart.
    """
    across = y in table and not pd.api.types.is_numeric_dtype(table[y])
    value, name = (x, y) if across else (y, x)
    for k, kind in enumerate(palette if hue else [None]):
        mine, label = table[table[hue] == kind] if hue else table, kind
        shift = dodge * (k - (len(palette) - 1) / 2) if hue else 0
        for i, each in enumerate(order):
            if len(v := mine[mine[name] == each][value].dropna()):
                group(ax, i + shift, v, palette[kind if hue else each], gap=-gap, across=across,
                      size=11, label=label)
                label = None
    if across:
        rows(ax, order)
    else:
        ax.set(xticks=range(len(order)), xticklabels=order, xlim=(-0.6, len(order) - 0.4))
    if hue and ax.get_legend_handles_labels()[0]:
        ax.legend(title=hue)


def forest(ax, table: pd.DataFrame, order: list[str] | None = None, *, offset: float = 0.0,
           filled: bool = True, label: str | None = None, colors: dict = COLORS,
           said: Callable[[float], str] | None = None) -> None:
    """Rows of a table of ``compare``: the change in % with its 95 % interval, first at the top.

    Left of zero is better than the reference; grey is the margin within which two models count as
    equal. ``order`` holds the names of the rows (``variant``) from top to bottom, those that the
    table lacks included; a second table is drawn into the same axes with an ``offset``. ``said``
    writes a change in words, beside its interval.
    """
    order = list(table.variant) if order is None else order
    if not ax.lines:
        ax.axvspan(-100 * MARGIN, 100 * MARGIN, color="0.93", lw=0)
        ax.axvline(0, color="0.4", lw=1.5)
    for r in table.dropna(subset="change").itertuples():
        y, color = order.index(r.variant) + offset, colors.get(r.variant, PUBLISHED)
        ax.plot([100 * r.low, 100 * r.high], [y, y], color=color, lw=4 if filled else 2,
                solid_capstyle="butt")
        ax.plot(100 * r.change, y, "o", ms=14 if filled else 11, mec=color, mew=2,
                mfc=color if filled else "white")
        if said:
            ax.annotate(said(r.change), (100 * np.nanmax([r.change, r.high]), y), (10, 0),
                        textcoords="offset points", va="center", color=color, bbox=dict(
                            fc="white", ec="none", pad=1), weight="bold" if filled else "normal")
    if label:
        ax.plot([], [], "o", ms=14 if filled else 11, mec="0.3", mew=2,
                mfc="0.3" if filled else "white", label=label)
    rows(ax, order)
    ax.set_xlabel("change of the test error (%); right: worse")

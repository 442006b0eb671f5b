"""The deck's figures on positions, on the series made for this report, on other lengths and on
other data.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .. import analysis, runs
from ..analysis import tokens
from ..claims.facts import Facts
from ..data import toy
from ..figures import COLORS, PUBLISHED
from ..statistics import interval
from .drawn import (
    FONT,
    band,
    bars,
    drawn,
    heading,
    in_percent,
    lacking,
    names,
    panels,
    percent,
    room,
    row,
)


@drawn
def positions(facts: Facts) -> Figure | None:
    """The encoding changed after training, and left out of the training, by head."""
    change = analysis.after_training(facts.ledger)
    shown = (
        ("W_pos = 0", "set to 0", COLORS["softmax"]),
        ("W_pos = 0.5", "set to 0.5", PUBLISHED),
        ("W_pos rows permuted", "rows shuffled", COLORS["softmax"]),
    )
    left = [(label, 100 * change[n], color) for n, label, color in shown if n in change]
    right = tokens.cost_of_none(facts.ledger, tokens.without_encoding())
    if not left and right.empty:
        return None
    fig, (axes,) = panels(1, 1)
    if left:
        bars(axes[0], left, lambda v: percent(v, 2 if abs(v) < 0.1 else 1))
        heading(axes[0], "encoding of a trained model changed")
        axes[0].set_xlabel("change of the test error (%)")
    else:
        lacking(axes[0])
    if len(right):
        ax = axes[1]
        ax.axvline(0, color="0.4", lw=1.5)
        for y, r in enumerate(right.itertuples()):
            row(ax, y, in_percent(r), COLORS["softmax"])
        names(ax, [f"{head} head" for head in right.label])
        heading(ax, "trained without encoding")
        ax.locator_params(axis="x", nbins=4)
        room(ax, 0.5)
        ax.set_xlabel("change of the test error (%)")
    else:
        lacking(axes[1])
    return fig


@drawn
def toy_series(facts: Facts) -> Figure | None:
    """Weight of the event patches in every head; error on events with and without attention."""
    heads = analysis.toy_rows(facts.ledger, "attention_by_head", "state-machine")
    kinds = (
        ("trained with attention", "softmax", "none", COLORS["softmax"]),
        ("trained without", "zero", "none", COLORS["zero"]),
        ("removed after training", "softmax", "attention removed", COLORS["zero"]),
    )
    errors = [
        (label, values, color)
        for label, attention, intervention, color in kinds
        if len(values := analysis.event_multiples_of(facts.ledger, attention, intervention))
    ]
    if heads.empty and not errors:
        return None
    fig, (axes,) = panels(1, 1.15)
    if len(heads):
        ax, layers = axes[0], sorted(heads.layer.unique())
        rng = np.random.default_rng(0)
        for y, layer in enumerate(layers):
            part = heads[heads.layer == layer]
            jitter = y + rng.uniform(-0.22, 0.22, len(part))
            ax.scatter(part.lift, jitter, s=22, color="0.7")
            value, low, high = interval(part.groupby("seed").lift.mean())
            ax.plot([low, high], [y, y], color=COLORS["softmax"], lw=4)
            ax.plot(value, y, "o", ms=12, color=COLORS["softmax"])
        ax.axvline(1, color="black", ls="--", lw=1.5)
        names(ax, [f"layer {layer}" for layer in layers])
        ax.locator_params(axis="x", nbins=4)
        ax.set_xlim(0, max(2, 1.05 * heads.lift.max()))
        ax.set_xlabel("weight of event patches\n(dashed: uniform attention; grey: heads)")
    else:
        lacking(axes[0])
    if errors:
        bars(axes[1], errors, lambda v: f"×{v:.1f}")
        axes[1].set_xlabel("error on events\n(1: best possible)")
    else:
        lacking(axes[1])
    return fig


@drawn
def recall(facts: Facts) -> Figure | None:
    """One window of the task, and the error that is left for a growing number of pairs."""
    pairs, shown = (1, 2, 4, 8, 16), ("softmax", "zero")
    left = {
        n: found
        for n in pairs
        if len(found := 100 * analysis.share_of_zero(facts.ledger, f"recall-{n}"))
    }
    if not left:
        return None
    fig, (axes,) = panels(1.7, 1)
    window(axes[0])
    ax = axes[1]
    for attention in shown:
        at = {n: v[attention] for n, v in left.items() if attention in v}
        x, color = [pairs.index(n) for n in at], COLORS[attention]
        for n, values in at.items():
            ax.scatter(np.full(len(values), pairs.index(n)), values, s=40, color=color, alpha=0.6)
        ax.plot(x, [v.mean() for v in at.values()], color=color, lw=3)
        ax.text(
            x[-1],
            at[list(at)[-1]].mean() + (6 if attention == "softmax" else -8),
            "with attention" if attention == "softmax" else "without",
            ha="right",
            va="bottom" if attention == "softmax" else "top",
            color=color,
            weight="bold",
        )
    ax.set(xticks=range(len(pairs)), xticklabels=pairs, ylim=(-4, 104), yticks=(0, 50, 100))
    ax.set_xlabel("pairs in the window")
    ax.set_ylabel("error left (%)")
    return fig


def window(ax, pairs: int = 4, seed: int = 7) -> None:
    """A window of recall: keys with their values, the question, the answer."""
    example = toy.recall(1, pairs, seed)
    ax.plot(example.x[0], color="black", lw=1.2)
    last = example.key.shape[1] - 1
    for j, key in enumerate(example.key[0]):
        if key >= 0:
            asked = j in (example.slot[0], last)
            color = COLORS["zero"] if asked else COLORS["softmax"]
            ax.axvspan(16 * j, 16 * (j + 1), color=color, alpha=0.4 if asked else 0.18, lw=0)
            said = "key?" if j == last else "this one" if asked else ""
            ax.text(16 * j + 8, 4.1, said, ha="center", va="top", color=color, weight="bold")
    ax.axvline(example.seq_len, color="0.4", ls="--", lw=1.5)
    ax.text(example.seq_len + 48, -3.6, "forecast", ha="center", weight="bold")
    ax.set(ylim=(-3.8, 4.3), xlim=(0, len(example.x[0])), yticks=[], xticks=(0, example.seq_len))
    ax.set_xlabel("time step of one window")
    ax.spines["left"].set_visible(False)


@drawn
def embeddings(facts: Facts) -> Figure | None:
    """What attention is worth by embedding, codes of patches below, on three series."""
    by, labels = analysis.embeddings, {
        "recall-4": "recall", "state-machine": "toy series, events", "ETTh1": "ETTh1, 1e-4"}
    codes = ("decoded", "code-init", "code", "RQ-VAE")
    found = {}
    for dataset in labels:
        asked = by.codebook_runs(dataset, names=("linear", "mlp", *codes))
        if dataset in by.UNITS:  # conv and residual were trained at another rate on ETTh1
            few = {e: by.EMBEDDINGS[e] for e in ("conv", "residual")}
            asked |= by.embedding_runs(dataset, embeddings=few)
        gaps = by.gaps(by.errors(facts.ledger, asked)).relative.reset_index()
        if len(gaps):
            found[dataset] = gaps
    if not found:
        return None
    order = (*by.EMBEDDINGS, *codes)
    fig, (axes,) = panels(*[1] * len(found))
    for ax, (dataset, gaps) in zip(axes, found.items(), strict=True):
        ax.axvline(0, color="0.4", ls="--", lw=1.5)
        ax.axhline(len(by.EMBEDDINGS) - 0.5, color="0.8", lw=1.5)
        for y, embedding in enumerate(order):
            values = 100 * gaps[gaps.embedding == embedding].relative
            color = ("black" if embedding == "linear" else
                     "0.35" if embedding in codes else COLORS["softmax"])
            ax.scatter(values, np.full(len(values), y), s=55, color=color, alpha=0.6)
            if len(values):
                ax.plot([values.mean()] * 2, [y - 0.35, y + 0.35], color=color, lw=4)
        names(ax, order if ax is axes[0] else [""] * len(order))
        ax.set_xlabel("attention gap (%)")
        heading(ax, labels[dataset])
    return fig


@drawn
def patch_length(facts: Facts) -> Figure | None:
    """Test error from many tokens to one, with and without attention."""
    asked = [s for of in tokens.by_length().values() for s in of]
    table = facts.ledger.runs(facts.ledger.complete(asked))
    if table.empty:
        return None
    fig, ((ax,),) = panels(1)
    lengths = sorted(table.patch_len.unique())
    n_tokens = table.groupby("patch_len").n_tokens.first()
    for attention, offset in (("softmax", -0.08), ("zero", 0.08)):
        rows, color = table[table.attention == attention], COLORS[attention]
        if rows.empty:
            continue
        mean = rows.groupby("patch_len").test_mse.mean()
        x = np.array([lengths.index(n) for n in mean.index]) + offset
        ax.plot(x, mean, color=color, lw=3)
        at = [lengths.index(n) + offset for n in rows.patch_len]
        ax.scatter(at, rows.test_mse, s=45, color=color, alpha=0.6)
        ax.annotate(
            attention,
            (x[-1], mean.iloc[-1]),
            (14, 14 if attention == "softmax" else -14),
            textcoords="offset points",
            va="center",
            color=color,
            weight="bold",
        )
    ax.set(
        xticks=range(len(lengths)),
        xticklabels=[f"{n_tokens[n]}" for n in lengths],
        xlim=(-0.4, len(lengths) + 0.1),
    )
    ax.set_xlabel("number of tokens (patches of 4 to 336 hours)")
    ax.set_ylabel("test MSE")
    return fig


@drawn
def matrices(facts: Facts) -> Figure | None:
    """The five matrices A of trained models: layer 1, head 1, the first seed."""
    table = facts.ledger.read("trained_matrices")
    if table.empty:
        return None
    trained = {table_id.split("-")[4]: part.pivot(index="query", columns="key", values="weight")
               for table_id, part in table.groupby("run_id")}
    if not {"softmax", "fixed"} <= set(trained):
        return None
    T = len(trained["softmax"])
    shown = {"softmax": trained["softmax"], "identity": np.eye(T), "zero": np.zeros((T, T)),
             "mean": np.full((T, T), 1 / T), "fixed": trained["fixed"]}
    fig, (axes,) = panels(*[1] * len(shown))
    for ax, (attention, A) in zip(axes, shown.items(), strict=True):
        image = ax.imshow(A, cmap="Blues", vmin=0, vmax=3 / T)
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 1.04, attention, transform=ax.transAxes, fontsize=FONT, weight="bold",
                color=COLORS[attention], ha="center")
    axes[0].set_ylabel("token looking")
    axes[2].set_xlabel("token looked at")
    bar = fig.colorbar(image, ax=axes, shrink=0.7, ticks=[0, 1 / T, 3 / T])
    bar.ax.set_yticklabels(["0", "1/T", "≥ 3/T"])
    return fig


@drawn
def other_series(facts: Facts) -> Figure | None:
    """Zero and mean attention against softmax on series of other kinds, and over them."""
    labels = {"EPF-NP": "electricity price", "vic": "electricity demand",
              "exchange": "exchange rates", "illness": "illness", "all four": "all four"}
    table = facts.other_series
    if table.empty:
        return None
    over = facts.outcomes["other-series"].found.comparisons
    if len(over):
        over = over.assign(cell="all four")
    fig, (axes,) = panels(1, 1)
    for ax, (attention, words) in zip(
        axes, (("zero", "zero (no mixing)"), ("mean", "mean (average of all tokens)")), strict=True
    ):
        band(ax)
        for part in (table, over):
            for r in part[part.model == attention].itertuples() if len(part) else ():
                row(ax, list(labels).index(r.cell), in_percent(r), COLORS[attention])
        names(ax, list(labels.values()))
        ax.axhline(3.5, color="0.7", lw=1)
        ax.tick_params(axis="y", labelleft=ax is axes[0])
        heading(ax, words)
        ax.set_xlim(-7.5, 7)
        ax.set_xlabel("change of the test error (%)")
    return fig


@drawn
def every_cell(facts: Facts) -> Figure | None:
    """Zero attention against softmax on both data sets, at every horizon."""
    models = {"patchtst": "PatchTST", "itransformer": "iTransformer"}
    found = {model: facts.places.get(model, pd.DataFrame()) for model in models}
    if all(table.empty for table in found.values()):
        return None
    fig, (axes,) = panels(1, 1.15)
    cells = [f"{d}-{n}" for d, n in sorted(runs.CELLS)]
    for ax, (model, table) in zip(axes, found.items(), strict=True):
        part = table.xs("zero", level="model") if len(table) else table
        band(ax)
        for r in part.itertuples():
            row(ax, cells.index(r.Index), in_percent(r), COLORS["zero"])
        names(ax, [c.replace("-", ", ") + " h" for c in cells])
        ax.tick_params(axis="y", labelleft=ax is axes[0])
        for y, cell in enumerate(cells):
            if cell not in part.index:
                ax.text(0.6, y, "not run yet", va="center", color=PUBLISHED)
        heading(ax, models[model])
        if len(part):
            ends = 100 * part[["low", "high"]].div(part.reference, axis=0)
            low, high = min(-1, ends.low.min()), max(1, ends.high.max())
            ax.set_xlim(1.05 * low, high - 0.45 * low)
        ax.locator_params(axis="x", nbins=5)
        ax.set_xlabel("change of the test error (%)")
    return fig

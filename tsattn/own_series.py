"""Does attention matter on one series? What is in its file, the answer, errors and forecasts in
its units."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from . import analysis, figures, models
from .checkpoints import best_file, load_trained
from .claims.rules import CANNOT_TELL, NO, YES, Found, Number, compared, not_worse
from .data import Splits, findings
from .ledger import Ledger
from .settings import Settings
from .statistics import FEW_BLOCKS, MARGIN, MIN_SEEDS, interval
from .text import as_text, escape, figure, with_interval
from .training import channel_errors

PAIR = ("softmax", "zero")
DRAWN = 4  # channels, at most
LOSS = figure(MARGIN, "share", 0)
MATTERS = {YES: "no", NO: "yes", CANNOT_TELL: "cannot tell"}  # "as good without" -> "matters"


def _table(heads, rows) -> str:
    """Markdown; every cell is text, whatever the file calls its columns."""
    lines = [heads, ["---"] * len(heads), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(file: Path) -> str:
    """A file's name in few characters that any folder may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.")[:40] or "csv"


# -- what is in the file


def facts(splits: Splits) -> str:
    """What was found in the file and how it is split, as Markdown."""
    found, rows = splits.findings, splits.test.series.shape[1]
    used = len(set().union(*(range(*part) for part in splits.rows)))
    about = [("series", splits.name), ("rows", f"{rows:,}"),
             ("channels", f"{len(splits.channels)}: {', '.join(splits.channels)}"),
             ("step", findings.words(found.step) if found.step is not None else "not dated"),
             ("season, in steps", found.season),
             ("irregular steps", found.gaps),
             ("cells that hold the value before", found.held),
             ("left out, constant while training", ", ".join(found.dropped) or "nothing"),
             ("rows in no part", f"{rows - used:,}")]
    parts = []
    for name, (first, end), windows in zip(("training", "validation", "test"), splits.rows,
                                           (splits.train, splits.val, splits.test), strict=True):
        begin, last = found.spans.get(name, (first + 1, end))
        parts.append((name, begin, last, f"{end - first:,}", f"{len(windows):,}"))
    notes = "".join(f"\n- {escape(note)}" for note in found.notes)
    return "\n\n".join([_table(("in the file", ""), about),
                        _table(("part", "from", "to", "rows", "windows"), parts),
                        *[f"Said while reading it:\n{notes}"] * bool(notes)])


# -- the answer


def found(ledger: Ledger, runs: list[Settings]) -> Found | None:
    """Zero attention against softmax by the rule of the report's first claim, within the family of
    all replacements among ``runs``; None where one of the two has not been run."""
    return compared(analysis.replacements(ledger, runs), not_worse, "zero", ["zero"])


def answer(found: Found | None, name: str, pred_len: int) -> str:
    """The answer, its size and its uncertainty in sentences of Markdown; then both targets."""
    where = f"{escape(name)}, {pred_len} steps ahead"
    if found is None:
        return f"**Not run yet** on {where}."
    row = found.comparisons.set_index("model").loc["zero"]
    seen = f"{figure(found.detectable, 'share')} or more would have been seen"
    if found.seeds < MIN_SEEDS:
        said = f"**Cannot tell** on {where}: a verdict needs {MIN_SEEDS} seeds, and there are " \
               f"{found.seeds}."
    elif found.verdict == YES:
        said = f"**No**, not on {where}: a loss of {LOSS} or more without attention is " \
               "excluded."
    elif found.verdict == NO:
        said = f"**Yes**, on {where}: without attention the error is larger."
    else:
        said = f"**Cannot tell** on {where} (could have seen ≥ " \
               f"{figure(found.detectable, 'share')}): a loss of {LOSS} or more without " \
               f"attention is neither shown nor excluded; {seen} in 80 % of such experiments."
    split = Number(*(row[k] / row.reference for k in ("difference", "split_low", "split_high")))
    targets = [("other times of this series: uncertainty from seeds and stretches tested",
                MATTERS[found.verdict], with_interval(found.number)),
               ("this test span alone: uncertainty from the seeds",
                MATTERS[found.split_verdict], with_interval(split))]
    few = f"\n\nThe test span holds {row.blocks:.1f} separate stretches as long as a window, " \
          f"fewer than {FEW_BLOCKS}: the interval for other times may be too short." \
        if found.few_blocks else ""
    size = f"Trained without attention (zero), PatchTST's error changes by " \
           f"{with_interval(found.number)} against softmax ({found.seeds} seeds; brackets: 95 % " \
           "interval, for other times of this series)."
    return "\n\n".join([f"{said} {size}", _table(
        ("of what", "does attention matter?", "error without it, against softmax"), targets) + few])


def title(found: Found, name: str, pred_len: int) -> str:
    """What a figure of the comparisons shows, as its title."""
    number = f"{with_interval(found.number)} with zero attention"
    return f"Attention matters: {MATTERS[found.verdict]}. {number}\n{_plain(name)}, {pred_len} " \
           f"steps ahead; {found.seeds} seeds"


def line(found: Found | None, shown: str) -> str:
    """The verdict on a claim with its number, which measures ``shown``."""
    if found is None:
        return "Not run yet."
    seen = f" (could have seen ≥ {figure(found.detectable, 'share')})" \
        if found.verdict == CANNOT_TELL and np.isfinite(found.detectable) else ""
    return f"{found.verdict.capitalize()}{seen}: {shown}, {with_interval(found.number)}."


def _plain(name: str) -> str:
    """A name from a file as text of a figure, where $ would begin an equation."""
    return name.replace("$", r"\$")


# -- errors


def _by_channel(ledger: Ledger, runs: list[Settings]) -> np.ndarray | None:
    """MSE [seeds, C], scaled; None where there are none, or from before channels were kept."""
    errors = [ledger.channel_errors(s) for s in ledger.complete(runs)]
    kept = [e.mean(0, dtype=np.float64) for e in errors if e.ndim == 2]
    return np.array(kept) if kept and len(kept) == len(errors) else None


def errors(ledger: Ledger, runs: list[Settings], splits: Splits) -> str:
    """Test errors with softmax, with zero and of repeating the last value, as Markdown: MSE in
    scaled units over all channels, and for each channel the root of its MSE in the file's units."""
    by = {a: [s for s in runs if s.attention == a] for a in PAIR}
    s = runs[0].but(model="last-value", attention="none")
    last = channel_errors(models.build(s, len(splits.channels)), splits.test.first(s.max_windows))
    last = last.double().mean(0).numpy()
    scaled = {a: ledger.runs(ledger.complete(of)) for a, of in by.items()}
    kept = {a: _by_channel(ledger, of) for a, of in by.items()}
    rows = [("MSE, scaled units²", *(as_text(interval(t.test_mse)) if len(t) else "not run yet"
                                     for t in scaled.values()), f"{last.mean():.3f}")]
    for i, (channel, std) in enumerate(zip(splits.channels, splits.std, strict=True)):
        cells = [as_text(interval(std * np.sqrt(v[:, i])), ".4g") if v is not None else "not kept"
                 for v in kept.values()]
        rows.append((f"{channel}: RMSE, the file's units", *cells,
                     f"{std * np.sqrt(last[i]):.4g}"))
    return _table(("test error", *PAIR, "last value repeated"), rows)


# -- forecasts


def pair(runs: list[Settings]) -> dict[str, Settings]:
    """The run of the first seed of each of ``PAIR`` that is among ``runs``."""
    return {a: next(s for s in runs if s.attention == a)
            for a in PAIR if any(s.attention == a for s in runs)}


def weights_command(runs: list[Settings], results: str = "") -> str:
    """The command that trains those of ``pair`` whose weights are not here; empty if all are.

    ``results`` is the folder of their ledger, where that is not the checkout's.
    """
    lost = [s for s in pair(runs).values() if not best_file(s).is_file()]
    if not lost:
        return ""
    s, usual = lost[0], Settings()
    more = {k: getattr(s, k) for k in ("gaps", "missing") if getattr(s, k) != getattr(usual, k)}
    more |= {"results": str(Path(results).resolve())} if results else {}
    return (f"python -m tsattn sweep --weights --profile {s.profile} --dataset "
            f"{shlex.quote(s.dataset)} --attentions {' '.join(r.attention for r in lost)} "
            f"--seeds {s.seed} --seq-len {s.seq_len} --pred-len {s.pred_len} "
            f"--learning-rate {s.learning_rate}"
            + "".join(f" --{k} {shlex.quote(v)}" for k, v in more.items()))


@torch.no_grad()
def forecasts(splits: Splits, runs: list[Settings]) -> pd.DataFrame:
    """Forecasts of the test span in the file's units and times, a row per time and channel.

    Windows follow one another, so that every time is forecast once: ``origin`` is the last time
    that the models have seen. Raises ``FileNotFoundError`` where weights are not here.
    """
    test, starts = splits.test, splits.test.starts.numpy()
    chosen = [0]
    for i, start in enumerate(starts):
        if start >= starts[chosen[-1]] + test.pred_len:
            chosen.append(i)
    size, n = max(1, 256 // len(splits.channels)), len(splits.channels)
    batches = [test.batch(torch.tensor(chosen[i:i + size])) for i in range(0, len(chosen), size)]
    made = {"observed": torch.cat([y for _, y in batches])}
    for attention, s in pair(runs).items():
        model = load_trained(s, n)
        made[attention] = torch.cat([model(x) for x, _ in batches])
    time = pd.RangeIndex(test.series.shape[1]) if splits.time is None else splits.time
    at = starts[chosen][:, None] + test.seq_len + np.arange(test.pred_len)  # [windows, pred_len]
    shape = len(chosen), test.pred_len, n
    in_units = {name: (y.transpose(1, 2).double().numpy() * splits.std + splits.mean).ravel()
                for name, y in made.items()}
    return pd.DataFrame({"origin": np.repeat(time[at[:, 0] - 1], test.pred_len * n),
                         "time": np.repeat(time[at.ravel()], n),
                         "channel": np.broadcast_to(np.array(splits.channels), shape).ravel(),
                         **in_units})


def write(table: pd.DataFrame, path) -> None:
    """The forecasts as CSV, to the seven digits that single precision holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.7g")


def draw(table: pd.DataFrame, name: str, windows: int = 3):
    """Forecasts of the first channels in the ``windows`` that begin half-way through the test."""
    origins = table.origin.unique()
    shown = table[table.origin.isin(origins[len(origins) // 2:][:windows])]
    channels = list(table.channel.unique()[:DRAWN])
    fig, axes = plt.subplots(len(channels), 1, figsize=(13, 1.5 + 3.2 * len(channels)),
                             sharex=True, squeeze=False)
    for ax, channel in zip(axes[:, 0], channels, strict=True):
        of, whole = shown[shown.channel == channel], table[table.channel == channel]
        ax.plot(of.time, of.observed, color="black", lw=2, label="observed")
        rmse = {a: ((whole[a] - whole.observed) ** 2).mean() ** 0.5 for a in PAIR if a in table}
        for a in rmse:
            for i, (origin, each) in enumerate(of.groupby("origin")):
                ax.plot(each.time, each[a], color=figures.COLORS[a], lw=2.5,
                        label=None if i else a)
                ax.axvline(origin, color="0.7", lw=1, ls=":")
        said = ", ".join(f"{a} {v:.4g}" for a, v in rmse.items())
        ax.set_title(f"{_plain(channel)}: RMSE {said}", fontsize=17)
        ax.set_ylabel("file's units")
    axes[0, 0].legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 0.98), fontsize=15)
    axes[-1, 0].set_xlabel("time in the file" if "date" in str(table.time.dtype) else "row")
    axes[-1, 0].tick_params(axis="x", rotation=20)
    fig.suptitle(f"{_plain(name)}: forecasts with attention (softmax) and "
                 "without (zero)\none trained model each; RMSE: whole test span", weight="bold")
    return fig

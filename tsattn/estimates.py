"""How long runs take, by the ledger's timings of the runs most like them, scaled to their size."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import torch

from . import data
from .ledger import RESULTS, Ledger, LedgerError, settings_of
from .models import count_multiply_adds
from .settings import Settings

# What decides how long an epoch takes, and how many epochs a run lasts; most important first.
SPEED = ("model", "attention", "n_tokens", "feed_forward", "d_model", "d_ff", "embedding",
         "dataset", "pred_len")
LENGTH = ("model", "dataset", "embedding", "learning_rate", "attention", "pred_len")
ROWS = 5  # of those most like a run
DISTURBED = 2  # times as long as any other takes a forecast while something is changed in the model
# Settings that the work of one window does not depend on.
SAME = dict(split="standard", missing="", gaps="refuse", dropout=0.0, learning_rate=1.0, epochs=1,
            patience=1, batch_size=1, lr_hold=1, lr_decay=1.0, max_steps=0, max_windows=0, seed=0,
            profile="paper", device="cpu")


def on_cpu(s: Settings) -> bool:
    """Whether ``s`` would run on the CPU here."""
    return s.device == "cpu" or (s.device == "auto" and not torch.cuda.is_available())


def _like(s: Settings, table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    asked = {name: (getattr(s, name),) for name in names}
    asked["dataset"] = s.dataset_name, s.dataset_name.partition("-dose-")[0]
    for name, value in [(name, v) for name, values in asked.items() for v in values]:
        closer = table[table[name] == value] if name in table else table[:0]
        table = closer if len(closer) else table
    return table


@cache
def _splits(dataset: str, seq_len: int, pred_len: int, data_dir, **how) -> tuple[int, ...]:
    """Channels, and windows of the training, validation and test split; none without the data."""
    try:
        splits = data.load(dataset, seq_len, pred_len, data_dir, **how)
    except (OSError, ValueError):
        return ()
    return len(splits.channels), *map(len, (splits.train, splits.val, splits.test))


def _forecasts(s: Settings, data_dir) -> tuple[int, float, float]:
    """Channels, forecasts of windows that take as long as one epoch, and those of one test; NaN
    without the data."""
    channels, train, val, test = _splits(
        s.dataset, s.seq_len, s.pred_len, data_dir, split=s.split, missing=s.missing,
        gaps=s.gaps) or (0, math.nan, math.nan, math.nan)
    val, test = (min(n, s.max_windows or n) for n in (val, test))
    steps = min(train // s.batch_size, s.max_steps or train)
    return channels, 3 * steps * s.batch_size + val + test, test  # the way back takes twice as long


@cache
def _per_window(s: Settings, channels: int) -> int:
    with torch.device("meta"):  # however large it is
        return max(1, count_multiply_adds(s.but(embedding="linear") if s.coded else s, channels))


def _times(s: Settings, other: Settings, data_dir) -> float:
    """Work of an epoch of ``s`` in epochs of ``other``; NaN without the data of both."""
    (n, mine, _), (m, theirs, _) = (_forecasts(x, data_dir) for x in (s, other))
    times, (a, b) = mine / theirs, (x.but(**SAME) for x in (s, other))
    return times if a == b or math.isnan(times) else times * _per_window(a, n) / _per_window(b, m)


def seconds_expected(settings: list[Settings], ledger: Ledger, data_dir=None,
                     points: list[dict] | None = None) -> list[float]:
    """Core-seconds that each run will take: the epochs that runs like it lasted, at most its own,
    times what one epoch of those most like it took, in proportion to the work of both.

    With ``points``, one for each run: what a measurement there takes on the trained model instead,
    a forecast of its windows for each of its draws and strengths. An empty ledger is helped out by
    the committed one. Runs on a CPU are told by runs on a CPU, others by those on a graphics card,
    as long as there are any. NaN if there are none at all.
    """
    for source in (ledger, Ledger(RESULTS)):
        table = source.read("runs")
        table = table[table.status == "complete"] if "threads" in table else table[:0]
        if len(table):
            break
    timed = table[table.split != "tail"] if "split" in table else table  # no tests alone
    table, known = timed if len(timed) else table, {}
    rows, asked = {row["run_id"]: row for row in source.rows("runs")}, set(settings)

    def told(s: Settings) -> tuple[float, float]:
        """Epochs, and seconds of one."""
        same = table[(table.device == "cpu") == on_cpu(s)]
        same = same if len(same) else table
        length = _like(s, same, LENGTH)
        length = length[(length.epochs_run < length.epochs) | (length.epochs >= s.epochs)]
        epochs = length.epochs_run.clip(1).mean() if len(length) else 2 * s.patience
        each = []
        for row in _like(s, same, SPEED).tail(ROWS).itertuples():
            try:
                times = _times(s, settings_of(rows[row.run_id]), data_dir)
            except (LedgerError, FileNotFoundError):  # on a file that is not here
                times = math.nan
            each.append(row.seconds * row.threads / max(row.epochs_run, 1)
                        * (1.0 if math.isnan(times) else times))
        return min(epochs, s.epochs), float(np.median(each))

    found = []
    for i, s in enumerate(settings):
        kind = s.but(seed=0)
        if len(table) and kind not in known:
            known[kind] = told(kind)
        epochs, seconds = known.get(kind, (math.nan, math.nan))
        if s.split == "tail" and s.but(split="standard") in asked:  # one training serves both
            epochs = 0.0
        if points is not None:
            _, epoch, test = _forecasts(s, data_dir)
            grid = [len(str(points[i].get(k, "")).split()) or 1 for k in ("smoothings", "noises")]
            windows = min(points[i].get("windows") or test, test)
            epochs = DISTURBED * windows * math.prod(grid) * points[i].get("draws", 1) / epoch
        found.append(epochs * seconds)
    return found


def together(seconds: list[float], at_once: int) -> float:
    """Seconds until pieces of work are done, ``at_once`` of them at a time."""
    return max(sum(seconds) / max(1, min(at_once, len(seconds))), max(seconds, default=0.0))

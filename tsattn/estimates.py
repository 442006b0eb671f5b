"""How long runs take, by the ledger's timings of the runs most like them, scaled to their size."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from . import data
from .ledger import RESULTS, Ledger
from .models import count_multiply_adds
from .runs import SHAPELESS
from .settings import Settings

# What decides how long a run takes, most important first.
ALIKE = ("model", "dataset", "embedding", "learning_rate", "attention", "n_tokens", "feed_forward",
         "d_model", "d_ff", "pred_len")
DISTURBED = 2  # times as long as any other takes a forecast while something is changed in the model


def on_cpu(s: Settings) -> bool:
    """Whether ``s`` would run on the CPU here."""
    return s.device == "cpu" or (s.device == "auto" and not torch.cuda.is_available())


def seconds_expected(settings: list[Settings], ledger: Ledger, data_dir=None,
                     points: list[dict] | None = None) -> list[float]:
    """Core-seconds that each run will take: the epochs that runs like it lasted, at most its own,
    times what one epoch of theirs took, in proportion to the work of both.

    With ``points``, one for each run: what a measurement there takes on the trained model instead,
    a forecast of its windows for each of its draws and strengths. An empty ledger is helped out by
    the committed one. Runs on a CPU are told by runs on a CPU, others by those on a graphics card,
    as long as there are any. NaN if there are none at all.
    """
    told: dict = {}  # by what all seeds have in common: epochs, and seconds of one
    found = []
    for i, s in enumerate(settings):
        kind = s.but(seed=0)
        if kind not in told:
            told[kind] = _epochs(kind, ledger, data_dir)
        epochs, seconds = told[kind]
        if s.split == "tail" and s.but(split="standard") in settings:  # one training serves both
            epochs = 0.0
        if points is not None:
            _, epoch, test = _forecasts(s, data_dir)
            grid = [len(str(points[i].get(k, "")).split()) or 1 for k in ("smoothings", "noises")]
            windows = min(points[i].get("windows") or test, test)
            epochs = DISTURBED * windows * math.prod(grid) * points[i].get("draws", 1) / epoch
        found.append(epochs * seconds)
    return found


def _epochs(s: Settings, ledger: Ledger, data_dir) -> tuple[float, float]:
    """How many epochs ``s`` lasts, and the core-seconds of one, by the runs most like it."""
    for source in (ledger, Ledger(RESULTS)):
        table = source.read("runs")
        table = table[table.status == "complete"] if "threads" in table else table[:0]
        if len(table):
            break
    else:
        return math.nan, math.nan
    # Of two stretches of months that one training serves, the second has the time of a test.
    for of in ("split != 'tail'", "device == 'cpu'" if on_cpu(s) else "device != 'cpu'"):
        table = table.query(of) if len(table.query(of)) else table
    for name in ALIKE:  # those that agree with ``s``, if any do
        closer = table[table[name] == (s.dataset_name if name == "dataset" else getattr(s, name))]
        table = closer if len(closer) else table
    ended = table[(table.epochs_run < table.epochs) | (table.epochs >= s.epochs)]
    epochs = ended.epochs_run.clip(1).mean() if len(ended) else 2 * s.patience
    each = [row.seconds * row.threads / max(row.epochs_run, 1)
            * _times(s, source.known(row.run_id), data_dir) for row in table.tail(5).itertuples()]
    return min(epochs, s.epochs), float(np.median(each))


def _times(s: Settings, other: Settings | None, data_dir) -> float:
    """Work of an epoch of ``s`` in epochs of ``other``; 1 without the data of both."""
    def work(x: Settings) -> float:
        channels, forecasts, _ = _forecasts(x, data_dir)
        known = dict(embedding="linear") if x.coded or x.embedding == "oracle" else {}
        return forecasts * _per_window(x.but(**SHAPELESS, **known), channels)

    times = work(s) / work(other) if other else 1.0
    return 1.0 if math.isnan(times) else times


def _forecasts(s: Settings, data_dir) -> tuple[int, float, float]:
    """Channels, forecasts of windows that take as long as one epoch, and those of one test; NaN
    without the data."""
    channels, train, val, test = _lengths(s.dataset, s.seq_len, s.pred_len, data_dir, split=s.split,
                                          missing=s.missing, gaps=s.gaps)
    val, test = (min(n, s.max_windows or n) for n in (val, test))
    steps = min(train // s.batch_size, s.max_steps or train)
    return channels, 3 * steps * s.batch_size + val + test, test  # the way back takes twice as long


@cache
def _lengths(dataset: str, seq_len: int, pred_len: int, data_dir, **how) -> tuple:
    """Channels, and windows of the training, validation and test split; NaN without the data."""
    try:
        splits = data.load(dataset, seq_len, pred_len, data_dir, **how)
    except (OSError, ValueError):
        return 1, math.nan, math.nan, math.nan
    return len(splits.channels), *map(len, (splits.train, splits.val, splits.test))


@cache
def _per_window(s: Settings, channels: int) -> int:
    with torch.device("meta"):  # however large it is
        return max(1, count_multiply_adds(s, channels))


def together(seconds: list[float], at_once: int) -> float:
    """Seconds until pieces of work are done, ``at_once`` of them at a time."""
    return max(sum(seconds) / max(1, min(at_once, len(seconds))), max(seconds, default=0.0))

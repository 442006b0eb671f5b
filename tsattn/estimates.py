"""How long runs will take: from the ledger's timings, and from a few steps on this machine."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress

import numpy as np
import pandas as pd
import torch

from .ledger import Ledger
from .settings import Settings
from .training import epoch_seconds


def _like(s: Settings, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``table`` most like ``s``, of the kind of device that it would run on here."""
    if table.empty:  # without any columns in a new ledger
        return table
    on_cpu = s.device == "cpu" or (s.device == "auto" and not torch.cuda.is_available())
    same = table[(table.device == "cpu") == on_cpu]
    table = same if len(same) else table
    wanted = [(name, getattr(s, name)) for name in ("profile", "model", "attention", "n_tokens")]
    wanted += [("dataset", s.dataset_name), ("dataset", s.dataset_name.partition("-dose-")[0]),
               ("pred_len", s.pred_len), ("learning_rate", s.learning_rate)]
    for name, value in wanted:
        closer = table[table[name] == value]
        table = closer if len(closer) else table
    return table


def _complete(ledger: Ledger) -> pd.DataFrame:
    table = ledger.read("runs")
    return table[table.status == "complete"] if "threads" in table else table.iloc[:0]


def seconds_expected(settings: list[Settings], ledger: Ledger) -> list[float]:
    """Core-seconds that each run will take, from the ledger's timings of the runs most like it.

    Runs on a CPU are estimated by runs on a CPU, others by those on a graphics card, as long as
    there are any. A run without any precedent of its model and attention is estimated by the mean
    of all; NaN where no run is complete.
    """
    table = _complete(ledger)
    if table.empty:
        return [math.nan] * len(settings)
    table = table.assign(cost=table.seconds * table.threads)
    return [_like(s, table).cost.mean() for s in settings]


def seconds_here(settings: list[Settings], ledger: Ledger, data_dir=None) -> list[float]:
    """Core-seconds that each run will take on this machine, from its first steps.

    The kinds of runs that take longest are measured, five at most; the others keep their
    proportion to these in the ledger. How many epochs a run lasts comes from the ledger.
    """
    table, recorded = _complete(ledger), seconds_expected(settings, ledger)
    kinds: dict = {}
    for i, s in enumerate(settings):
        kinds.setdefault(s.but(seed=0, learning_rate=1.0, lr_decay=1.0, dropout=0.0), []).append(i)
    known = Counter({kind: sum(recorded[i] for i in of) if table.size else len(of)
                     for kind, of in kinds.items()})
    found: dict[int, float] = {}
    for kind, _ in known.most_common(5):
        s = settings[kinds[kind][0]]
        like = _like(s, table)
        epochs = like.epochs_run.mean() if len(like) else min(s.epochs, 2 * s.patience)
        with suppress(Exception):  # the run itself says what is wrong with it
            seconds = epoch_seconds(s, data_dir) * min(epochs, s.epochs)
            found |= dict.fromkeys(kinds[kind], seconds)
    ratio = np.nanmean([v / recorded[i] if recorded[i] > 0 else math.nan for i, v in found.items()]
                       or [math.nan]) if table.size else math.nan
    mean = np.mean(list(found.values())) if found else math.nan
    rest = [recorded[i] * ratio if recorded[i] * ratio > 0 else mean for i in range(len(settings))]
    return [found.get(i, rest[i]) for i in range(len(settings))]

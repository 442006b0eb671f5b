"""Data: find, read, split. The model sees windows [B, C, seq_len] and nothing of where they came from."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from . import toy
from .files import ETT, ETT_COLUMNS, DataError, DataUnavailable, find, read_csv
from .windows import CALENDAR, Splits, Windows, adjoining, calendar_features, cut

__all__ = ["CALENDAR", "DataError", "DataUnavailable", "Splits", "Windows", "available", "best", "load", "toy", "truth"]

SYNTHETIC = "state-machine"


@lru_cache(2)
def truth(dataset: str, seq_len: int = 336, pred_len: int = 96) -> toy.StateMachine | toy.Recall:
    """The generated series behind a synthetic data set, with its ground truth.

    A window's start (``Windows.starts``) is its first sample in a state-machine series; divided by seq_len + pred_len it
    is its row in a recall set.
    """
    if dataset == SYNTHETIC:
        return toy.state_machine(100_000)
    return toy.recall(sum(toy.RECALL_WINDOWS), seq_len=seq_len, pred_len=pred_len, **toy.RECALL[dataset])


def best(dataset: str, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Best forecasts [N, pred_len] of windows of a synthetic data set, and which samples are those that matter.

    State machine: conditional mean, event samples. Recall: the look-up written out, every sample.
    """
    x, starts = windows.batch(slice(None))[0][:, 0].numpy(), windows.starts.numpy()
    if dataset == SYNTHETIC:
        at = starts[:, None] + windows.seq_len + np.arange(windows.pred_len)
        return toy.best_forecast(x, windows.pred_len).mean, truth(dataset).number[at] >= 0
    forecast = toy.look_up(x, **toy.RECALL[dataset], pred_len=windows.pred_len)
    return forecast, np.ones_like(forecast, bool)


def load(dataset: str, seq_len: int, pred_len: int, data_dir=None, *, calendar: bool = False,
         split: str = "standard") -> Splits:
    """Splits of a named data set or of the CSV file at path ``dataset``; with ``calendar`` its features join.

    ``standard``: 12/4/4 months of 30 days for ETT, 70/10/20 % of any other CSV and of the state machine.
    ``tail`` and ``fold-1`` to ``fold-5`` are other parts of ETT (``ett_rows``). Synthetic series are not
    scaled. Raises ``DataError`` (one sentence that says what to do) for everything that is wrong with a file.
    """
    if calendar and dataset not in ETT and not dataset.lower().endswith(".csv"):
        raise DataError(f"{dataset}: a synthetic series has no dates; set calendar to false.")
    if split != "standard" and dataset not in ETT:
        raise DataError(f"{dataset}: split {split} is a part of the ETT series; use standard.")
    if dataset == SYNTHETIC:
        series = truth(dataset).x[:, None]
        rows = adjoining(70_000, 80_000, 100_000)
        return cut(series, rows, seq_len, pred_len, name=dataset, scale=False)
    if dataset in toy.RECALL:
        try:
            series = truth(dataset, seq_len, pred_len).x.reshape(-1, 1)
        except ValueError as error:
            raise DataError(f"{dataset}: {error}") from None
        rows = adjoining(*accumulate(n * (seq_len + pred_len) for n in toy.RECALL_WINDOWS))
        return cut(series, rows, seq_len, pred_len, name=dataset, scale=False, step=seq_len + pred_len)
    if dataset in ETT:
        table = read_csv(find(dataset, data_dir))[ETT_COLUMNS]
        rows = ett_rows(split, len(table), 4 if dataset.startswith("ETTm") else 1)
    else:
        table = read_csv(Path(dataset).expanduser())
        n = len(table)
        rows = adjoining(int(n * 0.7), n - int(n * 0.2), n)
    return cut(table.to_numpy(), rows, seq_len, pred_len, name=Path(dataset).name, channels=table.columns,
               calendar=calendar_features(table.index) if calendar else None)


def ett_rows(split: str, n: int, per_hour: int = 1) -> list[tuple[int, int]]:
    """(first, end) of the training, validation and test targets of an ETT series of ``n`` rows.

    standard  12/4/4 months of 30 days
    tail      training and validation as standard, test on the rows after the standard test
    fold-k    12 months for training, 2 for validation, 2 for the test, beginning 2 (k - 1) months late
    """
    month = 30 * 24 * per_hour
    standard = adjoining(12 * month, 16 * month, 20 * month)
    if split == "standard":
        return standard
    if split == "tail":
        return [*standard[:2], (20 * month, n)]
    late = 2 * month * (int(split.removeprefix("fold-")) - 1)
    return [(late + first, late + end) for first, end in adjoining(12 * month, 14 * month, 16 * month)]


def available(dataset: str, data_dir=None) -> str:
    """``dataset`` if its file is here or can be had, else the name of the embedded synthetic series.

    Only absence is forgiven: a file that is here but damaged still raises ``DataError``.
    """
    if dataset in ETT:
        try:
            find(dataset, data_dir)
        except DataUnavailable:
            return SYNTHETIC
    return dataset

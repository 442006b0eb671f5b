"""Data: find, read, split. A model sees windows [B, C, seq_len], not where they come from."""

from __future__ import annotations

import warnings
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from ..settings import DOSED
from . import findings, toy
from .dose import dosed
from .files import (
    CATALOGUE,
    DataError,
    DataUnavailable,
    adjoining,
    card,
    ett_rows,
    find,
    split_rows,
)
from .findings import DataWarning, Findings
from .reading import plain, read_csv
from .windows import CALENDAR, Splits, Windows, calendar_features, check_lengths, cut

__all__ = ["CALENDAR", "CATALOGUE", "DataError", "DataUnavailable", "DataWarning", "Findings",
           "Splits", "Windows", "available", "best", "card", "ett_rows", "load", "of", "toy",
           "truth"]

SYNTHETIC = "state-machine"


@lru_cache(2)
def truth(dataset: str, seq_len: int = 336, pred_len: int = 96) -> toy.StateMachine | toy.Recall:
    """The generated series behind a synthetic data set, with its ground truth.

    A window's start (``Windows.starts``) is its first sample in a state-machine series; divided by
    seq_len + pred_len it is its row in a recall set.
    """
    if dataset == SYNTHETIC:
        return toy.state_machine(100_000)
    return toy.recall(sum(toy.RECALL_WINDOWS), seq_len=seq_len, pred_len=pred_len,
                      **toy.RECALL[dataset])


def best(dataset: str, windows: Windows, seen: np.ndarray | None = None,
         lost: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Best forecasts [N, pred_len] of windows of a synthetic data set, and which samples matter.

    State machine: conditional mean, event samples. Recall: the look-up written out, every sample.
    ``seen`` [N, seq_len]: what is seen in place of the windows; ``lost``: the mean square that is
    not, which the state machine's forecast takes for noise.
    """
    x = windows.batch(slice(None))[0][:, 0].numpy() if seen is None else seen
    if dataset == SYNTHETIC:
        at = windows.starts.numpy()[:, None] + windows.seq_len + np.arange(windows.pred_len)
        process = toy.Process(noise=float(np.sqrt(toy.NOISE**2 + lost)))
        return toy.best_forecast(x, windows.pred_len, process).mean, truth(dataset).number[at] >= 0
    forecast = toy.look_up(x, **toy.RECALL[dataset], pred_len=windows.pred_len)
    return forecast, np.ones_like(forecast, bool)


def load(dataset: str, seq_len: int, pred_len: int, data_dir=None, *, calendar: bool = False,
         split: str = "standard", missing: str = "", gaps: str = "refuse",
         oracle: bool = False) -> Splits:
    """Splits of a named data set or of the CSV file at path ``dataset``; with ``calendar`` its
    features join. "ETTh1-dose-10" is ETTh1 with a known dose of look-up (``data.dose``).

    ``standard``: 12/4/4 months of 30 days for ETT, 70/10/20 % of any other series. ``tail`` and
    ``fold-1`` to ``fold-5`` are other parts of ETT (``ett_rows``). Synthetic series are not scaled.

    With ``oracle`` every input of a synthetic series has the ``names`` of what it shows as a last
    channel.

    ``missing`` names values, separated by commas, in whose place that of the row before is held
    ("-9999", "nan"). ``gaps`` says what irregular steps lead to: "refuse", or "split", with which
    no window crosses one. A published series whose times are known to be irregular (weather) is
    used as it is published unless ``gaps`` is "split". What was found is in ``Splits.findings``,
    and for a file of one's own also a ``DataWarning``.

    Raises ``DataError`` (one sentence that says what to do) for everything that is wrong with a
    file; names and options are checked by ``Settings``.
    """
    if dataset in DOSED:
        base, dose = dataset.split("-dose-")
        return dosed(load(base, seq_len, pred_len, data_dir, calendar=calendar, split=split,
                          missing=missing, gaps=gaps), float(dose))
    published = CATALOGUE.get(dataset)
    if split != "standard" and not (published and published.months):
        raise DataError(f"{dataset}: split {split} is a part of the ETT series; use standard.")
    if not published and not dataset.lower().endswith(".csv"):
        return _synthetic(dataset, seq_len, pred_len, oracle)
    name = dataset if published else plain(Path(dataset).name)
    file = find(dataset, data_dir) if published else Path(dataset).expanduser()
    columns = published.columns if published else ()
    as_published = bool(published and published.as_published)
    table, notes = read_csv(file, name, columns, repeats=as_published)
    time, rows = table.index, split_rows(len(table), published, split)
    check_lengths(rows, seq_len, pred_len, name)
    table, held, of_cells = findings.hold(table, missing, name)
    step, breaks, of_time = findings.regular(time, name, gaps, seq_len + pred_len, as_published)
    dropped, of_channels = findings.constant(table, *rows[0], name)
    table = table.drop(columns=dropped)
    notes += of_cells + of_time + of_channels + findings.strange(table, name)
    if not published:  # the defects of a published series stand on its card
        for note in notes:
            warnings.warn(note, DataWarning, stacklevel=2)
    season = findings.season(step)
    if season > seq_len:
        notes.append(f"{name}: a season has {season} steps of {findings.words(step)}, more than "
                     f"seq_len={seq_len}; the seasonal rule repeats the last value instead.")
        season = 1
    found = Findings(notes=tuple(notes), step=step, season=season, gaps=len(breaks),
                     dropped=tuple(dropped), held=held,
                     spans={part: (time[first], time[end - 1]) for part, (first, end) in
                            zip(("training", "validation", "test"), rows, strict=True)})
    return cut(table.to_numpy(), rows, seq_len, pred_len, name=name, channels=table.columns,
               calendar=calendar_features(time) if calendar else None,
               breaks=breaks if gaps == "split" else (), time=time, found=found)


def of(settings, data_dir=None) -> Splits:
    """``load`` for the data of a run's settings."""
    s = settings
    return load(s.dataset, s.seq_len, s.pred_len, data_dir, calendar=s.calendar, split=s.split,
                missing=s.missing, gaps=s.gaps, oracle=s.embedding == "oracle")


def names(dataset: str, seq_len: int, pred_len: int) -> np.ndarray:
    """What the samples of a synthetic series show, [L]; 0 where nothing is named.

    State machine: 1 + the state, at the middle of each event. Recall: 1 + the key of a patch, at
    its first sample.
    """
    known = truth(dataset, seq_len, pred_len)
    if dataset == SYNTHETIC:
        number = known.middles
        return np.where(number >= 0, 1 + known.event_states[number], 0)
    found = np.zeros(known.x.shape, np.float32)
    found[:, : seq_len : seq_len // known.key.shape[1]] = 1 + known.key
    return found.ravel()


def _synthetic(dataset: str, seq_len: int, pred_len: int, oracle: bool) -> Splits:
    """Splits of a generated series, which is not scaled."""
    if dataset == SYNTHETIC:
        series, rows, step = truth(dataset).x[:, None], adjoining(70_000, 80_000, 100_000), 1
        check_lengths(rows, seq_len, pred_len, dataset)
    else:
        try:
            series = truth(dataset, seq_len, pred_len).x.reshape(-1, 1)
        except ValueError as error:
            raise DataError(f"{dataset}: {error}") from None
        step = seq_len + pred_len
        rows = adjoining(*accumulate(n * step for n in toy.RECALL_WINDOWS))
    told = names(dataset, seq_len, pred_len)[None] if oracle else None
    return cut(series, rows, seq_len, pred_len, name=dataset, scale=False, step=step, calendar=told)


def available(dataset: str, data_dir=None, profile: str = "") -> str:
    """``dataset`` if its file is here or can be had, else the synthetic series; of full runs
    (``profile`` "paper") ``dataset`` in any case, as they may be recorded.

    Only absence is forgiven: a file that is here but damaged still raises ``DataError``.
    """
    published = dataset.partition("-dose-")[0]
    if published in CATALOGUE and profile != "paper":
        try:
            find(published, data_dir)
        except DataUnavailable:
            return SYNTHETIC
    return dataset

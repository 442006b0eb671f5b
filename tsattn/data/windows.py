"""Windows of a series: views of one array, split in time without overlap of targets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from .files import DataError
from .findings import Findings


class Pattern(NamedTuple):
    """What is added to the windows that start at each of L rows of a series of C channels.

    ``key`` [C, L, T] of each of T patches, -1 for none; ``value`` [C, L, T], 0 for none; ``answer``
    [C, L], the height of the horizon's bump. ``keys`` [8 + 1, P / 2] are the waveforms, the last
    one none; ``bump`` [P / 2] shows a value of 1, ``horizon`` [pred_len] an answer of 1.
    """

    key: torch.Tensor
    value: torch.Tensor
    answer: torch.Tensor
    keys: torch.Tensor
    bump: torch.Tensor
    horizon: torch.Tensor

    def at(self, starts) -> torch.Tensor:
        """The pattern [B, C, seq_len + pred_len] of the windows at rows ``starts`` [B]."""
        key, value, answer = (t[:, starts].transpose(0, 1) for t in self[:3])
        shown = torch.cat([self.keys[key], value[..., None] * self.bump], -1)  # [B, C, T, P]
        return torch.cat([shown.flatten(-2), answer[..., None] * self.horizon], -1)

    def to(self, device) -> Pattern:
        return Pattern(*(t.to(device) for t in self))


@dataclass(frozen=True)
class Windows:
    """All windows of one split: ``seq_len + pred_len`` steps of ``series`` [C, L] from each of
    ``starts``.

    Where ``calendar`` [F, L] is given, its features stand below the channels of every input. Where
    ``added`` is given, every window has a pattern of its own on top (``Pattern``).
    """

    series: torch.Tensor
    starts: torch.Tensor
    seq_len: int
    pred_len: int
    calendar: torch.Tensor | None = None
    added: Pattern | None = None

    def __len__(self):
        return len(self.starts)

    def batch(self, index) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs [B, C (+ F), seq_len] and targets [B, C, pred_len] of the windows ``index``
        (integers or a slice)."""
        window = self._cut(self.series, self.seq_len + self.pred_len, index)
        if self.added is not None:
            window = window + self.added.at(self.starts[index])
        x, y = window[..., : self.seq_len], window[..., self.seq_len :]
        if self.calendar is not None:
            x = torch.cat([x, self._cut(self.calendar, self.seq_len, index)], 1)
        return x, y

    def _cut(self, series, size: int, index):
        """Pieces [B, C, size] of ``series`` [C, L] where the windows ``index`` start."""
        view = series.unfold(-1, size, 1)  # [C, L - size + 1, size], no copy
        return view[:, self.starts[index]].transpose(0, 1)  # the copy of one batch

    def __getitem__(self, index) -> Windows:
        """The windows ``index`` (integers or a slice) alone; the series stays shared."""
        return replace(self, starts=self.starts[index])

    def to(self, device) -> Windows:
        names = ("series", "starts", "calendar", "added")
        held = {k: v for k in names if (v := getattr(self, k)) is not None}
        return replace(self, **{k: v.to(device) for k, v in held.items()})

    def first(self, n: int) -> Windows:
        """``n`` windows spread evenly over the split (all of them if n is 0 or too large)."""
        if not n or n >= len(self):
            return self
        return self[torch.linspace(0, len(self) - 1, n, device=self.starts.device).long()]


@dataclass(frozen=True)
class Splits:
    """Train, validation and test windows of one data set, scaled by the training rows alone.

    ``rows`` are (first, end) of the train, validation and test targets; ``mean`` and ``std`` are
    [C], in the units of the file.
    """

    name: str
    channels: tuple[str, ...]
    train: Windows
    val: Windows
    test: Windows
    rows: tuple[tuple[int, int], ...]
    mean: np.ndarray
    std: np.ndarray
    sha256: str  # of the scaled series
    findings: Findings = Findings()
    time: pd.DatetimeIndex | None = None  # of every row; None where the series has no dates


CALENDAR = ("hour of day", "day of week", "day of month", "day of year")


def calendar_features(time: pd.DatetimeIndex) -> np.ndarray:
    """``CALENDAR`` of each time, [4, L], scaled to +-0.5 as in the iTransformer's data loader."""
    return np.stack([time.hour / 23, time.day_of_week / 6, (time.day - 1) / 30,
                     (time.day_of_year - 1) / 365]) - 0.5


def check_lengths(rows, seq_len: int, pred_len: int, name: str) -> None:
    """Raises ``DataError``, which says which windows fit, unless each part of ``rows`` holds one.

    A training window lies within its part; of the others only the targets do.
    """
    train, val, test = (end - first for first, end in rows)
    if train >= seq_len + pred_len and min(val, test) >= pred_len:
        return
    fits = min(train - 1, val, test)
    do = f", or a window with pred_len at most {fits} and seq_len + pred_len at most {train}"
    raise DataError(f"{name}: training, validation and test have {train}, {val} and {test} rows, "
                    f"too few for one window of seq_len={seq_len} and pred_len={pred_len} each; "
                    f"give a longer series{do if fits > 0 else ''}.")


def cut(values: np.ndarray, rows, seq_len: int, pred_len: int, *, name="series", channels=None,
        step: int = 1, scale: bool = True, calendar: np.ndarray | None = None, breaks=(),
        found: Findings | None = None, time: pd.DatetimeIndex | None = None) -> Splits:
    """Windows of ``values`` [L, C]; ``rows``: (first, end) of training, validation, test targets.

    Validation and test windows start seq_len rows before their first target, so inputs may reach
    back into an earlier part, while targets never leave their own: no test target is ever seen in
    training. The three need not adjoin. ``step`` is the distance of window starts (1, or the
    window's size for series made of independent windows). ``calendar`` [F, L] joins every input.
    Scaling is that of the training rows, in which no channel may be constant. No window holds both
    a row of ``breaks`` and the row before it. Raises ``DataError`` if a part has no such window.
    """
    (first, end), *_ = rows
    mean, std = np.zeros(values.shape[1]), np.ones(values.shape[1])
    if scale:
        mean, std = values[first:end].mean(0), values[first:end].std(0)
        values = (values - mean) / std
    series = torch.from_numpy(np.ascontiguousarray(values.T, dtype=np.float32))
    if calendar is not None:
        calendar = torch.from_numpy(calendar.astype(np.float32))
    parts, size = [], seq_len + pred_len
    broken = np.isin(np.arange(len(values)), breaks).cumsum()  # breaks up to and including each row
    for which, (begin, end) in zip(("training", "validation", "test"), rows, strict=True):
        reach = seq_len if step == 1 and which != "training" else 0
        starts = np.arange(begin - reach, end - size + 1, step)
        starts = starts[broken[starts + size - 1] == broken[starts]]
        if not len(starts):
            raise DataError(f"{name}: every window of seq_len + pred_len = {size} rows in the "
                            f"{which} split crosses a gap; give a shorter window or a series with "
                            "longer stretches.")
        parts.append(Windows(series, torch.from_numpy(starts), seq_len, pred_len, calendar))
    names = tuple(map(str, range(values.shape[1]) if channels is None else channels))
    sha256 = hashlib.sha256(series.numpy().tobytes()).hexdigest()
    return Splits(name, names, *parts, tuple(map(tuple, rows)), mean, std, sha256,
                  found or Findings(), time)

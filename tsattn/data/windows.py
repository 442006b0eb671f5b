"""Windows of a series: views of one array, split in time without overlap of targets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from .files import DataError


@dataclass(frozen=True)
class Windows:
    """All windows of one split. ``series`` is [C, L]; window i covers ``seq_len + pred_len`` steps from ``starts[i]``.

    Where ``calendar`` [F, L] is given, its features stand below the channels of every input.
    """

    series: torch.Tensor
    starts: torch.Tensor
    seq_len: int
    pred_len: int
    calendar: torch.Tensor | None = None

    def __len__(self):
        return len(self.starts)

    def batch(self, index) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs [B, C (+ F), seq_len] and targets [B, C, pred_len] of the windows ``index`` (integers or a slice)."""
        window = self._cut(self.series, self.seq_len + self.pred_len, index)
        x, y = window[..., :self.seq_len], window[..., self.seq_len:]
        if self.calendar is not None:
            x = torch.cat([x, self._cut(self.calendar, self.seq_len, index)], 1)
        return x, y

    def _cut(self, series, size: int, index):
        """Pieces [B, C, size] of ``series`` [C, L] from the starts of the windows ``index``."""
        view = series.unfold(-1, size, 1)  # [C, L - size + 1, size], no copy
        return view[:, self.starts[index]].transpose(0, 1)  # the copy of one batch

    def __getitem__(self, index) -> "Windows":
        """The windows ``index`` (integers or a slice) alone; the series stays shared."""
        return replace(self, starts=self.starts[index])

    def to(self, device) -> "Windows":
        calendar = None if self.calendar is None else self.calendar.to(device)
        return replace(self, series=self.series.to(device), starts=self.starts.to(device), calendar=calendar)

    def first(self, n: int) -> "Windows":
        """``n`` windows spread evenly over the split (all of them if n is 0 or too large)."""
        if not n or n >= len(self):
            return self
        return self[torch.linspace(0, len(self) - 1, n, device=self.starts.device).long()]


@dataclass(frozen=True)
class Splits:
    """Train, validation and test windows of one data set, scaled by the training rows alone.

    ``borders`` are the rows at which train, validation and test targets end; ``mean`` and ``std`` are [C], in the
    units of the file.
    """

    name: str
    channels: tuple[str, ...]
    train: Windows
    val: Windows
    test: Windows
    borders: tuple[int, int, int]
    mean: np.ndarray
    std: np.ndarray
    sha256: str  # of the scaled series


CALENDAR = ("hour of day", "day of week", "day of month", "day of year")


def calendar_features(time: pd.DatetimeIndex) -> np.ndarray:
    """The four ``CALENDAR`` features of each time, [4, L], scaled to +-0.5 as in the iTransformer's data loader."""
    return np.stack([time.hour / 23, time.day_of_week / 6, (time.day - 1) / 30, (time.day_of_year - 1) / 365]) - 0.5


def split(values: np.ndarray, borders: tuple[int, int, int], seq_len: int, pred_len: int, *, name="series",
          channels=None, step: int = 1, scale: bool = True, calendar: np.ndarray | None = None) -> Splits:
    """Split ``values`` [L, C] at the row ``borders``; validation and test windows start seq_len rows early.

    Targets never cross a border, so no test target is ever seen in training. ``step`` is the distance of window
    starts (1, or the window's size for series made of independent windows). ``calendar`` [F, L] joins every input.
    Raises ``DataError`` if a split is too short for one window.
    """
    mean, std = np.zeros(values.shape[1]), np.ones(values.shape[1])
    if scale:
        mean, std = values[:borders[0]].mean(0), values[:borders[0]].std(0)
        std = np.where(std == 0, 1.0, std)
        values = (values - mean) / std
    series = torch.from_numpy(np.ascontiguousarray(values.T, dtype=np.float32))
    if calendar is not None:
        calendar = torch.from_numpy(calendar.astype(np.float32))
    parts, begin = [], 0
    overlap = seq_len if step == 1 else 0
    for which, end in zip(("training", "validation", "test"), borders):
        first = max(begin - overlap, 0)
        last = end - seq_len - pred_len
        if last < first:
            raise DataError(f"{name}: the {which} split has {end - first} rows, too few for one window of seq_len + "
                            f"pred_len = {seq_len + pred_len}; give a longer series or a shorter window.")
        parts.append(Windows(series, torch.arange(first, last + 1, step), seq_len, pred_len, calendar))
        begin = end
    names = tuple(map(str, range(values.shape[1]) if channels is None else channels))
    return Splits(name, names, *parts, tuple(borders), mean, std,
                  hashlib.sha256(series.numpy().tobytes()).hexdigest())

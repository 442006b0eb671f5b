"""What a forecast costs without tokens: two rules, two linear maps, an MLP, each channel by itself.

The rules have no parameters and are measured without training. The others share the training loop
and the instance normalisation of PatchTST (``revin``), which DLinear does without by default."""

import torch
from torch import nn
from torch.nn import functional as F

from . import linear, revin
from .dropout import Dropout, MaskSource

SEASON = 24  # steps of the seasonal rule where neither settings nor data say: a day of hourly data
KERNEL = 25  # steps of DLinear's moving average


class LastValue(nn.Module):
    """y_t = x_L: the last value seen, for the whole horizon."""

    def __init__(self, s, n_channels: int):
        super().__init__()
        self.pred_len = s.pred_len

    def forward(self, x):
        return x[..., -1:].expand(*x.shape[:-1], self.pred_len)


class SeasonalNaive(nn.Module):
    """y_t = x_{L + t - P k}: the last season of P steps, over and over.

    P is kept with the weights: it may come from the data. ``ValueError`` for a shorter window."""

    def __init__(self, s, n_channels: int):
        super().__init__()
        season = s.season or SEASON
        if s.seq_len < season:
            raise ValueError(f"seq_len={s.seq_len}: seasonal-naive repeats the last {season} steps;"
                             " give it that many.")
        self.pred_len = s.pred_len
        self.register_buffer("season", torch.tensor(season))

    def forward(self, x):
        return x[..., -self.season + torch.arange(self.pred_len, device=x.device) % self.season]


class _Channelwise(nn.Module):
    """``forecast`` [B, C, seq_len] -> [B, C, pred_len], in instance normalisation if ``revin``."""

    def __init__(self, s):
        super().__init__()
        self.s = s

    def forward(self, x):
        if not self.s.revin:
            return self.forecast(x)
        x, mean, std = revin.normalise(x)
        return self.forecast(x) * std + mean


class Linear(_Channelwise):
    """y = W x + b, one matrix for all channels."""

    def __init__(self, s, n_channels: int):
        super().__init__(s)
        self.forecast = nn.Linear(s.seq_len, s.pred_len)


class DLinear(_Channelwise):
    """y = W_s (x - m) + b_s + W_t m + b_t, with m the moving average of x (Zeng et al., AAAI 2023).

    The average is over 25 steps, the ends being padded with the first and the last value."""

    def __init__(self, s, n_channels: int):
        super().__init__(s)
        self.seasonal, self.trend = (nn.Linear(s.seq_len, s.pred_len) for _ in range(2))

    def forecast(self, x):
        m = F.avg_pool1d(F.pad(x, (KERNEL // 2, KERNEL // 2), mode="replicate"), KERNEL, stride=1)
        return self.seasonal(x - m) + self.trend(m)  # m [B, C, seq_len]


class MLP(_Channelwise):
    """The window through ``n_layers`` hidden layers of ``d_ff``: GELU and dropout, no residual."""

    def __init__(self, s, n_channels: int):
        super().__init__(s)
        self.masks = MaskSource()
        widths = [s.seq_len] + [s.d_ff] * s.n_layers
        hidden = [layer for a, b in zip(widths, widths[1:], strict=False)
                  for layer in (linear.Linear(a, b), nn.GELU(), Dropout(s.dropout, self.masks))]
        self.forecast = nn.Sequential(*hidden, linear.Linear(widths[-1], s.pred_len))

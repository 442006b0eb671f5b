"""iTransformer (Liu et al., ICLR 2024): a channel's window is a token; attention mixes channels.

    tokens   h_c = W_e x_c + b_e, for the C normalised channels and the window's calendar features
    encoder  LayerNorm(h + attention(h)), LayerNorm(h + feed-forward(h)), and a LayerNorm at the end
    head     y_c = W_y h_c + b_y, for the channels alone

Tokens have no order: there is no positional encoding, and permuting channels permutes forecasts.
Unlike the original there is no dropout on A, so that all five attentions are trained alike, as in
PatchTST here."""

import torch
from torch import nn

from ..data import CALENDAR
from . import revin
from .dropout import Dropout, MaskSource
from .linear import Linear
from .patchtst import EncoderLayer


class ITransformer(nn.Module):
    """Windows [B, C (+ F), seq_len] -> forecasts [B, C, pred_len].

    The last F = 4 rows: calendar features, if used. Points: those of the layers, as in PatchTST."""

    def __init__(self, s, n_channels: int):
        super().__init__()
        self.s, self.n_channels = s, n_channels
        self.masks = MaskSource()
        T = n_channels + len(CALENDAR) * s.calendar
        self.W_e, self.dropout = Linear(s.seq_len, s.d_model), Dropout(s.dropout, self.masks)
        self.layers = nn.ModuleList(
            EncoderLayer(s, T, self.masks, attention_dropouts=1) for _ in range(s.n_layers))
        self.norm = nn.LayerNorm(s.d_model)
        self.head = Linear(s.d_model, s.pred_len)

    def forward(self, x):
        x, calendar = x[:, :self.n_channels], x[:, self.n_channels:]
        if self.s.revin:
            x, mean, std = revin.normalise(x)
        h, scores = self.dropout(self.W_e(torch.cat([x, calendar], 1))), None  # [B, C (+ F), D]
        for layer in self.layers:
            h, scores = layer(h, scores)
        y = self.head(self.norm(h)[:, :self.n_channels])  # [B, C, pred_len]
        return y * std + mean if self.s.revin else y

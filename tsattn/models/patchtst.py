"""PatchTST (Nie et al., ICLR 2023), channel-independent, with an exchangeable attention.

Settings follow the PatchTST configuration of the paper's authors: end padding, learned positional encoding in +-0.02,
post-norm BatchNorm over batch and tokens, GELU, residual attention, a flatten head shared by the channels.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from . import revin
from .attention import make_attention
from .dropout import Dropout, MaskSource
from .embedding import make_embedding
from .fused import FeedForwardStep
from .points import Point


class BatchNorm(nn.BatchNorm1d):
    """Over batch and tokens: statistics per feature of [N, T, D]."""

    def forward(self, x):
        return super().forward(x.flatten(0, 1)).view_as(x)


class FeedForward(nn.Module):
    """W_2 dropout(gelu(W_1 x)), token by token."""

    def __init__(self, s, source):
        super().__init__()
        self.W_1, self.W_2 = nn.Linear(s.d_model, s.d_ff), nn.Linear(s.d_ff, s.d_model)
        self.dropout = Dropout(s.dropout, source)
        self.hidden = Point()

    def forward(self, x):
        return self.W_2(self.dropout(F.gelu(self.hidden(self.W_1(x)))))  # [N, T, d_ff] inside

    def step(self, x, dropout):
        """x + dropout(feed-forward(x)): the training step on a CPU."""
        x = x.flatten(0, -2)
        bits = self.dropout.bits((len(x), self.W_1.out_features)), dropout.bits(x.shape)
        return FeedForwardStep.apply(x, self.W_1.weight, self.W_1.bias, self.W_2.weight, self.W_2.bias,
                                     bits[0], self.dropout.keep, bits[1], dropout.keep)


class EncoderLayer(nn.Module):
    """x + attention(x), then x + feed-forward(x), each normalised after (post) or before (pre) the sublayer.

    With ``feed_forward=False`` in the settings the second sublayer and its norm are absent.
    """

    def __init__(self, s, n_tokens, source, attention_dropouts: int = 2):
        super().__init__()
        self.pre = s.norm_position == "pre"
        norm = {"batch": BatchNorm, "layer": nn.LayerNorm}[s.norm]
        self.attention, self.norm_1 = make_attention(s, n_tokens), norm(s.d_model)
        # PatchTST drops the attention's output and again the residual branch: two dropouts in a row.
        self.dropout_1 = Dropout(s.dropout, source, times=attention_dropouts)
        self.attention_out, self.feed_forward = Point(), None
        if s.feed_forward:
            self.feed_forward, self.norm_2 = FeedForward(s, source), norm(s.d_model)
            self.dropout_2, self.feed_forward_out = Dropout(s.dropout, source), Point()

    def forward(self, x, scores):
        if self.pre:
            a, scores = self.attention(self.norm_1(x), scores)
            x = self.dropout_1(self.attention_out(a), residual=x)
            if self.feed_forward is None:
                return x, scores
            return self.dropout_2(self.feed_forward_out(self.feed_forward(self.norm_2(x))), residual=x), scores
        # The steps by hand (fused.py) are faster on a CPU, and know neither autocast nor the points.
        fast = self.training and not x.is_cuda and not torch.is_autocast_enabled("cpu")
        if fast and hasattr(self.attention, "step"):
            x, scores = self.attention.step(x, scores, self.dropout_1)
        else:
            a, scores = self.attention(x, scores)
            x = self.dropout_1(self.attention_out(a), residual=x)
        x = self.norm_1(x)
        if self.feed_forward is None:
            return x, scores
        if fast:
            f = self.feed_forward.step(x, self.dropout_2).view_as(x)
        else:
            f = self.dropout_2(self.feed_forward_out(self.feed_forward(x)), residual=x)
        return self.norm_2(f), scores


class PatchTST(nn.Module):
    """Windows [B, C, seq_len] -> forecasts [B, C, pred_len]. Points: ``tokens``, ``position`` and those of the layers."""

    def __init__(self, s, n_channels: int):  # channels are independent: their number changes nothing
        super().__init__()
        self.s, T = s, s.n_tokens
        self.masks = MaskSource()
        self.W_P = make_embedding(s)
        if s.positional_encoding == "learned":
            self.W_pos = nn.Parameter(torch.empty(T, s.d_model).uniform_(-0.02, 0.02))
        self.dropout = Dropout(s.dropout, self.masks)
        self.layers = nn.ModuleList(EncoderLayer(s, T, self.masks) for _ in range(s.n_layers))
        self.norm = nn.LayerNorm(s.d_model) if s.norm_position == "pre" else nn.Identity()
        self.head = nn.Linear(s.d_model * (T if s.head == "flatten" else 1), s.pred_len)
        self.tokens, self.position = Point(), Point()

    def patches(self, x):
        """Normalised windows [N, seq_len] -> patches [N, T, patch_len]; the end is padded with the last value."""
        if self.s.pad_end:
            x = F.pad(x.unsqueeze(1), (0, self.s.stride), mode="replicate").squeeze(1)
        return x.unfold(-1, self.s.patch_len, self.s.stride)

    def embed(self, x):
        """[N, seq_len] -> tokens with their positional encoding [N, T, D]."""
        x = self.tokens(self.W_P(self.patches(x)))
        if self.s.positional_encoding == "learned":
            x = x + self.position(self.W_pos)
        return self.dropout(x)

    def encode(self, x):
        """Tokens [N, T, D] -> tokens after the last layer [N, T, D]."""
        scores = None
        for layer in self.layers:
            x, scores = layer(x, scores)
        return self.norm(x)

    def forward(self, x):
        B, C, _ = x.shape
        if self.s.revin:
            x, mean, std = revin.normalise(x)
        z = self.encode(self.embed(x.flatten(0, 1)))  # [B*C, T, D]: channels are independent
        z = z.flatten(1) if self.s.head == "flatten" else z.mean(1)
        y = self.head(z).view(B, C, -1)
        return y * std + mean if self.s.revin else y

"""PatchTST (Nie et al., ICLR 2023), channel-independent, with an exchangeable attention.

Settings follow the PatchTST configuration of the paper's authors: end padding, learned positional encoding in +-0.02,
post-norm BatchNorm over batch and tokens, GELU, residual attention, a flatten head shared by the channels.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from . import fused, revin
from .attention import make_attention
from .dropout import Dropout, MaskSource
from .embedding import make_embedding
from .points import Point


class BatchNorm(nn.BatchNorm1d):
    """Over batch and tokens: statistics per feature of [N, T, D]."""

    def forward(self, x):
        return super().forward(x.flatten(0, 1)).view_as(x)

    def scale_and_shift(self, mean, var, count: int):
        """(scale, shift) with which the norm of ``count`` tokens is x * scale + shift; updates the running statistics."""
        if count < 2:
            raise ValueError("batch normalisation needs more than one token in a training step; raise batch_size.")
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
        scale = self.weight * (var + self.eps).rsqrt()
        return scale, self.bias - mean * scale


class FeedForward(nn.Module):
    """W_2 dropout(gelu(W_1 x)), token by token."""

    def __init__(self, s, source):
        super().__init__()
        self.W_1, self.W_2 = nn.Linear(s.d_model, s.d_ff), nn.Linear(s.d_ff, s.d_model)
        self.dropout = Dropout(s.dropout, source)
        self.hidden = Point()
        self.rule = fused.FeedForwardRule(s.d_ff, self.dropout)

    def forward(self, x):
        return self.W_2(self.dropout(F.gelu(self.hidden(self.W_1(x)))))  # [N, T, d_ff] inside

    def rule_weights(self):
        return self.W_1.weight, self.W_1.bias, self.W_2.weight, self.W_2.bias


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
        a, scores = self.attention(x, scores)
        x = self.norm_1(self.dropout_1(self.attention_out(a), residual=x))
        if self.feed_forward is None:
            return x, scores
        return self.norm_2(self.dropout_2(self.feed_forward_out(self.feed_forward(x)), residual=x)), scores

    def step(self, u, affine, scores):
        """``forward`` for the training step on a CPU, with x = u * scale + shift and (scale, shift) = ``affine``.

        Returns u and affine of the layer's output, and the scores.
        """
        below = scores if getattr(self.attention, "residual", False) else None
        u, affine, scores = self._sublayer(self.attention, self.dropout_1, self.norm_1, u, affine, below)
        if self.feed_forward is not None:
            u, affine, _ = self._sublayer(self.feed_forward, self.dropout_2, self.norm_2, u, affine, None)
        return u, affine, scores

    @staticmethod
    def _sublayer(f, dropout, norm, u, affine, below):
        batch = isinstance(norm, BatchNorm)
        out, mean, var, scores = fused.Sublayer.apply(f.rule, dropout, batch, u, *affine, below, *f.rule_weights())
        if not batch:
            return norm(out), (None, None), scores
        return out, norm.scale_and_shift(mean, var, out[..., 0].numel()), scores


def through(layers, x):
    """Tokens [N, T, D] through the layers: (u, affine), the result being u * scale + shift for affine = (scale, shift).

    Without a batch normalisation that is still to be applied, affine is (None, None) and the result is u.
    """
    affine, scores = (None, None), None
    # The steps by hand (fused.py) are faster on a CPU. They know neither pre-norm nor autocast nor the points, nor hooks
    # nor parts of a layer whose mode differs from the layer's.
    if layers[0].training and not (layers[0].pre or x.is_cuda or torch.is_autocast_enabled("cpu")):
        x = x.contiguous()
        for layer in layers:
            x, affine, scores = layer.step(x, affine, scores)
    else:
        for layer in layers:
            x, scores = layer(x, scores)
    return x, affine


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
        u, affine = through(self.layers, x)
        return self.norm(fused.normed(u, *affine))

    def forward(self, x):
        B, C, _ = x.shape
        if self.s.revin:
            x, mean, std = revin.normalise(x)
        u, affine = through(self.layers, self.embed(x.flatten(0, 1)))  # [B*C, T, D]: channels are independent
        if self.s.head == "flatten" and affine[0] is not None:  # which means post-norm: self.norm is the identity
            y = fused.Head.apply(u, *affine, self.head.weight, self.head.bias)
        else:
            z = self.norm(fused.normed(u, *affine))
            y = self.head(z.flatten(1) if self.s.head == "flatten" else z.mean(1))
        y = y.view(B, C, -1)
        return y * std + mean if self.s.revin else y

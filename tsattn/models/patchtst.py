"""PatchTST (Nie et al., ICLR 2023), channel-independent, with an exchangeable attention.

Settings follow the PatchTST configuration of the paper's authors: end padding, learned positional
encoding in +-0.02, post-norm BatchNorm over batch and tokens, GELU, residual attention, a flatten
head shared by the channels. N = B * C sequences of T tokens of size D = d_model pass the layers."""

import torch
from torch import nn
from torch.nn import functional as F

from . import revin
from .attention import make_attention
from .dropout import Dropout, MaskSource
from .embedding import make_embedding
from .linear import Linear
from .points import Point

MOST_NAMES = 17  # of the oracle: none, and up to 16 keys


class BatchNorm(nn.BatchNorm1d):
    """Statistics per feature over batch and tokens of [N, T, D]; ``ValueError`` for one token."""

    def forward(self, x):
        if self.training and x.shape[0] * x.shape[1] < 2:
            raise ValueError("batch normalisation needs more than one token in a training step; "
                             "raise batch_size.")
        return super().forward(x.flatten(0, 1)).view_as(x)


class FeedForward(nn.Module):
    """W_2 dropout(gelu(W_1 x)), token by token. Point: ``hidden`` (W_1 x)."""

    def __init__(self, s, source):
        super().__init__()
        self.W_1, self.W_2 = Linear(s.d_model, s.d_ff), Linear(s.d_ff, s.d_model)
        self.dropout = Dropout(s.dropout, source)
        self.hidden = Point()

    def forward(self, x):
        return self.W_2(self.dropout(F.gelu(self.hidden(self.W_1(x)))))  # [N, T, d_ff] inside


class EncoderLayer(nn.Module):
    """x + attention(x), then x + feed-forward(x), each normalised after (post) or before (pre) it.

    With ``feed_forward=False`` in the settings the second sublayer and its norm are absent.
    Points: ``attention_out`` and ``feed_forward_out``, [N, T, D], before dropout and residual."""

    def __init__(self, s, n_tokens, source, attention_dropouts: int = 2):
        super().__init__()
        self.pre = s.norm_position == "pre"
        norm = {"batch": BatchNorm, "layer": nn.LayerNorm}[s.norm]
        self.attention, self.norm_1 = make_attention(s, n_tokens), norm(s.d_model)
        # PatchTST drops attention's output and again the residual branch: two dropouts in a row.
        self.dropout_1 = Dropout(s.dropout, source, times=attention_dropouts)
        self.attention_out, self.feed_forward = Point(), None
        if s.feed_forward:
            self.feed_forward, self.norm_2 = FeedForward(s, source), norm(s.d_model)
            self.dropout_2, self.feed_forward_out = Dropout(s.dropout, source), Point()

    def forward(self, x, scores):
        # a [N, T, D], scores [N, H, T, T]
        a, scores = self.attention(self.norm_1(x) if self.pre else x, scores)
        x = self.dropout_1(self.attention_out(a), residual=x)
        x = x if self.pre else self.norm_1(x)
        if self.feed_forward is None:
            return x, scores
        f = self.feed_forward(self.norm_2(x) if self.pre else x)  # [N, T, D]
        x = self.dropout_2(self.feed_forward_out(f), residual=x)
        return x if self.pre else self.norm_2(x), scores


class PatchTST(nn.Module):
    """Windows [B, C, seq_len] -> forecasts [B, C, pred_len].

    With the ``oracle`` embedding a last channel names what each patch shows (``data.names``), and a
    free vector per name is added to the token.

    Points: ``tokens`` [N, T, D], ``position`` [T, D] and those of the layers."""

    def __init__(self, s, n_channels: int, codebook=None):  # channels are independent: any number
        super().__init__()
        self.s, T = s, s.n_tokens
        self.masks = MaskSource()
        self.W_P = make_embedding(s, codebook)
        if s.positional_encoding == "learned":
            self.W_pos = nn.Parameter(torch.empty(T, s.d_model).uniform_(-0.02, 0.02))
        self.dropout = Dropout(s.dropout, self.masks)
        self.layers = nn.ModuleList(EncoderLayer(s, T, self.masks) for _ in range(s.n_layers))
        self.norm = nn.LayerNorm(s.d_model) if s.norm_position == "pre" else nn.Identity()
        self.head = Linear(s.d_model * (T if s.head == "flatten" else 1), s.pred_len)
        self.tokens, self.position = Point(), Point()
        if s.embedding == "oracle":  # of the scale of the linear embedding's tokens
            self.names = nn.Embedding.from_pretrained(
                torch.randn(MOST_NAMES, s.d_model) / 2, freeze=False)

    def patches(self, x):
        """Windows [N, seq_len] -> patches [N, T, patch_len]; the end repeats the last value."""
        if self.s.pad_end:
            x = F.pad(x.unsqueeze(1), (0, self.s.stride), mode="replicate").squeeze(1)
        return x.unfold(-1, self.s.patch_len, self.s.stride)

    def embed(self, x, names=None):
        """[N, seq_len] -> tokens with their positional encoding [N, T, D]."""
        x = self.W_P(self.patches(x))
        if names is not None:  # [N, seq_len], 0 at all samples but those that name their patch
            x = x + self.names(self.patches(names).amax(-1).round().long())
        x = self.tokens(x)
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
        names = None
        if self.s.embedding == "oracle":
            x, names = x[:, :-1], x[:, -1]
        B, C, _ = x.shape
        if self.s.revin:
            x, mean, std = revin.normalise(x)
        z = self.encode(self.embed(x.flatten(0, 1), names))  # [B*C, T, D]: channels are independent
        y = self.head(z.flatten(1) if self.s.head == "flatten" else z.mean(1)).view(B, C, -1)
        return y * std + mean if self.s.revin else y

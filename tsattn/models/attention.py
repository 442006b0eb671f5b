"""Multi-head attention, and what remains of it when the matrix A is not computed from the tokens.

All variants compute  out = W_o concat_h(A_h V_h),  V = W_v x,  and differ in A alone:

    softmax   A = softmax(Q K' / sqrt(d_k) + scores of the layer below)
    identity  A = I           each token keeps its own value
    zero      A = 0           nothing passes; W_o's bias is all that is left
    mean      A = 1/T         every token receives the same average
    fixed     A learned, the same for every input, started at 1/T

Every variant owns the same W_q, W_k, W_v, W_o, so that models of one seed start from equal weights;
what a variant does not need it does not compute, and the weights it leaves idle are counted by
``tsattn.models.count_parameters``."""

import torch
from torch import nn

from .linear import Linear, linear
from .points import Point


class Attention(nn.Module):
    """``forward(x [N, T, D], scores or None) -> (out [N, T, D], scores [N, H, T, T] or None)``."""

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads, self.d_k = n_heads, d_model // n_heads
        self.W_q, self.W_k, self.W_v, self.W_o = (Linear(d_model, d_model) for _ in range(4))

    def heads(self, x):
        """[N, T, D] -> [N, H, T, d_k]"""
        return x.unflatten(-1, (self.n_heads, self.d_k)).transpose(1, 2)


class SoftmaxAttention(Attention):
    """A = softmax(Q K' / sqrt(d_k)), plus, if ``residual``, the scores of the layer below.

    Points: ``scores`` (before the softmax) and ``weights`` (A), both [N, H, T, T]."""

    def __init__(self, d_model: int, n_heads: int, residual: bool):
        super().__init__(d_model, n_heads)
        self.residual = residual
        self.scores, self.weights = Point(), Point()

    def forward(self, x, scores=None):
        scale = self.d_k**-0.5  # applied to W_q, which has fewer numbers than the scores
        W = torch.cat([self.W_q.weight * scale, self.W_k.weight, self.W_v.weight])  # [3 D, D]
        b = torch.cat([self.W_q.bias * scale, self.W_k.bias, self.W_v.bias])
        q, k, v = (self.heads(z) for z in linear(x, W, b).chunk(3, -1))  # each [N, H, T, d_k]
        logits = q @ k.transpose(-1, -2)  # [N, H, T, T]
        if self.residual and scores is not None:
            logits = logits + scores
        A = self.weights(self.scores(logits).softmax(-1))
        return self.W_o((A @ v).transpose(1, 2).flatten(2)), logits


class IdentityAttention(Attention):
    """A = I."""

    def forward(self, x, scores=None):
        return self.W_o(self.W_v(x)), None


class ZeroAttention(Attention):
    """A = 0."""

    def forward(self, x, scores=None):
        return self.W_o.bias.expand_as(x), None


class MeanAttention(Attention):
    """A = 1/T. The mean of the values is the value of the mean: one token is projected, not T."""

    def forward(self, x, scores=None):
        return self.W_o(self.W_v(x.mean(1, keepdim=True))).expand_as(x), None  # mean [N, 1, D]


class FixedAttention(Attention):
    """A is a parameter [H, T, T], the same for every window. Point: ``weights`` (A)."""

    def __init__(self, d_model: int, n_heads: int, n_tokens: int):
        super().__init__(d_model, n_heads)
        self.A = nn.Parameter(torch.full((n_heads, n_tokens, n_tokens), 1 / n_tokens))
        self.weights = Point()

    def forward(self, x, scores=None):
        v = self.W_v(x).unflatten(-1, (self.n_heads, self.d_k))  # [N, T, H, d_k]
        return self.W_o(torch.einsum("hts,nshd->nthd", self.weights(self.A), v).flatten(2)), None


VARIANTS = {"softmax": SoftmaxAttention, "identity": IdentityAttention, "zero": ZeroAttention,
            "mean": MeanAttention, "fixed": FixedAttention}


def make_attention(s, n_tokens: int) -> Attention:
    """The variant that ``s.attention`` names, for sequences of ``n_tokens``."""
    extra = {"softmax": [s.residual_attention], "fixed": [n_tokens]}.get(s.attention, [])
    return VARIANTS[s.attention](s.d_model, s.n_heads, *extra)

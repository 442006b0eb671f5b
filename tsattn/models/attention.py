"""Multi-head attention, and what remains of it when the matrix A is not computed from the tokens.

All variants compute  out = W_o concat_h(A_h V_h),  V = W_v x,  and differ in A alone:

    softmax   A = softmax(Q K' / sqrt(d_k) + scores of the layer below)
    identity  A = I           each token keeps its own value
    zero      A = 0           nothing passes; W_o's bias is all that is left
    mean      A = 1/T         every token receives the same average
    fixed     A learned, the same for every input, started at 1/T

Every variant owns the same W_q, W_k, W_v, W_o, so that models of one seed start from equal weights; what a variant does
not need it does not compute, and the weights it leaves idle are counted by ``tsattn.models.count_parameters``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from . import fused
from .points import Point


class Attention(nn.Module):
    """Interface: ``forward(x [N, T, D], scores or None) -> (out [N, T, D] or broadcastable to it, scores or None)``.

    ``rule`` is the same for the training step on a CPU, and ``rule_weights`` are what it works with (fused.py).
    """

    Rule = fused.IdentityRule

    def __init__(self, d_model: int, n_heads: int, n_tokens: int):
        super().__init__()
        self.rule = self.Rule(n_heads)
        self.n_heads, self.d_k, self.n_tokens = n_heads, d_model // n_heads, n_tokens
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(d_model, d_model) for _ in range(4))

    def split(self, x):
        """[N, T, D] -> [N, H, T, d_k]"""
        return x.unflatten(-1, (self.n_heads, self.d_k)).transpose(1, 2)

    def join(self, x):
        """[N, H, T, d_k] -> [N, T, D]"""
        return x.transpose(1, 2).flatten(2)

    def rule_weights(self):
        return self.W_v.weight, self.W_v.bias, self.W_o.weight, self.W_o.bias


class SoftmaxAttention(Attention):
    Rule = fused.SoftmaxRule

    def __init__(self, d_model: int, n_heads: int, n_tokens: int, residual: bool = True):
        super().__init__(d_model, n_heads, n_tokens)
        self.residual = residual
        self.scores, self.weights = Point(), Point()

    def projections(self):
        """Weights [3 D, D] and biases [3 D] of query, key and value; 1 / sqrt(d_k) is applied here, to fewer numbers."""
        scale = self.d_k**-0.5
        return (torch.cat([self.W_q.weight * scale, self.W_k.weight, self.W_v.weight]),
                torch.cat([self.W_q.bias * scale, self.W_k.bias, self.W_v.bias]))

    def forward(self, x, scores=None):
        q, k, v = (self.split(z) for z in F.linear(x, *self.projections()).chunk(3, -1))
        logits = q @ k.transpose(-1, -2)  # [N, H, T, T]
        if self.residual and scores is not None:
            logits = logits + scores
        A = self.weights(self.scores(logits).softmax(-1))
        return self.W_o(self.join(A @ v)), logits

    def rule_weights(self):
        return *self.projections(), self.W_o.weight, self.W_o.bias


class IdentityAttention(Attention):
    def forward(self, x, scores=None):
        return self.W_o(self.W_v(x)), None


class ZeroAttention(Attention):
    Rule = fused.ZeroRule

    def forward(self, x, scores=None):
        return self.W_o.bias.expand_as(x), None

    def rule_weights(self):
        return self.W_o.bias,


class MeanAttention(Attention):
    Rule = fused.MeanRule

    def forward(self, x, scores=None):
        # The mean of the values is the value of the mean: one token is projected instead of T.
        return self.W_o(self.W_v(x.mean(1, keepdim=True))).expand_as(x), None


class FixedAttention(Attention):
    Rule = fused.FixedRule

    def __init__(self, d_model: int, n_heads: int, n_tokens: int):
        super().__init__(d_model, n_heads, n_tokens)
        self.A = nn.Parameter(torch.full((n_heads, n_tokens, n_tokens), 1 / n_tokens))
        self.weights = Point()

    def forward(self, x, scores=None):
        v = self.W_v(x).unflatten(-1, (self.n_heads, self.d_k))  # [N, S, H, d_k]
        return self.W_o(torch.einsum("hts,nshd->nthd", self.weights(self.A), v).flatten(2)), None

    def rule_weights(self):
        return *super().rule_weights(), self.A


VARIANTS = {"softmax": SoftmaxAttention, "identity": IdentityAttention, "zero": ZeroAttention, "mean": MeanAttention,
            "fixed": FixedAttention}


def make_attention(settings, n_tokens: int) -> Attention:
    """The variant that ``settings.attention`` names, for sequences of ``n_tokens``."""
    extra = {"residual": settings.residual_attention} if settings.attention == "softmax" else {}
    return VARIANTS[settings.attention](settings.d_model, settings.n_heads, n_tokens, **extra)

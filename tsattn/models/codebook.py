"""A discrete codebook, the paper's cure: patches [..., P] -> codes [..., L] -> tokens [..., D],
each patch by itself. It is fitted before training (``tsattn.tokenizers``) and then frozen."""

import torch
from torch import nn
from torch.nn import functional as F

HIDDEN = 64  # units of the hidden layer of a VQ-VAE's encoder, and of its decoder


class Codebook(nn.Module):
    """Each of L levels names, by one of K codes, what the levels before it have left.

    ``vectors`` [L, K, P]; ``counts`` [L, K] of training patches; ``error`` [L]: their mean squared
    distance, summed over P. ``network``: as in a VQ-VAE (van den Oord, 2017; RQ: Lee, 2022)."""

    def __init__(self, patch_len: int, codes: int, levels: int, network: bool = False):
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # draws nothing from the model's own start
            self.encoder, self.decoder = (
                nn.Sequential(nn.Linear(patch_len, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, patch_len))
                if network else nn.Identity() for _ in range(2))
        self.register_buffer("vectors", torch.zeros(levels, codes, patch_len))
        self.register_buffer("counts", torch.ones(levels, codes))
        self.register_buffer("error", torch.ones(levels))
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, x, soft: bool = False):
        """Patches [..., P] -> codes [..., L] of the nearest vectors; ``soft``: weights [..., L, K],
        the posterior of a mixture of Gaussians around them, of variance error / P per sample."""
        left, found = self.encoder(x), []
        for vectors, sharp in zip(self.vectors, x.shape[-1] / (2 * self.error), strict=True):
            distance = vectors.square().sum(-1) - 2 * left @ vectors.T  # squared, less |left|^2
            found.append((-sharp * distance).softmax(-1) if soft else distance.argmin(-1))
            left = left - (found[-1] @ vectors if soft else vectors[found[-1]])
        return torch.stack(found, -2 if soft else -1)

    @torch.no_grad()
    def decode(self, codes):
        """Codes [..., L] -> patches [..., P]."""
        return self.decoder(sum(v[codes[..., level]] for level, v in enumerate(self.vectors)))


class CodeEmbedding(nn.Module):
    """``decoded``: the linear embedding of the decoded patch. Otherwise the sum over levels of its
    codes' rows of a free table [L, K, D], which starts at the linear embedding of the code vectors
    (``code-init``) or at random, as widely spread as that (``code``, ``code-soft``)."""

    def __init__(self, s, codebook: Codebook):
        super().__init__()
        self.codebook, self.how = codebook, s.embedding
        linear = nn.Linear(s.patch_len, s.d_model)  # drawn in any case: the rest starts as with it
        start = codebook.vectors @ linear.weight.detach().T
        if self.how == "decoded":
            self.linear = linear
        elif self.how == "code-init":
            start[0] += linear.bias.detach()
        else:
            share = (codebook.counts / codebook.counts.sum(1, keepdim=True)).unsqueeze(-1)
            spread = start - (share * start).sum(1, keepdim=True)  # [L, K, D], share [L, K, 1]
            variance = (share * spread.square()).sum() / s.d_model / s.code_levels  # of one level
            draw = torch.Generator().manual_seed(s.seed)
            start = torch.randn(start.shape, generator=draw) * variance.sqrt()
        self.table = nn.Parameter(start) if self.how != "decoded" else None

    def forward(self, x):
        if self.how == "code-soft":
            return torch.einsum("...lk,lkd->...d", self.codebook(x, soft=True), self.table)
        codes = self.codebook(x)
        if self.how == "decoded":
            return self.linear(self.codebook.decode(codes))
        return sum(F.embedding(c, t) for c, t in zip(codes.unbind(-1), self.table, strict=True))

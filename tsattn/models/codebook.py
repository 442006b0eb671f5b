"""A discrete codebook, the paper's cure: patches [..., P] -> codes [..., L] -> tokens [..., D],
each patch by itself. It is fitted before training (``tsattn.tokenizers``) and then frozen."""

import torch
from torch import nn
from torch.nn import functional as F

HIDDEN = 64  # units of the hidden layer of a VQ-VAE's encoder, and of its decoder


class Codebook(nn.Module):
    """Each of L levels names, by one of K codes, what the levels before it have left.

    ``vectors`` [L, K, P]; ``counts`` [L, K]: training patches of each; ``error`` [L]: their mean
    squared distance to it, summed over P. ``network``: encoder and decoder are those of a VQ-VAE
    (van den Oord et al., 2017; Lee et al., 2022, for several levels)."""

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
        for vectors, error in zip(self.vectors, self.error, strict=True):
            # squared distance less |left|^2, which is the same for every vector: [..., K]
            distance = vectors.square().sum(-1) - 2 * left @ vectors.T
            sharp = x.shape[-1] / (2 * error)
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
            variance = (share * spread.square()).sum() / s.d_model
            start = torch.randn(start.shape, generator=torch.Generator().manual_seed(s.seed))
            start *= (variance / s.code_levels).sqrt()  # so that the sum over levels has it
        self.table = nn.Parameter(start) if self.how != "decoded" else None

    def forward(self, x):
        codes = self.codebook(x, soft=self.how == "code-soft")
        if self.how == "decoded":
            return self.linear(self.codebook.decode(codes))
        if self.how == "code-soft":
            return torch.einsum("...lk,lkd->...d", codes, self.table)
        return sum(F.embedding(c, t) for c, t in zip(codes.unbind(-1), self.table, strict=True))

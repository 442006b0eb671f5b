"""A discrete codebook: patches [..., P] -> codes [..., L] -> tokens [..., D], each patch by itself.

What the paper proposes for the latent space. A codebook is fitted before training (``tsattn.tokenizers``)
and then frozen; L levels of K codes, each level names what the levels before it have left.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

HIDDEN = 64  # units of the hidden layer of a VQ-VAE's encoder, and of its decoder


class Codebook(nn.Module):
    """Residual quantiser of patches (VQ-VAE, van den Oord et al., 2017; RQ-VAE, Lee et al., 2022).

    ``vectors`` [L, K, P] are the code vectors, ``counts`` [L, K] says how many training patches got each,
    and ``error`` [L] is the mean squared distance to the nearest vector, summed over P. With ``network``
    encoder and decoder are the networks of a VQ-VAE; without, the patch itself is coded.
    """

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

    @staticmethod
    def energy(z, vectors):
        """Squared distance of z [..., P] to vectors [K, P], less what does not depend on them: [..., K]."""
        return vectors.square().sum(-1) - 2 * z @ vectors.T

    @torch.no_grad()
    def forward(self, x):
        """Patches [..., P] -> codes [..., L]."""
        left, codes = self.encoder(x), []
        for vectors in self.vectors:
            codes.append(self.energy(left, vectors).argmin(-1))
            left = left - vectors[codes[-1]]
        return torch.stack(codes, -1)

    @torch.no_grad()
    def soft(self, x):
        """Patches [..., P] -> weights [..., L, K] of the codes.

        The posterior of a mixture of Gaussians around the code vectors, with variance error / P per sample.
        """
        left, weights = self.encoder(x), []
        for vectors, error in zip(self.vectors, self.error):
            weights.append((-self.energy(left, vectors) * len(vectors[0]) / (2 * error)).softmax(-1))
            left = left - weights[-1] @ vectors
        return torch.stack(weights, -2)

    @torch.no_grad()
    def decode(self, codes):
        """Codes [..., L] -> patches [..., P]."""
        return self.decoder(sum(v[codes[..., level]] for level, v in enumerate(self.vectors)))


class DecodedEmbedding(nn.Module):
    """The linear embedding of the quantised patch."""

    def __init__(self, s, codebook: Codebook):
        super().__init__()
        self.linear, self.codebook = nn.Linear(s.patch_len, s.d_model), codebook

    def forward(self, x):
        return self.linear(self.codebook.decode(self.codebook(x)))


class CodeEmbedding(nn.Module):
    """A free table [L, K, D]: a token is the sum over levels of the vector of its code.

    ``code-init`` starts at the linear embedding of the code vectors, ``code`` and ``code-soft`` at random,
    at the scale at which those tokens spread. Everything else of the model starts as with a linear embedding.
    """

    def __init__(self, s, codebook: Codebook):
        super().__init__()
        self.codebook, self.soft, linear = codebook, s.embedding == "code-soft", nn.Linear(s.patch_len, s.d_model)
        start = codebook.vectors @ linear.weight.detach().T  # [L, K, D]
        if s.embedding == "code-init":
            start[0] += linear.bias.detach()
        else:
            share = (codebook.counts / codebook.counts.sum(1, keepdim=True)).unsqueeze(-1)  # [L, K, 1]
            variance = (share * (start - (share * start).sum(1, keepdim=True)).square()).sum() / s.d_model
            draw = torch.randn(start.shape, generator=torch.Generator().manual_seed(s.seed))
            start = draw * (variance / s.code_levels).sqrt()  # so that the sum over levels has it
        self.table = nn.Parameter(start)

    def forward(self, x):
        if self.soft:
            return torch.einsum("...lk,lkd->...d", self.codebook.soft(x), self.table)
        return sum(F.embedding(c, t) for c, t in zip(self.codebook(x).unbind(-1), self.table))

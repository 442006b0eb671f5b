"""Dropout whose masks are drawn in bulk.

PyTorch draws Bernoulli masks one by one in a single thread, which takes a third of a training step on a CPU. Here a
mask is the comparison of 16 random bits, which SFC64 delivers about twenty times as fast, with the threshold nearest
to the requested probability; the kept values are scaled by the exact inverse of the probability so obtained, so the
expectation is unchanged. On a GPU PyTorch's own dropout is used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class MaskSource:
    """One stream of random bits shared by all dropout layers of a model; ``seed`` restarts it."""

    def __init__(self):
        self.seed(0)

    def seed(self, *entropy: int) -> None:
        self._bits = np.random.Generator(np.random.SFC64(entropy))

    def factor(self, shape, dropped: int) -> torch.Tensor:
        """Mask of ``shape``: 0 with probability p = ``dropped`` / 65536, else 1 / (1 - p)."""
        n = int(np.prod(shape))
        words = self._bits.integers(0, 2**64, size=(n + 3) // 4, dtype=np.uint64)
        bits = torch.from_numpy(words.view(np.int16)[:n]).view(*shape)
        return (bits >= dropped - 2**15).to(torch.float32).mul_(2**16 / (2**16 - dropped))


class Dropout(nn.Module):
    """Inverted dropout with probability ``p`` in training, identity in evaluation; adds ``residual`` if one is given.

    ``times`` dropouts in a row are one with keep probability (1 - p) ** times.
    """

    def __init__(self, p: float, source: MaskSource, times: int = 1):
        super().__init__()
        self.p, self.source = 1 - (1 - p) ** times, source
        self.dropped = round(self.p * 2**16)

    def forward(self, x, residual=None):
        if not self.training or not self.dropped:
            return x if residual is None else residual + x
        if x.is_cuda:
            x = nn.functional.dropout(x, self.p)
            return x if residual is None else residual + x
        factor = self.source.factor(x.shape, self.dropped)
        return x * factor if residual is None else torch.addcmul(residual, x, factor)

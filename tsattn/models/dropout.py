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

    def bits(self, shape) -> torch.Tensor:
        """Random int16 numbers, uniform over their whole range."""
        n = int(np.prod(shape))
        words = self._bits.integers(0, 2**64, size=(n + 3) // 4, dtype=np.uint64)
        return torch.from_numpy(words.view(np.int16)[:n]).view(*shape)


class Dropout(nn.Module):
    """Inverted dropout with probability ``p`` in training, identity in evaluation; adds ``residual`` if one is given.

    ``times`` dropouts in a row are one with keep probability (1 - p) ** times.
    """

    def __init__(self, p: float, source: MaskSource, times: int = 1):
        super().__init__()
        self.p, self.source = 1 - (1 - p) ** times, source
        self.dropped = round(self.p * 2**16)

    def bits(self, shape):
        """The random bits of one mask, None if nothing is dropped."""
        return self.source.bits(shape) if self.dropped else None

    def factor(self, bits, like):
        """0 with probability p = ``dropped`` / 65536, else 1 / (1 - p), in the shape and type of ``like``."""
        # Comparing into a float tensor is eight times faster than comparing and then converting.
        return torch.ge(bits, self.dropped - 2**15, out=torch.empty_like(like)).mul_(2**16 / (2**16 - self.dropped))

    def keep(self, x, bits):
        """``x`` times ``factor``, in place; ``x`` itself if there are no ``bits``."""
        return x if bits is None else x.mul_(self.factor(bits, x))

    def forward(self, x, residual=None):
        if self.training and x.is_cuda:
            x = nn.functional.dropout(x, self.p)
        elif self.training and self.dropped:
            factor = self.factor(self.bits(x.shape), x if residual is None else residual)
            return x * factor if residual is None else torch.addcmul(residual, x, factor)
        return x if residual is None else residual + x

"""Models: windows [B, C, seq_len] -> forecasts [B, C, pred_len]; costs, and how to match them."""

from functools import cache

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..data import CALENDAR
from . import baselines
from .itransformer import ITransformer
from .patchtst import PatchTST

MODELS = {"PatchTST": PatchTST, "iTransformer": ITransformer, "MLP": baselines.MLP,
          "linear": baselines.Linear, "DLinear": baselines.DLinear,
          "last-value": baselines.LastValue, "seasonal-naive": baselines.SeasonalNaive}


def build(settings, n_channels: int, *codebook) -> torch.nn.Module:
    """The model of ``settings``, from its seed and any ``codebook``; global random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return MODELS[settings.model](settings, n_channels, *codebook)


def _with_input(settings, n_channels: int):
    """The model in evaluation mode, and one window."""
    more = len(CALENDAR) * settings.calendar + (settings.embedding == "oracle")
    return build(settings, n_channels).eval(), torch.rand(1, n_channels + more, settings.seq_len)


def count_parameters(settings, n_channels: int = 1) -> tuple[int, int]:
    """Number of parameters in total, and of those the forecast uses (that receive a gradient)."""
    model, x = _with_input(settings, n_channels)
    total = sum(p.numel() for p in model.parameters())
    if total:
        model(x).square().sum().backward()
    return total, sum(p.numel() for p in model.parameters() if p.grad is not None)


def count_multiply_adds(settings, n_channels: int = 1) -> int:
    """Multiply-adds in the matrix products of one window's forecast, by PyTorch's FLOP counter."""
    model, x = _with_input(settings, n_channels)
    with FlopCounterMode(display=False) as counter:
        model.double()(x.double())  # which takes the products that it knows
    return counter.get_total_flops() // 2


COSTS = {"parameters": lambda s, n_channels: count_parameters(s, n_channels)[1],
         "multiply-adds": count_multiply_adds}


@cache
def match(settings, target, cost: str = "parameters", n_channels: int = 1):
    """``settings`` with the ``d_ff`` whose cost comes closest to that of the settings ``target``.

    ``cost`` is "parameters" (those used) or "multiply-adds". Both are polynomials in d_ff, of
    degree 1 or (MLP) 2, so three small models determine them. Raises ``ValueError`` where even
    d_ff = 1 costs more."""
    wanted = COSTS[cost](target, n_channels)
    small = [COSTS[cost](settings.but(d_ff=d_ff), n_channels) for d_ff in (1, 2, 3)]
    if small[0] > wanted:
        raise ValueError(f"d_ff: even at 1 {settings.model} has more than the {wanted:,} {cost} of "
                         f"{target.run_id}.")
    square = (small[2] - 2 * small[1] + small[0]) / 2
    slope = small[1] - small[0] - 3 * square
    excess = np.poly1d([square, slope, small[0] - square - slope - wanted])
    below = int(max(root.real for root in excess.roots))
    return settings.but(d_ff=min((max(below, 1), below + 1), key=lambda d_ff: abs(excess(d_ff))))

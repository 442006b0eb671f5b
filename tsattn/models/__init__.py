"""Models: windows [B, C, seq_len] -> forecasts [B, C, pred_len]."""

from __future__ import annotations

import torch

from .patchtst import PatchTST

MODELS = {"PatchTST": PatchTST}

__all__ = ["MODELS", "build", "count_parameters"]


def build(settings, n_channels: int) -> torch.nn.Module:
    """The model of ``settings``, initialised from its seed; PyTorch's global random state is left untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return MODELS[settings.model](settings)


def count_parameters(settings, n_channels: int = 1) -> tuple[int, int]:
    """Number of parameters in total, and of those that the forecast depends on (that receive a gradient)."""
    model = build(settings, n_channels).eval()
    model(torch.randn(2, n_channels, settings.seq_len)).square().sum().backward()
    total = sum(p.numel() for p in model.parameters())
    return total, sum(p.numel() for p in model.parameters() if p.grad is not None)

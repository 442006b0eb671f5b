"""Reversible instance normalisation (Kim et al., ICLR 2022), without affine parameters."""

import torch


def normalise(x, eps: float = 1e-5):
    """Windows [B, C, L] to mean 0, standard deviation 1 over L; returned with these, [B, C, 1]."""
    mean = x.mean(-1, keepdim=True)
    std = torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + eps)
    return (x - mean) / std, mean, std

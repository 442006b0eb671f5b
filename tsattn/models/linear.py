"""Linear maps by oneDNN, the second of PyTorch's two libraries for products of matrices. The first,
MKL, uses half the width of AMD's AVX-512 units: a training step takes 1.4 to 1.7 times as long."""

import torch
from torch import nn
from torch.nn import functional as F


class _Product(torch.autograd.Function):
    """y = x W' + b, and  dx = dy W,  dW = dy' x,  db = sum dy."""
    @staticmethod
    def forward(ctx, x, W, b):
        ctx.save_for_backward(x, W)
        return _times(x, W, b)

    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        rows = dy.flatten(0, -2)
        dx = _times(dy, W.t()) if ctx.needs_input_grad[0] else None
        return dx, _times(rows.t(), x.flatten(0, -2).t()), rows.sum(0)


def _times(x, W, b=None):
    return torch.ops.mkldnn._linear_pointwise(x, W, b, "none", [], "")


def linear(x, W, b):
    """x W' + b: [..., D] -> [..., O] with W [O, D], b [O]; by MKL where oneDNN is no gain."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.backends.mkldnn.enabled
    plain = x.dtype == torch.float32 and not (x.is_cuda or torch.is_autocast_enabled("cpu"))
    return (_Product.apply if wide and plain else F.linear)(x, W, b)


class Linear(nn.Linear):
    def forward(self, x):
        return linear(x, self.weight, self.bias)

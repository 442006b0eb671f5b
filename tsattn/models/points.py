"""Named places of a model at which an intervention can act."""

from torch import nn


class Point(nn.Module):
    """Passes a tensor through, unless an intervention sets ``act`` to a function tensor -> tensor.

    It is found by its name in ``model.named_modules()``, e.g. ``layers.0.attention.weights``."""

    def __init__(self):
        super().__init__()
        self.act = None

    def forward(self, x):
        return x if self.act is None else self.act(x)

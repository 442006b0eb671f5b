"""Change a trained model inside a ``with`` block, at named points, and restore it exactly.

    with perturb_attention(model, smoothing=0.5, noise=1.0, layers=[0]):
        evaluate(model, windows)

Every block restores what it found, also when it is left by an exception; blocks can be nested if
they act at different points. Strength 0 changes no bit. ``generator`` is a ``torch.Generator``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from .models.points import Point


def _normal(x, generator):
    """Standard normal numbers of the shape of ``x``, drawn on the CPU."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def _points(model, names) -> dict:
    points = {name: module for name, module in model.named_modules() if isinstance(module, Point)}
    for name in names:
        if name not in points:
            raise ValueError(f"{name}: no such point; this model has {', '.join(points)}.")
        if model.training:
            raise ValueError(f"{name}: the model is in training mode; call model.eval() first.")
    return points


@contextmanager
def act(model, actions: dict):
    """Let functions tensor -> tensor act at the points of ``model`` with these names.

    Raises ``ValueError`` for a name that is no point of the model, for a point at which something
    acts already, and for a model in training mode.
    """
    points = _points(model, actions)
    for name in actions:
        if points[name].act is not None:
            raise ValueError(f"{name}: another intervention acts here already; leave its block.")
    try:
        for name, action in actions.items():
            points[name].act = action
        yield model
    finally:
        for name in actions:
            points[name].act = None


@contextmanager
def observe(model, names: list[str]) -> Iterator[dict]:
    """Keep what passes the points ``names``: a list of tensors, one per forward pass.

    What an intervention makes of it is kept where one acts.
    """
    seen: dict = {name: [] for name in names}
    points = _points(model, names)
    hooks = [points[name].register_forward_hook(
        lambda _, __, out, name=name: seen[name].append(out.detach())) for name in names]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _in_layers(model, actions: dict, layers):
    """``act`` at points of every one of ``layers`` (default: all); ``actions`` has their names
    within a layer."""
    layers = range(len(model.layers)) if layers is None else layers
    return act(model, {f"layers.{i}.{name}": action for i in layers
                       for name, action in actions.items()})


def _noise(strength, generator):
    """The action x + strength * Gaussian, in standard deviations of x over its last axis."""
    def add(x):
        # Tensor.std is thirty times slower over a last axis this short.
        centred = x - x.mean(-1, keepdim=True)
        scale = centred.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return x + strength * scale * _normal(x, generator)

    return add


def perturb_attention(model, smoothing: float = 0.0, noise: float = 0.0, *, layers=None,
                      uniform: str = "mean", generator=None):
    """A' = (1 - smoothing) softmax(scores + epsilon) + smoothing U, in ``layers`` (default: all).

    ``uniform`` is "mean" for U = 1/T, whose rows sum to one, or "ones" for U = 1. The noise epsilon
    is Gaussian with standard deviation ``noise`` times that of the scores of the row. It does not
    travel on to the scores of the next layer (residual attention).
    """
    if uniform not in ("mean", "ones"):
        raise ValueError(f"uniform={uniform!r}: choose mean or ones.")
    actions: dict = {}
    if noise:
        actions["attention.scores"] = _noise(noise, generator)
    if smoothing:
        actions["attention.weights"] = lambda A: (
            (1 - smoothing) * A + smoothing * (1 / A.shape[-1] if uniform == "mean" else 1.0))
    return _in_layers(model, actions, layers)


def perturb_feed_forward(model, smoothing: float = 0.0, noise: float = 0.0, *, layers=None,
                         generator=None):
    """Noise on the hidden pre-activation, and the output moved towards its mean over the features.

    out' = (1 - smoothing) out + smoothing mean_features(out); the noise is Gaussian with standard
    deviation ``noise`` times that of the token's pre-activations.
    """
    actions: dict = {}
    if noise:
        actions["feed_forward.hidden"] = _noise(noise, generator)
    if smoothing:
        actions["feed_forward_out"] = (
            lambda f: (1 - smoothing) * f + smoothing * f.mean(-1, keepdim=True))
    return _in_layers(model, actions, layers)


PERTURB = {"attention": perturb_attention, "feed_forward": perturb_feed_forward}


def replace_attention(model, attention: str, *, layers=None):
    """Give a model trained with softmax the A of another variant: identity, zero or mean."""
    matrices = {"identity": lambda A: torch.eye(A.shape[-1]).to(A).expand_as(A),
                "zero": torch.zeros_like,
                "mean": lambda A: torch.full_like(A, 1 / A.shape[-1])}
    if attention not in matrices:
        raise ValueError(f"attention={attention!r}: choose one of {', '.join(matrices)}.")
    return _in_layers(model, {"attention.weights": matrices[attention]}, layers)


def give_attention(model, given: list[torch.Tensor], *, layers=None):
    """Have every layer use its matrix in ``given`` ([N, H, T, T] or [H, T, T]) instead of its own.

    The weights are replaced after the softmax. With residual attention the scores of a layer still
    go up to the next one, where they have no effect if the weights there are replaced as well.
    """
    return act(model, {f"layers.{i}.attention.weights": A.expand_as for i, A in enumerate(given)
                       if layers is None or i in layers})


def remove(model, sublayer: str, *, layers=None):
    """Take the output of ``attention`` or ``feed_forward`` away entirely, biases included."""
    return _in_layers(model, {f"{sublayer}_out": torch.zeros_like}, layers)


def disturb_output(model, sublayer: str, size: float, *, layers=None, generator=None):
    """Add Gaussian noise to a sublayer's output: ||noise|| = ``size`` ||output||, per token."""
    def add(x):
        delta = _normal(x, generator)
        return x + size * x.norm(dim=-1, keepdim=True) * delta / delta.norm(dim=-1, keepdim=True)

    return _in_layers(model, {f"{sublayer}_out": add}, layers)


def permute_tokens(model, order, *, with_positions: bool):
    """Put the tokens into another ``order`` [T]; their encodings travel along or stay in place."""
    if sorted(order.tolist()) != list(range(model.s.n_tokens)):
        raise ValueError(f"order: must hold every token 0 to {model.s.n_tokens - 1} exactly once.")
    actions = {"tokens": lambda x: x[:, order]}
    if with_positions:
        actions["position"] = lambda w: w[order]
    return act(model, actions)


@torch.no_grad()
def relative_size(model, windows, sublayer: str, change: Callable, batch_size: int = 64) -> float:
    """How far ``change`` moves the output of a sublayer, its input unchanged, mean over layers.

    ||delta|| / ||output||, the norms over all tokens of ``windows``; ``change(layers=[i])`` is an
    intervention in one layer.
    """
    ratios = []
    for i in range(len(model.layers)):
        point, moved, size = f"layers.{i}.{sublayer}_out", 0.0, 0.0
        for start in range(0, len(windows), batch_size):
            x, _ = windows.batch(slice(start, start + batch_size))
            with observe(model, [point]) as seen:
                model(x)
                with change(layers=[i]):
                    model(x)
            clean, changed = seen[point]
            moved += (changed - clean).square().sum().item()
            size += clean.square().sum().item()
        ratios.append((moved / size) ** 0.5)
    return float(np.mean(ratios))

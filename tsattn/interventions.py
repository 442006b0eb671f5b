"""Change a trained model for the length of a ``with`` block, at named points, and restore it exactly.

    with perturb_attention(model, smoothing=0.5, noise=1.0, layers=[0]):
        evaluate(model, windows)

Every block restores what it found, also when it is left by an exception; blocks can be nested if they act at different
points. Strength 0 changes no bit.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch

from .models.points import Point


@contextmanager
def act(model, actions: dict):
    """Let functions tensor -> tensor act at the points of ``model`` with these names.

    Raises ``ValueError`` for a name that is no point of the model, and for a point at which something acts already.
    """
    points = {name: module for name, module in model.named_modules() if isinstance(module, Point)}
    for name in actions:
        if name not in points:
            raise ValueError(f"{name}: no such point; this model has {', '.join(points)}.")
        if points[name].act is not None:
            raise ValueError(f"{name}: another intervention acts here already; leave its block first.")
    try:
        for name, action in actions.items():
            points[name].act = action
        yield model
    finally:
        for name in actions:
            points[name].act = None


def _layers(model, layers) -> list[int]:
    chosen = range(len(model.layers)) if layers is None else layers
    for i in chosen:
        if not 0 <= i < len(model.layers):
            raise ValueError(f"layers={layers}: this model has layers 0 to {len(model.layers) - 1}.")
    return list(chosen)


def _noise(x, strength, relative, generator):
    """x + strength * Gaussian, in units of the standard deviation of x over its last axis if ``relative``."""
    scale = x.std(-1, keepdim=True, unbiased=False) if relative else 1.0
    return x + strength * scale * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def perturb_attention(model, smoothing: float = 0.0, noise: float = 0.0, *, layers=None, uniform: str = "mean",
                      relative: bool = True, generator=None):
    """A' = (1 - smoothing) softmax(scores + epsilon) + smoothing U, in the given layers (default: all).

    ``uniform`` is "mean" for U = 1/T, whose rows sum to one, or "ones" for U = 1. The noise epsilon is Gaussian with
    standard deviation ``noise``, times that of the scores of the row if ``relative``. The noise does not travel on to
    the scores of the next layer (residual attention).
    """
    if uniform not in ("mean", "ones"):
        raise ValueError(f"uniform={uniform!r}: choose mean or ones.")
    actions: dict = {}
    for i in _layers(model, layers):
        attention, kept = model.layers[i].attention, {}

        def weights(A, kept=kept):
            if noise:
                A = _noise(kept["scores"], noise, relative, generator).softmax(-1)
            if smoothing:
                A = (1 - smoothing) * A + smoothing * (1 / A.shape[-1] if uniform == "mean" else 1.0)
            return A

        if not hasattr(attention, "scores"):
            raise ValueError(f"layer {i} has no attention scores; perturb a model trained with softmax attention.")
        actions[f"layers.{i}.attention.scores"] = lambda s, kept=kept: kept.update(scores=s) or s
        actions[f"layers.{i}.attention.weights"] = weights
    return act(model, actions)


def perturb_feed_forward(model, smoothing: float = 0.0, noise: float = 0.0, *, layers=None, relative: bool = True,
                         generator=None):
    """Noise on the hidden pre-activation, and the output moved towards its mean over the features.

    out' = (1 - smoothing) out + smoothing mean_features(out); the noise is Gaussian with standard deviation ``noise``,
    times that of the token's pre-activations if ``relative``.
    """
    actions: dict = {}
    for i in _layers(model, layers):
        if noise:
            actions[f"layers.{i}.feed_forward.hidden"] = lambda h: _noise(h, noise, relative, generator)
        if smoothing:
            actions[f"layers.{i}.feed_forward_out"] = lambda f: (1 - smoothing) * f + smoothing * f.mean(-1, keepdim=True)
    return act(model, actions)


def replace_attention(model, attention: str, *, layers=None):
    """Give a model trained with softmax the matrix of another variant (identity, zero or mean), without retraining."""
    matrices = {"identity": lambda A: torch.eye(A.shape[-1], device=A.device, dtype=A.dtype).expand_as(A),
                "zero": torch.zeros_like, "mean": lambda A: torch.full_like(A, 1 / A.shape[-1])}
    if attention not in matrices:
        raise ValueError(f"attention={attention!r}: choose one of {', '.join(matrices)}.")
    return act(model, {f"layers.{i}.attention.weights": matrices[attention] for i in _layers(model, layers)})


def _act_on_output(model, sublayer: str, action, layers):
    if sublayer not in ("attention", "feed_forward"):
        raise ValueError(f"sublayer={sublayer!r}: choose attention or feed_forward.")
    return act(model, {f"layers.{i}.{sublayer}_out": action for i in _layers(model, layers)})


def remove(model, sublayer: str, *, layers=None):
    """Take the output of ``attention`` or ``feed_forward`` away entirely, biases included."""
    return _act_on_output(model, sublayer, torch.zeros_like, layers)


def disturb_output(model, sublayer: str, size: float, *, layers=None, generator=None):
    """Add to a sublayer's output a Gaussian disturbance of relative size ||delta|| / ||output|| = ``size``, per token."""
    def add(x):
        if not size:
            return x
        delta = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return x + size * x.norm(dim=-1, keepdim=True) * delta / delta.norm(dim=-1, keepdim=True)

    return _act_on_output(model, sublayer, add, layers)


def set_positions(model, change):
    """Replace the positional encoding W_pos [T, d_model] by ``change(W_pos)``."""
    return act(model, {"position": change})


def permute_tokens(model, order, *, with_positions: bool):
    """Put the tokens into another ``order`` [T] before the encoder; their encodings travel along or stay in place."""
    if sorted(order.tolist()) != list(range(model.s.n_tokens)):
        raise ValueError(f"order: must hold every token 0 to {model.s.n_tokens - 1} exactly once.")
    actions = {"tokens": lambda x: x[:, order]}
    if with_positions:
        actions["position"] = lambda w: w[order]
    return act(model, actions)

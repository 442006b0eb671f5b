"""Change a trained model for the length of a ``with`` block, at named points, and restore it exactly.

    with perturb_attention(model, smoothing=0.5, noise=1.0, layers=[0]):
        evaluate(model, windows)

Every block restores what it found, also when it is left by an exception; blocks can be nested if they act at different
points. Strength 0 changes no bit. ``generator`` is a ``torch.Generator`` or, to use the same random numbers at several
strengths, a ``Draws``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from . import data
from .models.points import Point
from .training import evaluate


class Draws:
    """Standard normal numbers that come again, in the same order, after every ``rewind``: drawn once, used often."""

    def __init__(self, seed: int):
        self.generator, self.drawn, self.at = torch.Generator().manual_seed(seed), [], 0

    def rewind(self) -> "Draws":
        self.at = 0
        return self

    def __call__(self, x):
        if self.at == len(self.drawn):
            self.drawn.append(torch.randn(x.shape, generator=self.generator, dtype=x.dtype).to(x.device))
        self.at += 1
        return self.drawn[self.at - 1]


def _normal(x, generator):
    """Standard normal numbers of the shape of ``x``."""
    if isinstance(generator, Draws):
        return generator(x)
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


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

    Raises ``ValueError`` for a name that is no point of the model, for a point at which something acts already, and for
    a model in training mode, whose steps may pass by the points.
    """
    points = _points(model, actions)
    for name in actions:
        if points[name].act is not None:
            raise ValueError(f"{name}: another intervention acts here already; leave its block first.")
    try:
        for name, action in actions.items():
            points[name].act = action
        yield model
    finally:
        for name in actions:
            points[name].act = None


@contextmanager
def observe(model, names: list[str]) -> Iterator[dict]:
    """Keep what passes the points ``names``: a list of tensors, one per forward pass, after any intervention there."""
    seen: dict = {name: [] for name in names}
    points = _points(model, names)
    hooks = [points[name].register_forward_hook(lambda _, __, out, name=name: seen[name].append(out.detach()))
             for name in names]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _layers(model, layers) -> list[int]:
    chosen = range(len(model.layers)) if layers is None else layers
    for i in chosen:
        if not 0 <= i < len(model.layers):
            raise ValueError(f"layers={layers}: this model has layers 0 to {len(model.layers) - 1}.")
    return list(chosen)


def _noise(x, strength, relative, generator):
    """x + strength * Gaussian, in units of the standard deviation of x over its last axis if ``relative``."""
    # Tensor.std is thirty times slower over a last axis this short.
    scale = (x - x.mean(-1, keepdim=True)).norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5 if relative else 1.0
    return x + strength * scale * _normal(x, generator)


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
        if not hasattr(model.layers[i].attention, "scores"):
            raise ValueError(f"layer {i} has no attention scores; perturb a model trained with softmax attention.")
        if noise:
            actions[f"layers.{i}.attention.scores"] = lambda s: _noise(s, noise, relative, generator)
        if smoothing:
            actions[f"layers.{i}.attention.weights"] = lambda A: (
                (1 - smoothing) * A + smoothing * (1 / A.shape[-1] if uniform == "mean" else 1.0))
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
        delta = _normal(x, generator)
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


def _order(model, draw: int):
    return torch.randperm(model.s.n_tokens, generator=torch.Generator().manual_seed(draw))


# Interventions without a strength, under the names by which the ledger knows them: (model, layers, draw) -> block.
NAMED = {
    "none": lambda m, layers, draw: act(m, {}),
    "attention removed": lambda m, layers, draw: remove(m, "attention", layers=layers),
    "feed-forward removed": lambda m, layers, draw: remove(m, "feed_forward", layers=layers),
    "A = identity": lambda m, layers, draw: replace_attention(m, "identity", layers=layers),
    "A = zero": lambda m, layers, draw: replace_attention(m, "zero", layers=layers),
    "A = mean": lambda m, layers, draw: replace_attention(m, "mean", layers=layers),
    "W_pos = 0": lambda m, layers, draw: set_positions(m, torch.zeros_like),
    "W_pos = 0.5": lambda m, layers, draw: set_positions(m, lambda w: torch.full_like(w, 0.5)),
    "W_pos rows permuted": lambda m, layers, draw: set_positions(m, lambda w: w[_order(m, draw)]),
    "tokens permuted, W_pos in place":
        lambda m, layers, draw: permute_tokens(m, _order(m, draw), with_positions=False),
    "tokens permuted with their W_pos":
        lambda m, layers, draw: permute_tokens(m, _order(m, draw), with_positions=True),
}


def measure_named(model, splits, intervention: str, layers: str = "all", draw: int = 0) -> list[dict]:
    """Test MSE and MAE of a trained model inside the block ``NAMED[intervention]``; ``layers`` is "all" or "0", "1", ..."""
    windows = splits.test.first(model.s.max_windows)
    with NAMED[intervention](model, None if layers == "all" else [int(layers)], draw):
        mse, mae = evaluate(model, windows)
    return [dict(windows=len(windows), test_mse=mse.double().mean().item(), test_mae=mae.double().mean().item())]


def measure_toy(model, splits, windows: int = 0, intervention: str = "none", draw: int = 0) -> list[dict]:
    """Test errors on a synthetic data set inside the block ``NAMED[intervention]``, beside those of the best forecast.

    ``event_mse`` counts the samples that matter (events; all of them in recall), ``zero_mse`` is that of forecasting zero.
    """
    part = splits.test.first(windows)
    x, y = (z[:, 0] for z in part.batch(slice(None)))
    best, event = data.best(model.s.dataset, part)
    with NAMED[intervention](model, None, draw):
        forecast = torch.cat([model(z[:, None])[:, 0] for z in x.split(64)])
    y = y.double().numpy()
    mine, least = (forecast.numpy() - y) ** 2, (best - y) ** 2
    return [dict(mse=mine.mean(), best_mse=least.mean(), event_mse=mine[event].mean(), best_event_mse=least[event].mean(),
                 zero_mse=(y**2).mean())]


PERTURB = {"attention": perturb_attention, "feed_forward": perturb_feed_forward}


def perturbation_grid(model, windows, sublayer: str, smoothings, noises, *, layers=None, draws: int = 3, seed: int = 0,
                      batch_size: int = 16) -> list[dict]:
    """Mean test MSE at every pair of ``smoothings`` and ``noises``, and its standard deviation over the noise draws.

    ``sublayer`` is attention or feed_forward. All points share the same draws (common random numbers), so the surface
    is smooth in the strengths; without noise there is one draw. Small batches stay in the processor's cache.
    """
    perturb = PERTURB[sublayer]
    mse = np.zeros((len(noises), len(smoothings), draws))
    for i in range(0, len(windows), batch_size):
        batch = windows[i:i + batch_size]
        for d in range(draws):
            source = Draws(seed * 1_000_003 + i * 1009 + d)
            for j, noise in enumerate(noises):
                for k, smoothing in enumerate(smoothings):
                    if noise or d == 0:
                        with perturb(model, smoothing, noise, layers=layers, generator=source.rewind()):
                            mse[j, k, d] += evaluate(model, batch, batch_size)[0].sum().item()
    mse /= len(windows)
    return [dict(smoothing=smoothing, noise=noise, test_mse=(e := mse[j, k, :draws if noise else 1]).mean(),
                 std=e.std(ddof=1) if len(e) > 1 else 0.0)
            for j, noise in enumerate(noises) for k, smoothing in enumerate(smoothings)]


@torch.no_grad()
def relative_size(model, windows, sublayer: str, change: Callable, batch_size: int = 64) -> float:
    """How far ``change`` moves the output of a sublayer, its input unchanged: ||delta|| / ||output||, mean over layers.

    ``change(layers=[i])`` is an intervention in one layer; the norms are over all tokens of ``windows``.
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

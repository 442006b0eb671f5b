"""Every measurement on a trained model: ``measure(model, splits, **point) -> rows``, by table.

Its parameters, but for keyword-only ones, are the columns that beside ``run_id`` name a measurement
in its table. Models come in evaluation mode; errors are in units of the training standard deviation
(squared for MSE). Maps of the matrix A are measured in ``attention_maps``, tokens in
``latent_space``.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from . import attention_maps as maps
from . import data, latent_space
from . import interventions as iv
from .training import evaluate, forecast_errors

# -- interventions without a strength


@dataclass
class Context:
    """What a named intervention may need: model, data, layers and the number of the draw.

    ``windows`` are those whose errors are measured. They pass in batches, each in its own block:

        with context.block("A = another window's", slice(0, 16)):
            evaluate(model, windows[:16])
    """

    model: torch.nn.Module
    splits: data.Splits
    windows: data.Windows
    layers: list[int] | None = None
    draw: int = 0

    @cached_property
    def average(self) -> list[torch.Tensor]:
        """A of every layer, [H, T, T], averaged over training windows."""
        return maps.average(self.model, self.splits.train)

    @cached_property
    def others(self) -> torch.Tensor:
        """For every window the index of another one, the same for all channels: [len(windows)]."""
        return derangement(len(self.windows), self.draw)

    def order(self) -> torch.Tensor:
        """A random order of the tokens: [T]."""
        random = torch.Generator().manual_seed(self.draw)
        return torch.randperm(self.model.s.n_tokens, generator=random)

    def block(self, intervention: str, index: slice):
        """A block of ``NAMED`` for windows ``index``. Raises ``ValueError`` for an unknown name."""
        if intervention not in NAMED:
            raise ValueError(f"intervention={intervention!r}: choose one of {', '.join(NAMED)}.")
        return NAMED[intervention](self, index)

    def _another(self, index):
        x, _ = self.windows.batch(self.others[index])
        return iv.give_attention(self.model, maps.matrices(self.model, x), layers=self.layers)


def derangement(n: int, seed: int) -> torch.Tensor:
    """A random order of 0 to n - 1, one cycle, none in its place. ``ValueError`` if n < 2."""
    if n < 2:
        raise ValueError(f"{n} window: no other to take a matrix from; measure two or more.")
    cycle = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    order = torch.empty_like(cycle)
    order[cycle] = cycle.roll(1)
    return order


NAMED: dict[str, Callable] = {  # under the names by which the ledger knows them
    "none": lambda c, _: iv.act(c.model, {}),
    "attention removed": lambda c, _: iv.remove(c.model, "attention", layers=c.layers),
    "feed-forward removed": lambda c, _: iv.remove(c.model, "feed_forward", layers=c.layers),
    "A = identity": lambda c, _: iv.replace_attention(c.model, "identity", layers=c.layers),
    "A = zero": lambda c, _: iv.replace_attention(c.model, "zero", layers=c.layers),
    "A = mean": lambda c, _: iv.replace_attention(c.model, "mean", layers=c.layers),
    "A = data-set average": lambda c, _: iv.give_attention(c.model, c.average, layers=c.layers),
    "A = another window's": Context._another,
    "W_pos = 0": lambda c, _: iv.act(c.model, {"position": torch.zeros_like}),
    "W_pos = 0.5":
        lambda c, _: iv.act(c.model, {"position": lambda w: torch.full_like(w, 0.5)}),
    "W_pos rows permuted": lambda c, _: iv.act(c.model, {"position": lambda w: w[c.order()]}),
    "tokens permuted, W_pos in place":
        lambda c, _: iv.permute_tokens(c.model, c.order(), with_positions=False),
    "tokens permuted with their W_pos":
        lambda c, _: iv.permute_tokens(c.model, c.order(), with_positions=True),
}


def _chosen(layers: str) -> list[int] | None:
    return None if layers == "all" else [int(layers)]


def _errors(context: Context, intervention: str) -> tuple[float, float]:
    """Mean MSE and MAE of the windows of ``context`` under an intervention."""
    windows, found = context.windows, []
    for i in range(0, len(windows), 16):
        with context.block(intervention, slice(i, i + 16)):
            found.append(torch.stack(evaluate(context.model, windows[i:i + 16])))
    return tuple(torch.cat(found, 1).double().mean(1).tolist())


def intervened(model, splits, intervention: str, layers: str = "all", draw: int = 0) -> list[dict]:
    """Test MSE and MAE under ``NAMED[intervention]``; ``layers`` is "all" or "0", "1", ..."""
    windows = splits.test.first(model.s.max_windows)
    mse, mae = _errors(Context(model, splits, windows, _chosen(layers), draw), intervention)
    return [dict(windows=len(windows), test_mse=mse, test_mae=mae)]


def _of_months(model, splits: data.Splits, split: str) -> data.Splits:
    """The series of ``splits`` with the test months of ``split``: "test" for its own, or the name
    of another one ("standard", "tail"). Raises ``ValueError`` if that one trains or validates on
    other months, so that its test months may be known to the model."""
    if split == "test":
        return splits
    s = model.s
    other = data.load(s.dataset, s.seq_len, s.pred_len, calendar=s.calendar, split=split,
                      missing=s.missing, gaps=s.gaps)
    if other.rows[:2] != splits.rows[:2]:
        raise ValueError(f"split={split!r}: trains or validates on other months than "
                         f"split {s.split}, of this model; choose one that shares them.")
    return other


def content_or_mixing(model, splits, intervention: str, split: str = "test") -> list[dict]:
    """Errors under ``NAMED[intervention]`` in all layers beside those of the model undisturbed, on
    the test months of ``split`` (``_of_months``)."""
    windows = _of_months(model, splits, split).test.first(model.s.max_windows)
    context = Context(model, splits, windows)
    (mse, mae), (mse_before, mae_before) = (_errors(context, i) for i in (intervention, "none"))
    return [dict(windows=len(windows), test_mse=mse, test_mae=mae,
                 undisturbed=mse_before, undisturbed_mae=mae_before)]


# -- interventions with a strength


def perturbation(model, splits, sublayer: str, layers: str, windows: int, draws: int,
                 smoothings: str, noises: str) -> list[dict]:
    """Mean MSE at every pair of ``smoothings`` and ``noises``, and its deviation over the draws.

    ``sublayer`` is attention or feed_forward; strengths are numbers with a space between them. All
    points share the same draws (common random numbers), so the surface is smooth in the strengths;
    without noise there is one draw. Batches of 16 stay in the processor's cache.
    """
    started, part, rows = time.perf_counter(), splits.test.first(windows), []
    grid = itertools.product(map(float, noises.split()), map(float, smoothings.split()))
    for noise, smoothing in grid:
        mse = np.zeros(draws if noise else 1)
        for i in range(0, len(part), 16):
            for d in range(len(mse)):
                random = torch.Generator().manual_seed(i * 1009 + d)
                with iv.PERTURB[sublayer](model, smoothing, noise, layers=_chosen(layers),
                                          generator=random):
                    mse[d] += evaluate(model, part[i:i + 16])[0].sum().item()
        mse /= len(part)
        rows.append(dict(smoothing=smoothing, noise=noise, test_mse=mse.mean(),
                         std=mse.std(ddof=1) if len(mse) > 1 else 0.0))
    return [dict(row, seconds=time.perf_counter() - started) for row in rows]


def corner(model, splits, sublayer: str, smoothing: float, noise: float) -> list[dict]:
    """One point of ``perturbation`` on all test windows, one draw."""
    n = model.s.max_windows
    row, = perturbation(model, splits, sublayer, "all", n, 1, str(smoothing), str(noise))
    return [dict(test_mse=row["test_mse"], windows=len(splits.test.first(n)))]


def _mean_mse(model, windows) -> float:
    return evaluate(model, windows)[0].double().mean().item()


def disturbance(model, splits, sublayer: str, kind: str, strength: float,
                windows: int) -> list[dict]:
    """Test MSE under a disturbance and its relative size.

    ``kind`` is output noise, smoothing, noise or (attention alone) all-ones.
    """
    part = splits.test.first(windows)

    def block(layers=None):
        random = torch.Generator().manual_seed(0)
        if kind == "output noise":
            return iv.disturb_output(model, sublayer, strength, layers=layers, generator=random)
        if kind == "all-ones":
            return iv.perturb_attention(model, smoothing=strength, uniform="ones", layers=layers)
        return iv.PERTURB[sublayer](model, **{kind: strength}, layers=layers, generator=random)

    with block():
        mse = _mean_mse(model, part)
    return [dict(relative_size=iv.relative_size(model, part, sublayer, block), test_mse=mse)]


def equal_disturbance(model, splits, sublayer: str, draws: int) -> list[dict]:
    """Test MSE with noise of the size of a sublayer's output, by draw, and undisturbed."""
    windows = splits.test.first(model.s.max_windows)
    rows, undisturbed = [], _mean_mse(model, windows)
    for draw in range(draws):
        # Noise of its own for every model: the interval over seeds then holds its spread too.
        random = torch.Generator().manual_seed(1000 * model.s.seed + draw)
        with iv.disturb_output(model, sublayer, 1.0, generator=random):
            rows.append(dict(draw=draw, windows=len(windows), undisturbed=undisturbed,
                             test_mse=_mean_mse(model, windows)))
    return rows


# -- forecasts and positions


def forecasts(model, splits, channel: int, which: str) -> list[dict]:
    """Forecasts of a channel in the test windows ``which``, numbers with a space between them."""
    index = [int(i) for i in which.split()]
    y = model(splits.test.batch(torch.tensor(index))[0])[:, channel]
    return maps.long_form(y, "forecast", window=index, step=None)


def errors_by_lead(model, splits, channels: str, steps: int, block: int,
                   split: str = "test") -> list[dict]:
    """Test MSE on ``channels``, numbers with a space between them, by lead time in pieces of
    ``steps``, each named by its last, and by stretch of ``block`` windows, on the test months of
    ``split`` (``_of_months``). A rest that fills no stretch, or no piece, is left out."""
    which, test = [int(i) for i in channels.split()], _of_months(model, splits, split).test
    e = torch.cat([e[:, which].square().mean(1) for e in forecast_errors(model, test)])  # [W, L]
    e = e[:len(e) // block * block, :e.shape[1] // steps * steps]
    e = e.unflatten(0, (-1, block)).unflatten(2, (-1, steps)).mean((1, 3))  # [stretches, pieces]
    last = range(steps, steps * e.shape[1] + 1, steps)
    return maps.long_form(e, "mse", stretch=None, lead=last)


def positions(model, splits) -> list[dict]:
    """Mean cosine of two rows of W_pos by distance, and their spread over that of the tokens."""
    w = torch.nn.functional.normalize(model.W_pos, dim=1)
    cosine = w @ w.T
    with iv.observe(model, ["tokens"]) as seen:
        model(splits.test.first(64).batch(slice(None))[0])
    tokens = seen["tokens"][0]  # [N, T, D]
    spread = (tokens - tokens.mean((0, 1))).norm(dim=-1).mean()
    share = (model.W_pos - model.W_pos.mean(0)).norm(dim=1).mean() / spread
    return [dict(distance=d, cosine=torch.diagonal(cosine, d).mean().item(), share=share.item())
            for d in range(1, len(w))]


# -- synthetic series


def toy_errors(model, splits, windows: int = 0, intervention: str = "none",
               draw: int = 0) -> list[dict]:
    """Test MSE on a synthetic data set under ``NAMED[intervention]``, and of the best forecast.

    ``event_mse`` counts the samples that matter (events; all of them in recall), ``zero_mse`` is
    that of forecasting zero.
    """
    part = splits.test.first(windows)
    x, y = part.batch(slice(None))
    best, event = data.best(model.s.dataset, part)
    context, found = Context(model, splits, part, draw=draw), []
    for i in range(0, len(part), 64):
        with context.block(intervention, slice(i, i + 64)):
            found.append(model(x[i:i + 64])[:, 0])
    y = y[:, 0].double().numpy()
    mine, least = (torch.cat(found).numpy() - y) ** 2, (best - y) ** 2
    return [dict(mse=mine.mean(), best_mse=least.mean(), event_mse=mine[event].mean(),
                 best_event_mse=least[event].mean(), zero_mse=(y**2).mean())]


def toy_continued(model, splits, first: int, length: int, windows: int, blocks: int) -> list[dict]:
    """Errors on event samples of the state machine continued, by block of windows and by ``ago``.

    The series goes on from its sample ``first`` for ``length``. Sums over the event samples:
    squared error of the model, of the best forecast, and expected of it. ``ago`` is 0 where the
    last event showed the same state as the event before it, 1 where the one before did, else 2.
    """
    s = model.s
    machine = data.toy.state_machine(first + length)  # as before, and then on
    begin = first + np.linspace(0, length - s.seq_len - s.pred_len, windows, dtype=int)[:, None]
    past, future = begin + np.arange(s.seq_len), begin + s.seq_len + np.arange(s.pred_len)
    x, y, event = machine.x[past], machine.x[future], machine.number[future] >= 0
    best = data.toy.best_forecast(x, s.pred_len)
    last, state = machine.number[past].max(1), machine.event_states
    ago = np.select([state[last] == state[last - 1], state[last - 1] == state[last - 2]], [0, 1], 2)
    inputs = torch.from_numpy(x).float()[:, None]
    forecast = torch.cat([model(z)[:, 0] for z in inputs.split(64)]).numpy()
    sums = {"samples": event, "error": event * (forecast - y) ** 2,
            "best": event * (best.mean - y) ** 2, "expected": event * best.variance}
    of = pd.DataFrame({"block": np.arange(windows) * blocks // windows, "ago": ago}
                      | {k: v.sum(1) for k, v in sums.items()})
    return of.groupby(["block", "ago"]).sum().reset_index().to_dict("records")


def toy_event_heights(model, splits, windows: int) -> list[dict]:
    """Quantiles (%) of the height of forecast events by true state, model and best forecast."""
    part, machine = splits.test.first(windows), data.truth(data.SYNTHETIC)
    x, _ = part.batch(slice(None))
    forecast = torch.cat([model(z)[:, 0] for z in x.split(64)]).numpy()
    best = data.toy.best_forecast(x[:, 0].double().numpy(), part.pred_len).mean
    begin = part.starts.numpy() + part.seq_len
    (height, state), (least, _) = machine.heights(begin, forecast), machine.heights(begin, best)
    levels = (5, 25, 50, 75, 95)
    return [dict(state=k, quantile=q, height=np.quantile(height[state == k], q / 100),
                 best=np.quantile(least[state == k], q / 100)) for k in range(5) for q in levels]


# -- all of them

MEASURES: dict[str, Callable[..., list[dict]]] = {  # by the table that they fill
    "interventions": intervened, "content_or_mixing": content_or_mixing,
    "perturbation": perturbation, "corners": corner, "disturbance": disturbance,
    "equal_disturbance": equal_disturbance, "forecasts": forecasts, "positions": positions,
    "errors_by_lead": errors_by_lead,
    "attention_by_head": maps.by_head, "trained_matrices": maps.trained_matrix,
    "attention_by_event": maps.by_event, "toy_received": maps.received, "toy_errors": toy_errors,
    "toy_continued": toy_continued, "toy_event_heights": toy_event_heights,
    "embedding_spectrum": latent_space.spectrum, "embedding_distances": latent_space.distances,
    "token_geometry": latent_space.geometry, "probes": latent_space.probes,
}


def points(table: str, rows: list[dict]) -> list[dict]:
    """Where ``rows`` of ``table`` were measured, each place once."""
    return [dict(p) for p in dict.fromkeys(tuple(point(table, row).items()) for row in rows)]


def point(table: str, row: dict) -> dict:
    """Where a row of ``table`` (texts as in the file) was measured: arguments of its measure."""
    kinds = {"int": int, "float": float, "str": str, "int | None": lambda v: int(v) if v else None}
    return {name: kinds[p.annotation](row[name])
            for name, p in list(inspect.signature(MEASURES[table]).parameters.items())[2:]
            if p.kind is p.POSITIONAL_OR_KEYWORD}

"""What a trained model's attention looks at: capture of the weights, and the measures on them.

Weights A are [N, layers, heads, T, T] (query, key); ``event`` [N, T] marks the patches that ought
to be looked at.
"""

from __future__ import annotations

import itertools

import torch
from scipy.stats import rankdata

from . import data
from .interventions import observe


def long_form(values, name: str, **axes) -> list[dict]:
    """A row per entry of the tensor ``values``, which stands under ``name``, with its place on each
    of ``axes`` (their labels; None counts from 1)."""
    labels = (own or range(1, n + 1) for own, n in zip(axes.values(), values.shape, strict=True))
    return [dict(zip(axes, place, strict=True), **{name: v}) for place, v in zip(
        itertools.product(*labels), values.flatten().tolist(), strict=True)]


@torch.no_grad()
def matrices(model, x) -> list[torch.Tensor]:
    """A of every layer for inputs ``x`` [B, C, seq_len]: [N, H, T, T] each, or [H, T, T] if fixed.

    N = B * C sequences in a PatchTST, N = B in an iTransformer. Raises ``ValueError`` (from the
    points) for a variant that has no weights.
    """
    names = [f"layers.{i}.attention.weights" for i in range(len(model.layers))]
    with observe(model, names) as seen:
        model(x)
    return [seen[name][0] for name in names]


def capture(model, windows, batch_size: int = 64) -> torch.Tensor:
    """A for every window and channel of a PatchTST: [N, layers, heads, T, T]; raises as
    ``matrices``."""
    found = []
    for i in range(0, len(windows), batch_size):
        x, _ = windows.batch(slice(i, i + batch_size))
        n = x.shape[0] * x.shape[1]
        found.append(torch.stack([A.expand(n, *A.shape[-3:]) for A in matrices(model, x)], 1))
    return torch.cat(found)


def average(model, windows, n: int = 512) -> list[torch.Tensor]:
    """A of every layer, averaged over ``n`` evenly spread ``windows`` and all channels: [H, T, T];
    raises as ``matrices``."""
    part, totals, sequences = windows.first(n), [0.0] * len(model.layers), 0
    for i in range(0, len(part), 16):
        x, _ = part.batch(slice(i, i + 16))
        found = [A.reshape(-1, *A.shape[-3:]).double() for A in matrices(model, x)]
        totals = [total + A.sum(0) for total, A in zip(totals, found, strict=True)]
        sequences += len(found[0])
    return [(total / sequences).float() for total in totals]


def informative(s, windows) -> torch.Tensor:
    """Which patches carry what the forecast needs, on the synthetic ``s.dataset``: bool [N, T].
    State machine: those that show an event; recall: the one that holds the value asked for."""
    if s.dataset == data.SYNTHETIC:
        return _events(s, windows) >= 0
    known = data.truth(s.dataset, s.seq_len, s.pred_len)
    slot = torch.from_numpy(known.slot[windows.starts.numpy() // (s.seq_len + s.pred_len)])
    return torch.arange(s.n_tokens) == slot[:, None]


def _events(s, windows) -> torch.Tensor:
    """Number of the event that a patch of the state machine shows, negative if none: [N, T]."""
    machine, starts = data.truth(s.dataset), windows.starts.numpy()
    number = machine.patch_events(starts, s.seq_len, s.patch_len, s.stride, s.n_tokens)
    return torch.from_numpy(number)


def lift(A, event) -> torch.Tensor:
    """Mean weight of event patches over that of any patch, 1/T, per query: [N, layers, heads, T].

    1 is what uniform attention gives, T / (number of events) the most there can be; NaN for windows
    without events.
    """
    event = event[:, None, None, None, :].to(A)
    return (A * event).sum(-1) / event.sum(-1) * A.shape[-1]


def entropy(A) -> torch.Tensor:
    """Entropy of each query's weights over log T: [N, layers, heads, T]; 1 is uniform."""
    return -torch.special.xlogy(A, A).sum(-1) / torch.log(torch.tensor(float(A.shape[-1])))


def auc(A, event) -> torch.Tensor:
    """Probability that an event patch gets more weight than another: [N, layers, heads, T].

    Ties count half. 0.5 is chance; NaN for windows in which all patches or none show an event.
    """
    event = event[:, None, None, None, :].to(A)
    ranks, n, T = torch.from_numpy(rankdata(A, axis=-1)).to(A), event.sum(-1), A.shape[-1]
    return ((ranks * event).sum(-1) - n * (n + 1) / 2) / (n * (T - n))  # of Mann and Whitney


def by_head(model, splits, windows: int, query: int | None = None) -> list[dict]:
    """Mean lift, entropy, AUC over test windows and queries (or ``query``), by layer and head."""
    part = splits.test.first(windows)
    A, event = capture(model, part), informative(model.s, part)
    found = {"lift": lift(A, event), "entropy": entropy(A), "auc": auc(A, event)}
    of_query = slice(None) if query is None else [query]
    rows = [long_form(v[..., of_query].nanmean((0, 3)), k, layer=None, head=None)
            for k, v in found.items()]
    return [lift | entropy | auc for lift, entropy, auc in zip(*rows, strict=True)]


def trained_matrix(model, splits, layer: int, head: int) -> list[dict]:
    """A of one head (counted from 1), averaged over test windows and channels (``average``)."""
    A = average(model, splits.test)[layer - 1][head - 1]  # [T, T]
    return long_form(A, "weight", query=None, key=None)


def by_event(model, splits, windows: int) -> list[dict]:
    """Mean lift of the k-th event from the end, k = 1 to 4, on the state machine, by layer."""
    part = splits.test.first(windows)
    number = _events(model.s, part)
    A, last = capture(model, part), number.max(1, keepdim=True).values
    found = [lift(A, number == last - k).nanmean((0, 2, 3)) for k in range(4)]
    return long_form(torch.stack(found), "lift", event=None, layer=None)


def received(model, splits, window: int) -> list[dict]:
    """Mean weight that every patch gets from all queries, by head of the last layer, in one of
    1,000 test windows, evenly spread."""
    A = capture(model, splits.test.first(1000)[torch.tensor([window])])[0, -1].mean(1)  # [H, T]
    return long_form(A, "weight", head=None, patch=None)

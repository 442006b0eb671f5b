"""What a trained model's attention looks at: capture of the weights, and the measures taken on them.

Weights A are [N, layers, heads, T, T] (query, key); ``event`` [N, T] marks the patches that ought to be looked at.
"""

from __future__ import annotations

import torch

from . import data
from .interventions import observe


@torch.no_grad()
def capture(model, windows, batch_size: int = 64) -> torch.Tensor:
    """Attention weights of a softmax or fixed model for every window and channel: [N, layers, heads, T, T].

    Raises ``ValueError`` (from the points) for a variant that has no weights.
    """
    names = [f"layers.{i}.attention.weights" for i in range(len(model.layers))]
    found = []
    for i in range(0, len(windows), batch_size):
        x, _ = windows.batch(slice(i, i + batch_size))
        with observe(model, names) as seen:
            model(x)
        A = torch.stack([seen[name][0].expand(x.shape[0] * x.shape[1], *seen[name][0].shape[-3:]) for name in names], 1)
        found.append(A)
    return torch.cat(found)


def informative(s, windows) -> torch.Tensor:
    """Which patches of windows of the synthetic data set ``s.dataset`` carry what the forecast needs: bool [N, T].

    State machine: those that show an event. Recall: the one that holds the value asked for.
    """
    starts, known = windows.starts.numpy(), data.truth(s.dataset, s.seq_len, s.pred_len)
    if s.dataset == data.SYNTHETIC:
        return torch.from_numpy(known.patch_events(starts, s.seq_len, s.patch_len, s.stride, s.n_tokens) >= 0)
    slot = torch.from_numpy(known.slot[starts // (s.seq_len + s.pred_len)])
    return torch.arange(s.n_tokens) == slot[:, None]


def lift(A, event) -> torch.Tensor:
    """Mean weight on event patches over the mean weight 1/T of any patch, per query: [N, layers, heads, T].

    1 is what uniform attention gives, T / (number of events) the most there can be; NaN for windows without events.
    """
    event = event[:, None, None, None, :].to(A)
    return (A * event).sum(-1) / event.sum(-1) * A.shape[-1]


def entropy(A) -> torch.Tensor:
    """Entropy of each query's weights over log T, so that 1 is uniform and 0 a single patch: [N, layers, heads, T]."""
    return -torch.special.xlogy(A, A).sum(-1) / torch.log(torch.tensor(float(A.shape[-1])))


def auc(A, event) -> torch.Tensor:
    """Probability that an event patch gets more weight than another patch (ties count half): [N, layers, heads, T].

    0.5 is chance; NaN for windows in which all patches or none show an event.
    """
    event = event[:, None, None, None, :].to(A)
    wins = torch.zeros_like(A)  # per patch: over how many of the others it wins
    for other in range(A.shape[-1]):
        rest = A[..., other, None]
        wins += (1 - event[..., other, None]) * ((A > rest) + 0.5 * (A == rest))
    return (wins * event).sum(-1) / (event.sum(-1) * (1 - event).sum(-1))


def by_head(model, splits, windows: int, query: int | None = None) -> list[dict]:
    """Mean lift, entropy and AUC over test windows and queries (or of one ``query``), one row per layer and head."""
    part = splits.test.first(windows)
    A, event = capture(model, part), informative(model.s, part)
    found = {"lift": lift(A, event), "entropy": entropy(A), "auc": auc(A, event)}
    found = {k: (v if query is None else v[..., query, None]).nanmean((0, 3)) for k, v in found.items()}
    return [dict(layer=i + 1, head=h + 1, **{k: v[i, h].item() for k, v in found.items()})
            for i in range(A.shape[1]) for h in range(A.shape[2])]

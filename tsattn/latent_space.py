"""What a trained model's embedding and tokens look like, from the raw patches to the last layer."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from . import data, models
from .models import revin


def _series(model, windows) -> torch.Tensor:
    """All windows and channels as the model cuts them into patches: [N, seq_len]."""
    x, _ = windows.batch(slice(None))
    return (revin.normalise(x)[0] if model.s.revin else x).flatten(0, 1)


def stages(model, windows) -> dict[str, np.ndarray]:
    """Tokens [N, T, D] by stage: the raw patch, embedded without its position, after each layer.

    T leaves out the padding.
    """
    x = _series(model, windows)
    found = {"patch": model.patches(x), "embedding": model.W_P(model.patches(x))}
    z, scores = model.embed(x), None
    for i, layer in enumerate(model.layers, 1):
        z, scores = layer(z, scores)
        found[f"layer {i}"] = z
    return {k: v[:, :model.s.seq_len // model.s.patch_len].numpy() for k, v in found.items()}


def labels(s, windows) -> dict[str, np.ndarray]:
    """Of every patch of the state machine: event or not, state (-1 if none), phase; each [N, T].

    The phase is the eighth of the carrier's period at the middle of the patch.
    """
    machine, starts = data.truth(s.dataset), windows.starts.numpy()
    T = s.seq_len // s.patch_len
    number = machine.patch_events(starts, s.seq_len, s.patch_len, s.stride, T)
    state = np.where(number >= 0, machine.event_states[number], -1)
    middle = starts[:, None] + np.arange(number.shape[1]) * s.stride + s.patch_len // 2
    wave, slope = machine.carrier[middle], machine.carrier[middle + 1] - machine.carrier[middle - 1]
    phase = np.arctan2(wave, slope / (2 * np.sin(2 * np.pi * machine.process.frequency)))
    return {"event": (number >= 0).astype(int), "state": state,
            "phase": ((phase / np.pi + 1) * 4).astype(int) % 8}


def spectrum(model, splits) -> list[dict]:
    """Singular values of W_P, trained and as it started."""
    both = (torch.linalg.svdvals(m.W_P.weight).tolist() for m in (model, models.build(model.s, 1)))
    return [dict(index=i, trained=a, untrained=b)
            for i, (a, b) in enumerate(zip(*both, strict=True), 1)]


def distances(model, splits) -> list[dict]:
    """Pairwise distances of 300 patches of test windows against those of their tokens.

    ``low`` and ``high`` are the 5 % and 95 % quantiles of distance after over distance before.
    """
    patches = model.patches(_series(model, splits.test.first(100))).flatten(0, 1)
    order = torch.randperm(len(patches), generator=torch.Generator().manual_seed(0))
    patches = patches[order[:300]]
    before, after = (pdist(z.double().numpy()) for z in (patches, model.W_P(patches)))
    ratio = (after / before)[before > 1e-6]
    return [dict(correlation=np.corrcoef(before, after)[0, 1],
                 rank_correlation=spearmanr(before, after)[0], low=np.quantile(ratio, 0.05),
                 high=np.quantile(ratio, 0.95))]


def probes(model, splits, windows: int) -> list[dict]:
    """Balanced accuracy on test windows of linear probes for event, state and phase, by stage.

    They are fitted to the first 3,000 tokens of as many training windows.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import, and nothing else needs it
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = splits.train.first(windows), splits.test.first(windows)
    tokens = [stages(model, part) for part in parts]
    truths = [labels(model.s, part) for part in parts]
    rows = []
    for stage in tokens[0]:
        for what in truths[0]:
            use = [t["state"] >= (0 if what == "state" else -1) for t in truths]
            X, X_test = (z[stage][u] for z, u in zip(tokens, use, strict=True))
            y, y_test = (t[what][u] for t, u in zip(truths, use, strict=True))
            fit = LogisticRegression(max_iter=2000, class_weight="balanced")
            probe = make_pipeline(StandardScaler(), fit).fit(X[:3000], y[:3000])
            accuracy = balanced_accuracy_score(y_test, probe.predict(X_test))
            rows.append(dict(stage=stage, what=what, accuracy=accuracy))
    return rows


def geometry(model, splits, windows: int) -> list[dict]:
    """Effective rank of the tokens, and mean cosine of event tokens of same and other states.

    The effective rank is exp of the entropy of the shares of variance; cosines are of up to 1,500
    tokens, centred on the mean of all.
    """
    part = splits.test.first(windows)
    tokens, state = stages(model, part), labels(model.s, part)["state"]
    rows = []
    for stage, z in tokens.items():
        z = z.reshape(-1, z.shape[-1]).astype(float)
        z -= z.mean(0)
        energy = np.linalg.svd(z, compute_uv=False) ** 2
        share = energy[energy > 0] / energy.sum()
        e, k = z[state.ravel() >= 0][:1500], state[state >= 0][:1500]
        e /= np.linalg.norm(e, axis=1, keepdims=True)
        cosine, same, off = e @ e.T, k[:, None] == k, ~np.eye(len(k), dtype=bool)
        rows.append(dict(stage=stage, same=cosine[same & off].mean(),
                         different=cosine[~same].mean(),
                         effective_rank=np.exp(-(share * np.log(share)).sum())))
    return rows

"""A real series with a known dose of look-up: recall's pattern added to every window of ETTh1.

Every window and channel has a pattern of its own. Four patches at random places carry a key, of
eight, and the bump of a value; the last patch asks for one of these keys, and a bump of its value
is added to the horizon. The values of a window sum to zero, so that no sum over patches says
anything about the one asked for. Inputs are the same for every dose: only the horizon's bump is
scaled, so that its variance is the dose, in per cent of ``ERROR``."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch

from . import toy
from .files import DataError
from .toy import PATCH
from .windows import Pattern, Splits

ERROR = 0.371  # test MSE of PatchTST with softmax on ETTh1, 336 -> 96, at 1e-4: mean of five seeds
PAIRS, SEED = 4, 39
# Sizes in standard deviations of the series: root mean square of a key, height of a value of 1.
KEYS, VALUES = 1.5, 2.0


def key_shapes() -> np.ndarray:
    """The waveforms of the eight keys [8, P / 2]: the four fastest of recall's and their negatives.

    ETTh1 itself hardly moves so fast (root mean square .1), so that keys can be read."""
    both = toy.key_shapes(16, PATCH // 2)[:, 0].reshape(2, 8, PATCH // 2)
    return KEYS * both[:, 4:].reshape(8, PATCH // 2)


def pattern(channels: int, rows: int, seq_len: int, pred_len: int, dose: float) -> Pattern:
    """The pattern of all windows, drawn once: a window has the same in every split and dose.

    Raises ``DataError`` unless ``seq_len`` is a multiple of 16 with room for the pairs."""
    if seq_len % PATCH or seq_len <= PAIRS * PATCH:
        raise DataError(f"seq_len={seq_len}: a dose of look-up needs a multiple of {PATCH} of at "
                        f"least {(PAIRS + 1) * PATCH}; the report has 336.")
    key, value, _, answer = toy.pairs_shown(np.random.default_rng(SEED), rows * channels,
                                            seq_len // PATCH, PAIRS, lookup=1.0)
    value[:, -1] = 0  # the patch that asks shows no value
    key, value, answer = (np.ascontiguousarray(v.reshape(rows, channels, -1).swapaxes(0, 1))
                          for v in (key, value, answer))
    horizon = toy.bump(pred_len)
    height = np.sqrt(dose / 100 * ERROR / (horizon**2).mean())
    shapes = np.vstack([key_shapes(), np.zeros(PATCH // 2)])
    return Pattern(torch.from_numpy(key), *(
        torch.from_numpy(v.astype(np.float32))
        for v in (value, height * answer[..., 0], shapes, VALUES * toy.bump(PATCH // 2), horizon)))


def dosed(splits: Splits, dose: float) -> Splits:
    """``splits`` with the pattern on every window; ``sha256`` then names both."""
    w = splits.train
    added = pattern(*w.series.shape, w.seq_len, w.pred_len, dose)
    digest = hashlib.sha256(splits.sha256.encode())
    for drawn in added:
        digest.update(drawn.numpy().tobytes())
    parts = {k: replace(getattr(splits, k), added=added) for k in ("train", "val", "test")}
    return replace(splits, name=f"{splits.name}-dose-{dose:g}", sha256=digest.hexdigest(), **parts)

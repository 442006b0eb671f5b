"""What could be forecast at best from the codes of a window, so that every error is read against
what is left to know."""

from __future__ import annotations

import numpy as np
import torch

from . import data, runs, tokenizers
from .data import toy
from .models import revin
from .settings import Settings


def decoded(s: Settings, book, x: torch.Tensor) -> torch.Tensor:
    """Windows x [B, C, seq_len] as their codes show them, in the units of x.

    For patches side by side: level and scale are kept (with RevIN the model knows them), the patch
    of the end padding is left out.
    """
    z, mean, std = revin.normalise(x) if s.revin else (x, 0.0, 1.0)
    shown = book.decode(book(z.unflatten(-1, (-1, s.patch_len))))
    return shown.flatten(-2) * std + mean


def floors(dataset: str, seed: int = 2021, tokenizer: str = "k-means", codes: int = 256,
           code_levels: int = 2, max_windows: int = 2000) -> list[dict]:
    """Test error that is left when forecasting from raw windows and from their codes: one row for
    each of what is ``given``.

    recall         the look-up written out, on decoded windows; ``unit`` is the targets' variance
    state machine  the best forecast (carrier, filtered states), told how noisy decoded samples are;
                   MSE at event samples
    other data     ridge regression from one to the other, fitted on training windows; MSE

    A rule that reads codes in another way may reach less, so this is what is known to be reachable.
    The row of the codes also has the codebook's quality (``tokenizers.quality``).
    """
    recall, machine = dataset in toy.RECALL, dataset == data.SYNTHETIC
    run = runs.toy if recall or machine else runs.make
    s = run(dataset=dataset, embedding="code", tokenizer=tokenizer, codes=codes,
            code_levels=code_levels, seed=seed)
    splits = data.load(dataset, s.seq_len, s.pred_len)
    book, quality = tokenizers.fit_and_measure(s, splits)
    unit = "share of variance" if recall else "MSE at event samples" if machine else "MSE"
    part, rows = splits.test.first(max_windows), []
    x, y = part.batch(slice(None))
    for given, see in (("raw", lambda x: x), ("codes", lambda x: decoded(s, book, x))):
        if recall or machine:
            seen = see(x)
            lost = (seen - x).square().mean().item()
            forecast, matters = data.best(dataset, part, seen[:, 0].numpy(), lost)
            error = ((forecast - y[:, 0].numpy()) ** 2)[matters].mean()
            error = error / y.square().mean().item() if recall else error
        else:
            error = _ridge(splits, see, max_windows)
        rows.append(dict(given=given, error=float(error), unit=unit))
    rows[1] |= quality
    return rows


def _ridge(splits, see, max_windows: int) -> float:
    """Test MSE of ridge regression from windows as they are seen to their future, in units of the
    data.

    Level and scale of the raw window are taken off before and put back after, and windows count by
    their variance, so that squared error in these units is minimised. One map for all channels, as
    in PatchTST; the penalty is chosen on validation windows.
    """
    def pairs(windows):
        x, y = windows.batch(slice(None))
        _, mean, std = revin.normalise(x)
        z = torch.nn.functional.pad((see(x) - mean) / std, (0, 1), value=1.0)  # a constant
        return [t.flatten(0, 1).double() for t in (z, (y - mean) / std, std)]

    def error(weights, z, target, std):
        return ((z @ weights - target) * std).square().mean().item()

    z, target, std = pairs(splits.train.first(4 * max_windows))
    gram, cross = (z * std**2).T @ z, (z * std**2).T @ target
    val, test = (pairs(part.first(max_windows)) for part in (splits.val, splits.test))
    fits = [torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=gram.dtype), cross)
            for penalty in 10.0 ** np.arange(6)]
    return error(min(fits, key=lambda w: error(w, *val)), *test)

"""What the registration asks for beside its tests, and which decides nothing: the contrast of P1
and P4 with other blocks, with paired seeds, as MAE, by channel, and the margin of 2 %.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import statistics
from ..data.catalogue import ETT_COLUMNS
from ..ledger import Ledger
from ..preregistered import REPLACEMENTS, contrast, name_of, p_value
from ..runs import new_months
from ..settings import ATTENTIONS
from ..statistics import block_length, interval


def _errors(ledger: Ledger, cell: str, profile: str) -> dict[str, np.ndarray]:
    """MSE [S, W, C] by model of a registered cell; empty unless it is complete."""
    runs = new_months(profile)[cell]
    if len(ledger.complete(runs)) < len(runs):
        return {}
    by: dict = {}
    for s in runs:
        by.setdefault(name_of(s), []).append(ledger.channel_errors(s))
    return {name: np.stack(each) for name, each in by.items()}


def ways(ledger: Ledger, cell: str, profile: str = "paper") -> pd.DataFrame:
    """Mean of the four replacements against softmax in %, by ``how`` it is judged: ``change`` with
    its interval. The MAE has an interval over the seeds alone: it is not kept by window."""
    errors = _errors(ledger, cell, profile)
    if not errors:
        return pd.DataFrame()
    runs, weights = new_months(profile)[cell], {a: 0.25 for a in REPLACEMENTS} | {"softmax": -1.0}
    by_window = {name: e.mean(2) for name, e in errors.items()}
    softmax = by_window["softmax"]
    usual = block_length(runs[0].seq_len, runs[0].pred_len, softmax.shape[1])

    def row(how, d, base):
        return how, 100 * np.array([d.mean, *d.interval()]) / base

    rows = [row("as registered", contrast(by_window, weights, usual), softmax.mean())]
    rows += [row(f"blocks of {b} windows", contrast(by_window, weights, b), softmax.mean())
             for b in (usual // 2, 2 * usual)]
    four = np.mean([by_window[a] for a in REPLACEMENTS], axis=0)
    paired = statistics.difference(list(four), list(softmax), usual)
    rows += [row("seeds paired, not pooled", paired, softmax.mean())]
    mae = ledger.runs([s for s in runs if s.feed_forward]).pivot(
        index="seed", columns="attention", values="test_mae")[list(ATTENTIONS)]
    rows += [("MAE, seeds alone", 100 * np.array(interval(
        mae[list(REPLACEMENTS)].mean(axis=1) / mae.softmax - 1)))]
    rows += [row(f"channel {name}", contrast({m: e[..., c] for m, e in errors.items()}, weights,
                                             usual), errors["softmax"][..., c].mean())
             for c, name in enumerate(ETT_COLUMNS)]
    return pd.DataFrame([(how, *v) for how, v in rows],
                        columns=["how", "change", "change_low", "change_high"])


def wider_margin(ledger: Ledger, cell: str, margin: float = 0.02,
                 profile: str = "paper") -> pd.Series:
    """p-value, uncorrected, that a loss of ``margin`` or more is excluded, by replacement."""
    by_window = {name: e.mean(2) for name, e in _errors(ledger, cell, profile).items()}
    if not by_window:
        return pd.Series(dtype=float)
    s, base = new_months(profile)[cell][0], by_window["softmax"].mean()
    block = block_length(s.seq_len, s.pred_len, by_window["softmax"].shape[1])
    return pd.Series({a: p_value(contrast(by_window, {a: 1.0, "softmax": -1.0}, block), "not worse",
                                 margin * base) for a in REPLACEMENTS})


def every_model(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Each model of each complete registered cell against softmax, judged as the registered ones
    and corrected for nothing: ``cell``, ``model``, the change in % with its interval as ``said``.
    """
    rows = []
    for cell, runs in new_months(profile).items():
        by_window = {name: e.mean(2) for name, e in _errors(ledger, cell, profile).items()}
        for name in [m for m in by_window if m != "softmax"]:
            block = block_length(runs[0].seq_len, runs[0].pred_len, by_window[name].shape[1])
            d = contrast(by_window, {name: 1.0, "softmax": -1.0}, block)
            change = 100 * np.array([d.mean, *d.interval()]) / by_window["softmax"].mean()
            said = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*change)
            rows.append(dict(cell=cell, model=name, said=said))
    return pd.DataFrame(rows)

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

USEFUL = ("HUFL", "MUFL")  # the two channels in which the loss was found to lie


def _errors(ledger: Ledger, cell: str, profile: str) -> dict[str, np.ndarray]:
    """MSE [S, W, C] by model of a registered cell; empty unless it is complete."""
    runs = new_months(profile)[cell]
    if len(ledger.complete(runs)) < len(runs):
        return {}
    by: dict = {}
    for s in runs:
        by.setdefault(name_of(s), []).append(ledger.channel_errors(s))
    return {name: np.stack(each) for name, each in by.items()}


def by_window(ledger: Ledger, cell: str, profile: str = "paper") -> dict[str, np.ndarray]:
    """MSE [S, W] by model of a registered cell; empty unless it is complete."""
    return {name: e.mean(2) for name, e in _errors(ledger, cell, profile).items()}


def standard(ledger: Ledger, cell: str, profile: str = "paper") -> dict[str, np.ndarray]:
    """MSE [S, W] by attention of the same models on the standard test months; empty unless
    complete."""
    runs = [s.but(split="standard") for s in new_months(profile)[cell] if s.feed_forward]
    by = {a: [s for s in runs if s.attention == a] for a in ATTENTIONS}
    done = len(ledger.complete(runs)) == len(runs)
    return {a: np.stack([ledger.window_errors(s) for s in of]) for a, of in by.items() if done}


def against(errors: dict[str, np.ndarray], block: int, models=REPLACEMENTS, base="softmax"):
    """The mean of ``models`` against ``base`` by the registered contrast: the relative difference,
    the ends of its 95 % interval, its p-value. ``errors``: [S, W] by model."""
    d = contrast(errors, {m: 1 / len(models) for m in models} | {base: -1.0}, block)
    return *(v / errors[base].mean() for v in (d.mean, *d.interval())), d.p_different()


def losses(errors: dict[str, np.ndarray]) -> pd.DataFrame:
    """Correlation over the test windows of what the replacements lose against softmax (mean over
    seeds). ``errors``: [S, W] by model."""
    by_window = {m: (errors[m] - errors["softmax"]).mean(0) for m in REPLACEMENTS}
    return pd.DataFrame(by_window).corr()


def ways(ledger: Ledger, cell: str, profile: str = "paper") -> pd.DataFrame:
    """Mean of the four replacements against softmax in %, by ``how`` it is judged: ``change`` with
    its interval. The MAE has an interval over the seeds alone: it is not kept by window. What is
    said of several channels together is exploratory."""
    errors = _errors(ledger, cell, profile)
    if not errors:
        return pd.DataFrame()
    runs = new_months(profile)[cell]
    means = {name: e.mean(2) for name, e in errors.items()}
    softmax = means["softmax"]
    usual = block_length(runs[0].seq_len, runs[0].pred_len, softmax.shape[1])

    def row(how, errors, block=usual):
        return how, 100 * np.array(against(errors, block)[:3])

    rows = [row("as registered", means)]
    rows += [row(f"blocks of {b} windows", means, b) for b in (usual // 2, 2 * usual)]
    four = np.mean([means[a] for a in REPLACEMENTS], axis=0)
    paired = statistics.difference(list(four), list(softmax), usual)
    rows += [("seeds paired, not pooled",
              100 * np.array([paired.mean, *paired.interval()]) / softmax.mean())]
    mae = ledger.runs([s for s in runs if s.feed_forward]).pivot(
        index="seed", columns="attention", values="test_mae")[list(ATTENTIONS)]
    rows += [("MAE, seeds alone", 100 * np.array(interval(
        mae[list(REPLACEMENTS)].mean(axis=1) / mae.softmax - 1)))]
    rows += [row(f"channel {name}", {m: e[..., c] for m, e in errors.items()})
             for c, name in enumerate(ETT_COLUMNS)]
    of = [name in USEFUL for name in ETT_COLUMNS]
    rows += [row(how, {m: e[..., which].mean(2) for m, e in errors.items()})
             for how, which in ((" and ".join(USEFUL), of), ("the other five", np.invert(of)))]
    each = errors["softmax"].mean((0, 1))
    equal = {m: (e / each).mean(2) for m, e in errors.items()}
    rows += [row("all channels, weighted equally", equal)]
    return pd.DataFrame([(how, *v) for how, v in rows],
                        columns=["how", "change", "change_low", "change_high"])


def wider_margin(ledger: Ledger, cell: str, margin: float = 0.02,
                 profile: str = "paper") -> pd.Series:
    """p-value, uncorrected, that a loss of ``margin`` or more is excluded, by replacement."""
    errors = by_window(ledger, cell, profile)
    if not errors:
        return pd.Series(dtype=float)
    s, base = new_months(profile)[cell][0], errors["softmax"].mean()
    block = block_length(s.seq_len, s.pred_len, errors["softmax"].shape[1])
    return pd.Series({a: p_value(contrast(errors, {a: 1.0, "softmax": -1.0}, block), "not worse",
                                 margin * base) for a in REPLACEMENTS})

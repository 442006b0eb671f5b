"""The same question in other places: architectures, new months, other periods and other series."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import preregistered, runs, statistics
from ..ledger import Ledger
from ..settings import Settings
from .cells import attention_alone, everywhere, family
from .compare import by_attention


def in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """A table of ``compare`` with differences and bounds in % of the reference's MSE.

    ``change``, ``change_low``, ``change_high`` for other months, ``split_*`` for these months,
    ``seen`` the detectable difference and ``excluded`` the smallest margin of non-inferiority.
    """
    names = dict(change="difference", change_low="low", change_high="high", split_low="split_low",
                 split_high="split_high", seen="detectable", excluded="provable")
    return table.assign(**{k: 100 * table[v] / table.reference for k, v in names.items()})


def places(ledger: Ledger, title: str, profile: str = "paper") -> pd.DataFrame:
    """``cells.everywhere`` in %."""
    table = everywhere(ledger, title, profile)
    return in_percent(table) if len(table) else table


def _loss(ledger: Ledger, asked: list[Settings]) -> dict[int, np.ndarray]:
    """Zero attention's errors minus softmax's by seed, [W], in units of softmax's mean MSE."""
    by = {a: ledger.errors_by_seed(of) for a, of in by_attention(asked).items()}
    mse = np.mean([e.mean() for e in by["softmax"].values()])
    return {seed: (by["zero"][seed] - by["softmax"][seed]) / mse
            for seed in by["softmax"] if seed in by["zero"]}


def moved(ledger: Ledger, usual: list[Settings], other: list[Settings]) -> np.ndarray:
    """Loss without attention in ``other`` minus that in ``usual``, in %, with its interval for
    other months [3]; NaN where they share fewer than two seeds."""
    a, b = _loss(ledger, other), _loss(ledger, usual)
    seeds = sorted(set(a) & set(b))
    if len(seeds) < 2:
        return np.full(3, np.nan)
    block = statistics.block_length(other[0].seq_len, other[0].pred_len, len(a[seeds[0]]))
    d = statistics.difference([a[s] for s in seeds], [b[s] for s in seeds], block)
    return 100 * np.array([d.mean, *d.interval()])


def unseen(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """The registered comparisons of PatchTST on ETTh1 (P1 and P2) beside the same on the standard
    test months, in %: ``model``, ``months`` ("unseen" or "standard"), ``change``, ``change_low``,
    ``change_high``. Empty where the registered cell is not complete.
    """
    judged = preregistered.judged(ledger, profile)
    new = judged[judged.family.isin(["P1", "P2"])] if len(judged) else judged
    if new.empty:
        return pd.DataFrame(columns=["model", "months"])
    old = pd.concat([family(ledger, "PatchTST, learning rate 1e-4", profile, runs.MORE_SEEDS),
                     attention_alone(ledger, profile)])
    both = {"unseen": in_percent(new.drop_duplicates("model").assign(
        reference=1.0, split_low=np.nan, split_high=np.nan, detectable=np.nan, provable=np.nan)),
            "standard": in_percent(old)}
    names = ["model", "change", "change_low", "change_high"]
    return pd.concat([t[names].assign(months=months) for months, t in both.items()],
                     ignore_index=True)

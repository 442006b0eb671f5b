"""Each arm at its own best learning rate: the analysis, fixed before its runs.

``results/PREREGISTRATION-2.md`` states the hypothesis (R1). Errors are those of ETTh1, 336 -> 96,
on the standard test months and on the months after them, from one training.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from .ledger import Ledger
from .preregistered import contrast
from .runs import rate_of_each_arm
from .settings import Settings
from .statistics import MARGIN, MIN_SEEDS, block_length, holm

LEVEL = 0.05
FIRST_TWO = (0, 2)  # the channels HUFL and MUFL
# Test -> (minuend, channels); the subtrahend is softmax. The first decides alone, the others are
# corrected for one another (Holm).
TESTS = {"primary": ("zero", None), "HUFL and MUFL": ("zero", FIRST_TWO), "mean": ("mean", None)}


def best_rates(val: dict[str, dict[float, np.ndarray]]) -> dict[str, float]:
    """Arm -> the rate with the lowest validation MSE, the seeds [S] averaged.

    A rate with fewer seeds, the first ones, is not taken (the amendment). ValueError where its
    error lies no more than 1 % above the arm's lowest with these seeds: it needs the others too.
    """
    best = {}
    for arm, by_rate in val.items():
        most = max(len(v) for v in by_rate.values())
        whole = {rate: v for rate, v in by_rate.items() if len(v) == most}
        for rate, v in by_rate.items():
            lowest = min(np.mean(w[:len(v)]) for w in whole.values())
            if len(v) < most and np.mean(v) <= (1 + MARGIN) * lowest:
                raise ValueError(f"{arm} needs all {most} seeds at {rate:g}: the {len(v)} trained "
                                 f"have {np.mean(v):.4f} on validation, the lowest is {lowest:.4f}")
        best[arm] = min(whole, key=lambda rate: np.mean(whole[rate]))
    return best


def decide(errors: dict[str, np.ndarray], block: int, apart=slice(None)) -> pd.DataFrame:
    """One row per test. ``errors`` holds the errors [S, W, C] of each arm at its best rate;
    ``apart`` are the seeds [S] whose errors are known by channel (the second amendment).

    Differences and bounds are relative to softmax's MSE in the channels compared, and
    ``preregistered.contrast`` gives their standard error: seeds pooled over the three arms, weeks
    by moving blocks of ``block`` windows. ``p`` is two-sided; ``p_not_worse`` one-sided for a loss
    of 1 % or more; ``detectable`` the true difference that the test finds in 80 % of cases.
    """
    rows = []
    for test, (arm, channels) in TESTS.items():
        of = {name: (e if channels is None else e[apart][..., list(channels)]).mean(2)
              for name, e in errors.items()}
        base, d = of["softmax"].mean(), contrast(of, {arm: 1.0, "softmax": -1.0}, block)
        low, high = d.interval()
        rows.append(dict(test=test, arm=arm, seeds=len(of[arm]), reference=base,
                         difference=d.mean / base, low=low / base, high=high / base,
                         p_alone=d.p_different(),
                         p_not_worse=stats.t.cdf((d.mean - MARGIN * base) / d.error, d.df),
                         detectable=d.detectable() / base))
    table = pd.DataFrame(rows)
    first = table.test == "primary"
    p = table.p_alone.where(first, holm(table.p_alone.mask(first)))
    return table.assign(p=p, shown=p < LEVEL)


def by_channel(e: np.ndarray) -> np.ndarray:
    """Errors [W, C] of a run of ETTh1; where they were not kept apart, [W], that mean in each."""
    return e if e.ndim == 2 else np.repeat(e[:, None], 7, 1)


def judged(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """``decide`` on the runs of ``rate_of_each_arm``, with the rate of each arm; empty as long as
    one of them is missing, or errors by channel (``Ledger.add_channels``) of too many chosen ones.

    Windows of the standard test come first, those of the later months after them.
    """
    runs = rate_of_each_arm(profile)
    if len(ledger.complete(runs)) < len(runs):
        return pd.DataFrame()

    def of(arm, rate, split) -> list[Settings]:
        return [s for s in runs if (s.attention, s.learning_rate, s.split) == (arm, rate, split)]

    arms = dict.fromkeys(s.attention for s in runs)
    rates = dict.fromkeys(s.learning_rate for s in runs)
    val = {arm: {rate: ledger.runs(of(arm, rate, "standard")).val_mse.to_numpy() for rate in rates}
           for arm in arms}
    chosen = best_rates(val)
    picked = {arm: [[ledger.channel_errors(s) for s in of(arm, rate, split)]
                    for split in ("standard", "tail")] for arm, rate in chosen.items()}
    apart = np.all([[e.ndim == 2 for e in stretch] for both in picked.values()
                    for stretch in both], axis=0)
    if apart.sum() < MIN_SEEDS:
        return pd.DataFrame()
    errors = {arm: np.concatenate([np.stack([*map(by_channel, stretch)]) for stretch in both], 1)
              for arm, both in picked.items()}
    block = block_length(runs[0].seq_len, runs[0].pred_len, errors["softmax"].shape[1])
    table = decide(errors, block, apart)
    return table.assign(rate=table.arm.map(chosen), rate_of_softmax=chosen["softmax"])

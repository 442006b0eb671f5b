"""Several comparisons at once: corrected p-values, and the verdicts that follow."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .blocks import difference, pooled_seeds


def holm(p) -> np.ndarray:
    """p-values adjusted for their number, so that the chance of any false claim among them stays
    at the level (Holm 1979).

    NaN stays NaN and does not count.
    """
    p = np.asarray(p, dtype=float)
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


MARGIN = 0.01  # of the reference's MSE: smaller differences are called equal; fixed beforehand
WITHIN, NOT_WORSE = f"p_within_{MARGIN:.1%}", f"p_not_worse_{MARGIN:.1%}"
P_VALUES = ("p_different", WITHIN, NOT_WORSE, "p_split", "p_split_not_worse")
MIN_SEEDS = 3  # of a verdict; with two, intervals come out too short where seeds differ much
TOO_FEW = "too few seeds"


def verdict(mean: float, p_different: float, p_equivalent: float, level: float = 0.05) -> str:
    """``equivalent`` where a difference beyond the margin is excluded, else ``better``,
    ``worse`` or ``undecided``.

    A difference that is certain but within the margin is equivalent: the margin says what is too
    small to matter.
    """
    if p_equivalent < level:
        return "equivalent"
    if p_different < level:
        return "better" if mean < 0 else "worse"
    return "undecided"


def compare(errors: dict, base: str, block: int, pooled: bool = False) -> pd.DataFrame:
    """Every model of ``errors`` (name -> seed -> [windows]) against ``base``: one family of
    tests, one row per model.

    Models are paired over the seeds that both have; a model that no seed can change has the single
    seed None and is paired with all, also as ``base``. ``pooled``: the spread between seeds is
    taken over all models together, where all have the same three seeds or more (``pooled_seeds``).
    ``low`` and ``high`` are for other months, ``split_low`` and ``split_high`` for this test split
    (seeds alone). ``detectable`` and ``provable`` are in units of the MSE. p-values are adjusted
    by Holm, each kind in its own family.
    """
    rows, shared = [], None
    if (
        pooled
        and len(errors) > 2
        and len(errors[base]) >= MIN_SEEDS
        and all(set(e) == set(errors[base]) for e in errors.values())
    ):
        shared = pooled_seeds(
            [[e[seed].mean(dtype=float) for seed in errors[base]] for e in errors.values()]
        )
    for name in [n for n in errors if n != base]:
        one, other = errors[base], errors[name]
        if None in one:
            one, other = other, one
        seeds = [seed for seed in one if seed in other or None in other]
        if not seeds:
            continue
        a, b = (
            np.array([e.get(seed, e.get(None)) for seed in seeds], dtype=float)
            for e in (errors[name], errors[base])
        )
        d, mse = difference(a, b, block, shared), b.mean()
        (low, high), (split_low, split_high) = d.interval(), d.seeds_alone.interval()
        rows.append(
            dict(
                model=name,
                seeds=len(seeds),
                mse=a.mean(),
                reference=mse,
                difference=d.mean,
                low=low,
                high=high,
                se_seeds=d.seeds,
                se_windows=d.windows,
                df=d.df,
                blocks=a.shape[1] / block,
                p_different=d.p_different(),
                **{WITHIN: d.p_equivalent(MARGIN * mse), NOT_WORSE: d.p_not_worse(MARGIN * mse)},
                split_low=split_low,
                split_high=split_high,
                p_split=d.seeds_alone.p_different(),
                p_split_not_worse=d.seeds_alone.p_not_worse(MARGIN * mse),
                detectable=d.detectable(),
                provable=d.provable(),
            )
        )
    return as_family(pd.DataFrame(rows)) if rows else pd.DataFrame()


def as_family(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``compare`` with their p-values corrected for one another (Holm), and the verdicts
    that follow.
    """
    table = table.assign(**{p: holm(table[p]) for p in P_VALUES})
    return table.assign(
        verdict=[
            verdict(*v) if seeds >= MIN_SEEDS else TOO_FEW
            for seeds, *v in zip(
                table.seeds,
                table.difference,
                table.p_different,
                table[WITHIN],
                strict=True,
            )
        ]
    )

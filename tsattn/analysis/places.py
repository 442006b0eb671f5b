"""The same question in other places: architectures, new months, other periods and other series."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import preregistered, runs, statistics
from ..ledger import Ledger
from ..settings import Settings
from ..statistics import interval
from .cells import FAMILIES, attention_alone, everywhere, family
from .compare import by_attention, joined, relative_mse, replacements


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


def on_both(ledger: Ledger, title: str, profile: str = "paper") -> pd.DataFrame:
    """The replacements against softmax in % by ``cell``, attention (``model``) and seed, on the
    validation months (``val``) and the test months (``test``)."""
    rows = []
    for dataset, pred_len in sorted(runs.CELLS):
        named = by_attention(runs.attentions(profile, runs.MORE_SEEDS, dataset=dataset,
                                             pred_len=pred_len, **FAMILIES[title]))
        found = {split: relative_mse(ledger, named, split) for split in ("val", "test")}
        if len(found["val"]):
            stacked = {split: 100 * t.stack() for split, t in found.items()}
            rows.append(pd.DataFrame(stacked).reset_index(names=["seed", "model"])
                        .assign(cell=f"{dataset}-{pred_len}"))
    return joined(rows)


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


def largest_share(ledger: Ledger, changes: dict, part: int = 6, profile: str = "paper") -> float:
    """Share of the whole difference between zero and softmax that falls into the one stretch of a
    ``part`` of the test windows where most of it does; with ``changes`` of the usual run."""
    loss = np.mean(list(_loss(ledger, runs.attentions(profile, **changes)).values()), axis=0)
    if not loss.shape:  # nothing has been run
        return np.nan
    n = len(loss) // part
    return (np.convolve(loss, np.ones(n), "valid") / loss.sum()).max()


def redundancy_alone(ledger: Ledger, changed: dict[str, list[Settings]]) -> pd.DataFrame:
    """Zero attention against softmax with each change of the architecture (name -> runs).

    Every change had its own question before it was run, so each row is a test of its own and is
    not corrected for the others. ``val``, ``val_low``, ``val_high``: the same on the validation
    months, over seeds alone. ``moved``, ``moved_low``, ``moved_high``: what the change adds to
    the loss without attention of the first entry of ``changed``. All in %.
    """
    tables, usual = [], next(iter(changed.values()))
    for name, of in changed.items():
        table = replacements(ledger, of)
        if table.empty:
            continue
        val = 100 * np.array(interval(relative_mse(ledger, by_attention(of))["zero"]))
        more = moved(ledger, usual, of) if of is not usual else np.full(3, np.nan)
        names = ("val", "val_low", "val_high", "moved", "moved_low", "moved_high")
        tables.append(in_percent(table).assign(
            label=name, **dict(zip(names, (*val, *more), strict=True))))
    return joined(tables)


def recorded(ledger: Ledger, starts: tuple[str, ...], profile: str = "paper") -> pd.DataFrame:
    """How many of the runs of each list of ``runs.evidence`` are recorded, for the lists whose
    name begins with one of ``starts``."""
    return pd.DataFrame([
        {"part": name, "recorded": len(ledger.complete(of)), "of": len(of)}
        for name, of in runs.evidence(profile).items() if name.startswith(starts)])


def by_list(ledger: Ledger, named: dict[str, list[Settings]]) -> pd.DataFrame:
    """``replacements`` of every list of runs that is complete, in %, with its name (``cell``)."""
    done = {name: replacements(ledger, of) for name, of in named.items()
            if of and len(ledger.complete(of)) == len(of)}
    tables = [in_percent(t).assign(cell=name) for name, t in done.items() if len(t)]
    return joined(tables)


def by_fold(ledger: Ledger, dataset: str, profile: str = "paper") -> pd.DataFrame:
    """The replacements and attention only against softmax in every period of the rolling origin
    whose runs are complete, in %."""
    asked = runs.folds(dataset, profile)
    return by_list(ledger, {fold: [s for s in asked if s.split == fold]
                            for fold in dict.fromkeys(s.split for s in asked)})


def next_place(table: pd.DataFrame, model: str = "zero") -> dict:
    """What a new period or series may show, from ``by_fold`` or ``by_list``, in %.

    ``mean`` with its interval, ``new_low`` to ``new_high`` for the next one, and ``tau``, the
    standard deviation between them (``statistics.random_effects``); ``seen``: the mean that is
    found in 80 % of cases. Empty below three.
    """
    rows = table[table.model == model] if len(table) else table
    if len(rows) < 3:
        return {}
    error = 100 * np.hypot(rows.se_seeds, rows.se_windows) / rows.reference
    found = statistics.random_effects(rows.change, error)
    return dict(places=len(rows), **{k: getattr(found, k) for k in (
        "mean", "low", "high", "new_low", "new_high", "tau")},
        seen=statistics.least_found(found.error, len(rows) - 1))


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

"""The analysis of the months that nobody had looked at, fixed before their first run.

``results/PREREGISTRATION.md`` states the hypotheses; here each is tested as it is written there. Errors
are those of the split ``tail``: rows 14,400 to 17,419 of ETTh1 and ETTh2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from .ledger import Ledger
from .runs import EXCHANGES, new_months
from .statistics import Difference, block_error, block_length, holm

REPLACEMENTS = ("identity", "zero", "mean", "fixed")
LEVEL = 0.05


@dataclass(frozen=True)
class Hypothesis:
    """``models`` against softmax in the runs ``cell``: not worse by ``margin``, better, or unequal.

    ``kind``: "not worse" (one-sided, margin of softmax's MSE), "better" (one-sided) or "different" (of the
    models' mean, two-sided). p-values of one ``family`` are corrected together (Holm).
    """

    family: str
    cell: str
    models: tuple[str, ...]
    kind: str
    margin: float = 0.01


HYPOTHESES = (
    Hypothesis("P1", "PatchTST ETTh1-96", REPLACEMENTS, "not worse"),
    Hypothesis("P1 contrast", "PatchTST ETTh1-96", REPLACEMENTS, "different"),
    Hypothesis("P2", "PatchTST ETTh1-96", ("attention only", "zero"), "not worse"),
    Hypothesis("P3", "iTransformer ETTh1-96, 1e-4 halved", ("identity", "zero"), "better"),
    Hypothesis("P3", "iTransformer ETTh1-96, constant 1e-5", ("identity", "zero"), "better"),
    Hypothesis("P4", "PatchTST ETTh2-96", REPLACEMENTS, "not worse"),
    Hypothesis("P4 contrast", "PatchTST ETTh2-96", REPLACEMENTS, "different"),
)


def name_of(s) -> str:
    """How a run is called in the hypotheses."""
    return s.attention if s.feed_forward else "attention only"


def contrast(errors: dict[str, np.ndarray], weights: dict[str, float], block: int) -> Difference:
    """sum_m w_m E_m for errors E_m [S, W] of models m, the weights adding up to 0.

    Two things were drawn. Seeds: the mean errors [V, S] of all V models in ``errors`` have a common
    residual variance s^2 once each model's and each seed's mean is taken out, with (V - 1) (S - 1) degrees
    of freedom; the contrast's part is s sqrt(sum w^2 / S). Weeks, the same for all seeds: ``block_error`` of
    the contrast's mean over the seeds, with W / block degrees of freedom. The squares add up, the degrees
    of freedom by Welch and Satterthwaite.
    """
    E = np.stack([np.asarray(e, float) for e in errors.values()])  # [V, S, W]
    V, S, W = E.shape
    w = np.array([weights.get(name, 0.0) for name in errors])
    means = E.mean(2)
    rest = means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
    df_seeds = (V - 1) * (S - 1)
    seeds = np.sqrt((rest**2).sum() / df_seeds * (w**2).sum() / S)
    series = np.tensordot(w, E.mean(1), 1)  # [W]
    windows = block_error(series, block)
    df = (seeds**2 + windows**2) ** 2 / (seeds**4 / df_seeds + windows**4 * block / W)
    return Difference(series.mean(), seeds, windows, df)


def p_value(d: Difference, kind: str, margin: float) -> float:
    """p-value of a difference of MSEs under the null hypothesis that ``kind`` denies; ``margin`` in MSE."""
    if kind == "not worse":
        return stats.t.cdf((d.mean - margin) / d.error, d.df)
    if kind == "better":
        return stats.t.cdf(d.mean / d.error, d.df)
    return d.p_different()


def decide(errors: dict[str, dict[str, np.ndarray]], block: int, hypotheses=HYPOTHESES) -> pd.DataFrame:
    """One row per comparison of ``hypotheses`` whose cell is in ``errors`` (cell -> model -> [S, W]).

    Differences and the bounds of their 95 % intervals are relative to softmax's MSE; ``p`` is corrected
    within the family, over those of its comparisons that are here, and ``confirmed`` is p < .05.
    """
    rows = []
    for h in hypotheses:
        by_model = errors.get(h.cell, {})
        if not {"softmax", *h.models} <= set(by_model):
            continue
        base = by_model["softmax"].mean()
        one = {f"mean of {len(h.models)}": {m: 1 / len(h.models) for m in h.models}}
        each = {m: {m: 1.0} for m in h.models}
        for name, weights in (one if h.kind == "different" else each).items():
            d = contrast(by_model, {**weights, "softmax": -1.0}, block)
            low, high = d.interval()
            rows.append(dict(family=h.family, cell=h.cell, model=name, kind=h.kind,
                             seeds=len(by_model["softmax"]), reference=base, difference=d.mean / base, low=low / base, high=high / base,
                             se_seeds=d.seeds / base, se_weeks=d.windows / base, df=d.df,
                             p_alone=p_value(d, h.kind, h.margin * base)))
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    corrected = table.groupby("family").p_alone.transform(holm)
    return table.assign(p=corrected, confirmed=corrected < LEVEL)


def judged(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """``decide`` on the complete cells of the ledger. A cell with a missing run is left out whole."""
    errors, block = {}, 1
    for cell, runs in new_months(profile).items():
        if len(ledger.complete(runs)) == len(runs):
            by_model: dict = {}
            for s in runs:
                by_model.setdefault(name_of(s), []).append(ledger.window_errors(s))
            errors[cell] = {name: np.stack(e) for name, e in by_model.items()}
            block = block_length(runs[0].seq_len, runs[0].pred_len, errors[cell]["softmax"].shape[1])
    return decide(errors, block)


def exchanged(table: pd.DataFrame, margin: float = 0.01) -> pd.DataFrame:
    """P5, equal within the margin: relative change of the test MSE of trained softmax models under each of ``EXCHANGES``.

    ``table`` has one row per run and exchange with ``test_mse`` and ``undisturbed``. Two one-sided t tests
    over the seeds on this stretch of months, corrected over the exchanges (Holm).
    """
    rows = []
    for name in EXCHANGES:
        change = (table.test_mse / table.undisturbed - 1)[table.intervention == name].to_numpy()
        if len(change) < 2:
            return pd.DataFrame()
        error, df = stats.sem(change), len(change) - 1
        half = stats.t.ppf(0.975, df) * error
        rows.append(dict(family="P5", intervention=name, seeds=len(change), difference=change.mean(),
                         low=change.mean() - half, high=change.mean() + half,
                         p_alone=stats.t.sf((margin - abs(change.mean())) / error, df)))
    found = pd.DataFrame(rows)
    corrected = holm(found.p_alone)
    return found.assign(p=corrected, confirmed=corrected < LEVEL)

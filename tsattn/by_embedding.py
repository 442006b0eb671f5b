"""Errors, attention gaps and attention by embedding, on the synthetic series and on ETT."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats

from . import runs
from .codebook_rule import gaps
from .data import SYNTHETIC, toy
from .ledger import Ledger
from .settings import Settings, make
from .statistics import holm, interval, of_seeds

EMBEDDINGS = {e: dict(embedding=e) for e in ("linear", "mlp", "conv", "residual")}
BOTH = ("softmax", "zero")
# Codebooks that are judged, each with its placebo: a random codebook whose table starts alike.
JUDGED = {"code": "random", "RQ-VAE": "random", "code-init": "random, code-init"}
UNITS = {SYNTHETIC: "error on events (MSE)",
         **dict.fromkeys(toy.RECALL, "error (predicting 0 = 1)")}
NAMES = ["run_id", "embedding", "attention", "seed"]
Named = dict[tuple[str, str, int], Settings]  # by embedding, attention and seed


def on_most_windows(rows: pd.DataFrame) -> pd.DataFrame:
    """Of a run measured on more windows and on fewer, the rows on the most."""
    windows = rows.windows.fillna(0)
    return rows[windows == windows.groupby(rows.run_id).transform("max")]


def unit(dataset: str) -> str:
    """What ``errors`` counts on a data set."""
    return UNITS.get(dataset, "test MSE")


def embedding_runs(dataset: str, profile: str = "paper", embeddings=EMBEDDINGS, attentions=BOTH,
                   seeds=runs.FEW_SEEDS, **changes) -> Named:
    """Runs by embedding, attention and seed; ``embeddings`` maps names to changes of settings.

    ``changes`` are for all of them. The synthetic series have their own training (``runs.toy``);
    elsewhere the rate is the talk's unless one is given.
    """
    run = functools.partial(runs.toy, dataset, profile) if dataset in UNITS else functools.partial(
        make, profile, dataset=dataset)
    return {(name, a, seed): run(attention=a, seed=seed, **changes, **change)
            for seed in seeds for name, change in embeddings.items() for a in attentions}


def codebook_runs(dataset: str, profile: str = "paper", names: Iterable[str] = runs.CODEBOOKS,
                  attentions=(*BOTH, "fixed"), seeds=None, **changes) -> Named:
    """Runs of chapter 8 by embedding, attention and seed, but for ``runs.left_out``; the names are
    those of ``runs.CODEBOOKS``, ``runs.MORE_CODEBOOKS`` and ``runs.ORACLE``. At 1e-4 on ETT.
    """
    known = runs.CODEBOOKS | runs.MORE_CODEBOOKS | runs.ORACLE
    rate = {} if dataset in UNITS else dict(learning_rate=runs.LOW_RATE)
    found = embedding_runs(dataset, profile, {n: known[n] for n in names}, attentions,
                           seeds or runs.CODEBOOK_SEEDS.get(dataset, runs.FEW_SEEDS), **rate,
                           **changes)
    return {k: s for k, s in found.items() if not runs.left_out(dataset, *k[:2])}


def errors(ledger: Ledger, asked: Named) -> pd.DataFrame:
    """Test error of what is recorded of ``asked``: run_id, embedding, attention, seed, error.

    On the state machine that at event samples, on recall a share of the error of predicting zero
    (table ``toy_errors``, on the most windows recorded), elsewhere the MSE.
    """
    dataset = next((s.dataset for s in asked.values()), "")
    if dataset in UNITS:
        found = ledger.read("toy_errors")
        if len(found):
            found = on_most_windows(found[found.intervention == "none"])
            error = found.event_mse if dataset == SYNTHETIC else found.mse / found.zero_mse
            found = found.assign(error=error)
    else:
        found = ledger.runs(ledger.complete(list(asked.values())))
        found = found.rename(columns={"test_mse": "error"})
    return _named(asked, found, "error")


def _named(asked: Named, found: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """These ``columns`` of the rows of ``asked`` in ``found``, under their ``NAMES``."""
    named = pd.DataFrame([(s.run_id, *name) for name, s in asked.items()], columns=NAMES)
    if found.empty:
        return named[:0].reindex(columns=[*NAMES, *columns])
    return found[["run_id", *columns]].merge(named, on="run_id")[[*NAMES, *columns]]


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """By embedding: how much larger the relative gap is than with linear, paired by seed.

    ``table`` as of ``errors``; columns gap (mean), gain, low, high, seeds, detectable (the gain
    that is found in 80 % of cases), p (two-sided, Holm over the embeddings).
    """
    wide = gaps(table).relative.unstack("embedding") if len(table) else pd.DataFrame()
    rows = {}
    for name in wide.columns.drop("linear") if "linear" in wide else ():
        gap, linear = wide[[name, "linear"]].dropna().to_numpy().T
        if len(gap):
            gain, low, high = interval(gap - linear)
            several = len(gap) > 1
            rows[name] = dict(gap=gap.mean(), gain=gain, low=low, high=high, seeds=len(gap),
                              detectable=of_seeds(gap - linear).detectable(),
                              p=stats.ttest_rel(gap, linear).pvalue if several else np.nan)
    found = pd.DataFrame(rows, ["gap", "gain", "low", "high", "seeds", "detectable", "p"]).T
    if found.p.notna().all():
        found["p"] = holm(found.p)
    return found.rename_axis("embedding")


def attention(ledger: Ledger, asked: Named) -> pd.DataFrame:
    """Mean over layers and heads of lift, AUC and entropy of softmax, by embedding and seed.

    On recall of the query patch that asks, on the state machine of all of them.
    """
    softmax = {k: s for k, s in asked.items() if s.attention == "softmax"}
    found = _named(softmax, ledger.read("attention_by_head"), "lift", "auc", "entropy")
    return found.groupby(["embedding", "seed"])[["lift", "auc", "entropy"]].mean().reset_index()

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
from .statistics import detectable, holm, paired

EMBEDDINGS = {e: dict(embedding=e) for e in ("linear", "mlp", "conv", "residual")}
BOTH = ("softmax", "zero")
THREE = (*BOTH, "fixed")
# Codebooks that are judged, each with its placebo: a random codebook whose table starts alike.
JUDGED = {"code": "random", "RQ-VAE": "random", "code-init": "random, code-init"}
UNITS = {SYNTHETIC: "error on events (MSE)",
         **dict.fromkeys(toy.RECALL, "error (predicting 0 = 1)")}


def on_most_windows(rows: pd.DataFrame) -> pd.DataFrame:
    """Of a run measured on more windows and on fewer, the rows on the most."""
    if "windows" not in rows:
        return rows
    windows = rows.windows.fillna(0)
    return rows[windows == windows.groupby(rows.run_id).transform("max")]


def unit(dataset: str) -> str:
    """What ``errors`` counts on a data set."""
    return UNITS.get(dataset, "test MSE")


def embedding_runs(
    dataset: str, profile: str = "paper", embeddings=None, attentions=BOTH, seeds=runs.FEW_SEEDS,
    **changes,
) -> dict[tuple[str, str, int], Settings]:
    """Runs by embedding, attention and seed; ``embeddings`` maps names to changes of settings.

    ``changes`` are for all of them. The synthetic series have their own training (``runs.toy``);
    elsewhere the rate is the talk's unless one is given.
    """
    embeddings = EMBEDDINGS if embeddings is None else embeddings
    run = functools.partial(runs.toy, dataset, profile) if dataset in UNITS else functools.partial(
        make, profile, dataset=dataset
    )
    return {
        (name, a, seed): run(attention=a, seed=seed, **changes, **change)
        for seed in seeds
        for name, change in embeddings.items()
        for a in attentions
    }


def codebook_runs(
    dataset: str, profile: str = "paper", names: Iterable[str] | None = None, attentions=THREE,
    seeds=None, **changes,
) -> dict[tuple[str, str, int], Settings]:
    """Runs of chapter 8 by embedding, attention and seed, but for ``runs.left_out``; the names are
    those of ``runs.CODEBOOKS``, ``runs.MORE_CODEBOOKS`` and ``runs.ORACLE``. At 1e-4 on ETT.
    """
    known = runs.CODEBOOKS | runs.MORE_CODEBOOKS | runs.ORACLE
    names = runs.CODEBOOKS if names is None else names
    if seeds is None:
        seeds = runs.CODEBOOK_SEEDS.get(dataset, runs.FEW_SEEDS)
    rate = {} if dataset in UNITS else dict(learning_rate=runs.LOW_RATE)
    found = embedding_runs(dataset, profile, {n: known[n] for n in names}, attentions, seeds,
                           **rate, **changes)
    return {k: s for k, s in found.items() if not runs.left_out(dataset, *k[:2])}


def _named(asked: dict[tuple[str, str, int], Settings]) -> pd.DataFrame:
    rows = [(s.run_id, *name) for name, s in asked.items()]
    return pd.DataFrame(rows, columns=["run_id", "embedding", "attention", "seed"])


def errors(ledger: Ledger, asked: dict[tuple[str, str, int], Settings]) -> pd.DataFrame:
    """Test error of what is recorded of ``asked``: run_id, embedding, attention, seed, error.

    On the state machine that at event samples, on recall a share of the error of predicting zero
    (table ``toy_errors``, on the most windows recorded), elsewhere the MSE.
    """
    named = _named(asked)
    dataset = next(iter(asked.values())).dataset if asked else ""
    if dataset in UNITS:
        found = ledger.read("toy_errors")
        found = found.merge(named, on="run_id") if len(found) else named[:0].assign(error=[])
        if len(found):
            found = on_most_windows(found[found.intervention == "none"])
            error = found.event_mse if dataset == SYNTHETIC else found.mse / found.zero_mse
            found = found.assign(error=error)
    else:
        found = ledger.runs(ledger.complete(list(asked.values())))
        found = named.merge(found[["run_id", "test_mse"]], on="run_id") if len(found) else named[:0]
        found = found.assign(error=found.test_mse if "test_mse" in found else [])
    columns = ["run_id", "embedding", "attention", "seed", "error"]
    return found.reindex(columns=columns).reset_index(drop=True)


def gains(table: pd.DataFrame, reference: str = "linear") -> pd.DataFrame:
    """By embedding: how much larger the relative gap is than with ``reference``, paired by seed.

    ``table`` as of ``errors``; columns gap (mean), gain, low, high, seeds, detectable (the gain
    that is found in 80 % of cases), p (two-sided, Holm over the embeddings).
    """
    wide = gaps(table).relative.unstack("embedding") if len(table) else pd.DataFrame()
    return _against(wide, reference).rename(columns={"mean": "gap"})


def _against(wide: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Each column [seed] of ``wide`` less that of ``reference``, paired by seed."""
    if reference not in wide:
        return pd.DataFrame(columns=["mean", "gain", "low", "high", "seeds", "detectable", "p"])
    rows = {}
    for name in wide.columns.drop(reference):
        both = wide[[name, reference]].dropna()
        if len(both):
            gain, low, high = paired(both[name], both[reference])
            p, least = np.nan, np.nan
            if len(both) > 1:
                p = stats.ttest_rel(both[name], both[reference]).pvalue
                least = detectable(both[name] - both[reference])
            rows[name] = dict(mean=both[name].mean(), gain=gain, low=low, high=high,
                              seeds=len(both), detectable=least, p=p)
    found = pd.DataFrame(rows).T.rename_axis("embedding")
    if len(found) and found.p.notna().all():
        found["p"] = holm(found.p)
    return found


def attention(ledger: Ledger, asked: dict[tuple[str, str, int], Settings]) -> pd.DataFrame:
    """Mean over layers and heads of lift, AUC and entropy of softmax, by embedding and seed.

    On recall of the query patch that asks, on the state machine of all of them.
    """
    named = _named({k: s for k, s in asked.items() if s.attention == "softmax"})
    found = ledger.read("attention_by_head")
    columns = ["embedding", "seed", "lift", "auc", "entropy"]
    if not len(found) or not len(named):
        return pd.DataFrame(columns=columns)
    return found.merge(named, on="run_id").groupby(columns[:2])[columns[2:]].mean().reset_index()

"""Every comparison of trained models as one tidy table: a row per variant and cell; and every run.

A *cell* is all settings but the seed and what is compared; its test windows are the same for all of
its runs. In it every attention, and softmax without feed-forward networks (``attention only``), is
compared with softmax. A second table compares trained models that are disturbed with themselves.
"""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pandas as pd
from scipy import stats

from .ledger import Ledger
from .preregistered import name_of
from .runs import toy
from .settings import ATTENTIONS, Settings, make
from .statistics import (
    COLUMNS,
    MARGIN,
    block_length,
    compare,
    corrected,
    detectable,
    equivalence,
    holm,
    interval,
)

COMPARED = ("attention", "feed_forward", "seed", "profile", "device", "cuda_graph")
CELL = tuple(f.name for f in fields(Settings) if f.name not in COMPARED)
SHOWN = ("dataset", "split", "seq_len", "pred_len", "model", "learning_rate", "embedding")
# Settings in the order in which they tell runs apart most readably.
SETTINGS = tuple(dict.fromkeys((
    "dataset", "split", "pred_len", "model", "learning_rate", "attention", "feed_forward",
    "embedding", "tokenizer", "codes", *(f.name for f in fields(Settings) if f.name != "missing"))))


def runs(ledger: Ledger | None = None) -> pd.DataFrame:
    """Complete runs with all of their settings: what is blank in ``runs.csv``, since a run is from
    before a setting existed, is the default."""
    table, usual = (ledger or Ledger()).read("runs"), asdict(Settings())
    if table.empty:
        return table
    usual = {k: usual[k] for k in SETTINGS}
    done = table[table.status == "complete"].reindex(columns=[*table, *usual.keys() - {*table}])
    return done.fillna(usual).astype({k: type(v) for k, v in usual.items()})


def selection(table: pd.DataFrame, chosen: pd.DataFrame) -> str:
    """The query of ``runs`` that gives exactly the rows ``chosen`` of ``table``; several blocks of
    settings are joined by "or"."""
    def block(part: pd.DataFrame) -> str:
        left, said = table, []
        for k in SETTINGS:
            values = sorted(part[k].unique().tolist())
            if not (inside := left[k].isin(values)).all():
                left = left[inside]
                said.append(f"{k} in {values}" if len(values) > 1 else f"{k} == {values[0]!r}")
        return (" and ".join(said) or "index >= 0") * (len(left) == len(part))

    if whole := block(chosen):
        return whole
    parts = [[of for _, of in chosen.groupby(k)] for k in SETTINGS if chosen[k].nunique() > 1]
    found = [each for each in ([block(of) for of in groups] for groups in parts) if all(each)]
    each = min(found, key=lambda e: len("".join(e)), default=None) or [
        selection(table, of) for of in parts[0]]
    return f"({') or ('.join(each)})"


def beside(rows: pd.DataFrame, asked: list[Settings]) -> pd.DataFrame:
    """``rows`` of a table of measurements with data set, attention, seed and tokens of their run;
    an empty table has these columns too."""
    names = ("run_id", "dataset", "attention", "seed", "n_tokens")
    named = pd.DataFrame({s.run_id: [getattr(s, k) for k in names] for s in asked}, names).T
    return rows.merge(named.infer_objects(), on="run_id") if len(rows) else named[:0]


def versus(ledger: Ledger, reference: list[Settings], others: dict[str, list[Settings]],
           pooled: bool = False, name: str = "softmax") -> pd.DataFrame:
    """Test errors of ``others`` (name -> runs) against ``reference``, one family: a row each.

    ``change`` is relative to the reference's MSE; ``low`` to ``high`` is its 95 % interval for
    other months, ``low_here`` to ``high_here`` for these (seeds alone). ``p`` and ``p_here`` are
    two-sided, ``p_not_worse`` is one-sided for a loss of 1 % or more, all corrected for the family
    (Holm). ``detectable``: the true change found in 80 % of cases; ``excluded``: the smallest loss
    that is excluded. ``run_ids``: what the row rests on. ``pooled`` as in ``statistics.compare``.
    Empty where the reference or all others are missing.
    """
    runs = {name: reference, **others}
    done = {key: ledger.complete(of) for key, of in runs.items()}
    errors = {key: ledger.errors_by_seed(of) for key, of in done.items() if of}
    if name not in errors:
        return pd.DataFrame(columns=[*COLUMNS, "run_ids"])
    s, windows = reference[0], len(next(iter(errors[name].values())))
    table = compare(errors, name, block_length(s.seq_len, s.pred_len, windows), pooled)
    return table.assign(run_ids=[" ".join(s.run_id for s in (*done[v], *done[name]))
                                 for v in table.variant])


def family(*tables: pd.DataFrame) -> pd.DataFrame:
    """Comparisons with references of their own, tables of a row each, as one family."""
    return corrected(pd.concat([t for t in tables if len(t)] or tables, ignore_index=True))


def comparisons(ledger: Ledger, profile: str = "paper", **only) -> pd.DataFrame:
    """``versus`` of every cell that has softmax and something beside it, in the order in which they
    were recorded; ``only`` those that have these settings.

    The columns ``SHOWN`` say which cell it is, ``settings`` what else of it is not as usual. The
    variants of a cell that have softmax's seeds are one family with one spread between seeds; one
    that has others is a family of its own.
    """
    cells, tables = {}, []
    for s in ledger.complete(ledger.all_settings().values()):
        if s.profile == profile and s.attention != "none" and all(
                getattr(s, k) == v for k, v in only.items()):
            cells.setdefault(tuple(getattr(s, k) for k in CELL), []).append(s)
    for runs in cells.values():
        by = {v: [s for s in runs if name_of(s) == v] for v in (*ATTENTIONS, "attention only")}
        by = {v: of for v, of in by.items() if of}
        reference = by.pop("softmax", [])
        seeds = {s.seed for s in reference}
        same = {v: of for v, of in by.items() if {s.seed for s in of} == seeds}
        families = [same, *({v: of} for v, of in by.items() if v not in same)]
        found = [t for f in families if f and reference
                 and len(t := versus(ledger, reference, f, pooled=True))]
        if found:
            s = reference[0]
            usual = make(profile, model=s.model, dataset=s.dataset) if s.dated else toy(s.dataset)
            differs = ", ".join(f"{k}={getattr(s, k)}" for k in CELL
                                if k not in SHOWN and getattr(s, k) != getattr(usual, k))
            tables.append(pd.concat(found).assign(**{k: getattr(s, k) for k in SHOWN},
                                                  settings=differs))
    columns = [*SHOWN, "settings", *COLUMNS, "run_ids"]
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    return found[columns]


def disturbed(changes: pd.DataFrame) -> pd.DataFrame:
    """Trained models against themselves undisturbed, one family: a row per kind of disturbance
    (``intervention``).

    ``changes`` has a row per model (``run_id``) and kind with the relative ``change`` of its test
    MSE. ``low`` to ``high`` is the 95 % interval of the mean over models, on these months; ``p`` is
    two-sided and ``p_equal`` that of two one-sided t tests of a change of 1 % or more, corrected
    for the family (Holm). The other columns are those of ``versus``.
    """
    rows = []
    for kind, of in changes.groupby("intervention", sort=False):
        v, n = of.change.to_numpy(float), len(of)
        mean, low, high = interval(v)
        rows.append({"variant": kind, "reference": "undisturbed", "seeds": n, "change": mean,
                     "low": low, "high": high, "detectable": detectable(v) if n > 1 else np.nan,
                     "p": stats.ttest_1samp(v, 0).pvalue if n > 1 else np.nan,
                     "p_equal": equivalence(v, MARGIN), "run_ids": " ".join(of.run_id)})
    table = pd.DataFrame(rows, columns=["variant", "reference", "seeds", "change", "low", "high",
                                        "detectable", "p", "p_equal", "run_ids"])
    return table.assign(p=holm(table.p), p_equal=holm(table.p_equal))

"""Every comparison of trained models as one tidy table: a row per variant and cell; and every run.

A *cell* is all settings but the seed and what is compared; its test windows are the same for all of
its runs. In it every attention, and softmax without feed-forward networks (``attention only``), is
compared with softmax. A second table compares trained models that are disturbed with themselves.
"""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pandas as pd

from .data import SYNTHETIC
from .data.toy import RECALL
from .ledger import Ledger
from .preregistered import name_of
from .runs import toy
from .settings import ATTENTIONS, Settings, make
from .statistics import MARGIN, MIN_SEEDS, block_length, difference, holm, of_seeds, pooled_seeds

COMPARED = ("attention", "feed_forward", "seed", "profile", "device", "cuda_graph")
CELL = tuple(f.name for f in fields(Settings) if f.name not in COMPARED)
SHOWN = ("dataset", "split", "seq_len", "pred_len", "model", "learning_rate", "embedding")
# Columns of ``against``; p-values of each kind are corrected in a family of their own.
P_VALUES = ("p", "p_here", "p_equal", "p_not_worse", "p_not_worse_here")
COLUMNS = ("variant", "reference", "seeds", "mse", "reference_mse", "change", "low", "high",
           "low_here", "high_here", "se_seeds", "se_weeks", "detectable", "excluded", "df",
           "blocks", *P_VALUES, "verdict")
TOO_FEW = "too few seeds"
# What ``by_embedding`` counts where it is not the MSE.
UNITS = {SYNTHETIC: "error on events (MSE)", **dict.fromkeys(RECALL, "error (predicting 0 = 1)")}

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
    if not parts:  # as of a file that has been changed: alike but for what is no column
        return f"run_id in {sorted(chosen.run_id)}"
    found = [each for each in ([block(of) for of in groups] for groups in parts) if all(each)]
    each = min(found, key=lambda e: len("".join(e)), default=None) or [
        selection(table, of) for of in parts[0]]
    return f"({') or ('.join(each)})"


def beside(rows: pd.DataFrame, asked: list[Settings]) -> pd.DataFrame:
    """``rows`` of a table of measurements with data set, attention, seed and tokens of their run;
    an empty table has these columns too."""
    names = ("run_id", "dataset", "attention", "seed", "n_tokens")
    named = pd.DataFrame([[getattr(s, k) for k in names] for s in asked], columns=names)
    return rows.merge(named, on="run_id") if len(rows) else named[:0]


def against(errors: dict, base: str, block: int, pooled: bool = False) -> pd.DataFrame:
    """Every model of ``errors`` (name -> seed -> [windows]) against ``base``: one family of
    tests, one row per model, its ``COLUMNS`` as ``versus`` explains them.

    Models are paired over the seeds that both have; a model that no seed can change has the single
    seed None and is paired with all, also as ``base``. ``pooled``: the spread between seeds is
    taken over all models together, where all have the same three seeds or more. p-values of
    equality and of a loss are for ``MARGIN``; all are adjusted by Holm.
    """
    rows, shared, own = [], None, errors[base]
    if pooled and len(errors) > 2 and len(own) >= MIN_SEEDS and all(
            set(e) == set(own) for e in errors.values()):
        shared = pooled_seeds([[e[seed].mean(dtype=float) for seed in own]
                               for e in errors.values()])
    for name, other in errors.items():
        many, few = (other, own) if None in own else (own, other)
        seeds = [seed for seed in many if seed in few or None in few]
        if name == base or not seeds:
            continue
        a, b = (np.array([e.get(seed, e.get(None)) for seed in seeds], dtype=float)
                for e in (other, own))
        d, mse = difference(a, b, block, shared), b.mean()
        here, margin = d.seeds_alone, MARGIN * mse
        (low, high), (low_here, high_here) = d.interval(), here.interval()
        relative = dict(change=d.mean, low=low, high=high, low_here=low_here, high_here=high_here,
                        se_seeds=d.seeds, se_weeks=d.windows, detectable=d.detectable(),
                        excluded=d.provable())
        rows.append(dict(
            variant=name, reference=base, seeds=len(seeds), mse=a.mean(), reference_mse=mse,
            **{k: v / mse for k, v in relative.items()}, df=d.df, blocks=a.shape[1] / block,
            p=d.p_different(), p_here=here.p_different(), p_equal=d.p_equivalent(margin),
            p_not_worse=d.p_not_worse(margin), p_not_worse_here=here.p_not_worse(margin)))
    return family(pd.DataFrame(rows, columns=COLUMNS))


def family(*tables: pd.DataFrame) -> pd.DataFrame:
    """Comparisons, of one reference or with some of their own, as one family: their p-values by
    Holm, and their verdicts, ``TOO_FEW`` below ``MIN_SEEDS``. A difference that is certain but
    within the margin is equivalent: the margin says what is too small to matter."""
    table = pd.concat([t for t in tables if len(t)] or tables, ignore_index=True)
    table = table.assign(**{p: holm(table[p]) for p in P_VALUES})
    shown = table.p < 0.05
    return table.assign(verdict=np.select(
        [table.seeds < MIN_SEEDS, table.p_equal < 0.05, shown & (table.change < 0), shown],
        [TOO_FEW, "equivalent", "better", "worse"], "undecided"))


def versus(ledger: Ledger, reference: list[Settings], others: dict[str, list[Settings]],
           pooled: bool = False, name: str = "softmax") -> pd.DataFrame:
    """Test errors of ``others`` (name -> runs) against ``reference``, one family: a row each.

    ``change`` is relative to the reference's MSE; ``low`` to ``high`` is its 95 % interval for
    other months, ``low_here`` to ``high_here`` for these (seeds alone). ``p`` and ``p_here`` are
    two-sided, ``p_not_worse`` is one-sided for a loss of 1 % or more, all corrected for the family
    (Holm). ``detectable``: the true change found in 80 % of cases; ``excluded``: the smallest loss
    that is excluded. ``run_ids``: what the row rests on. ``pooled`` as in ``against``. Empty where
    the reference or all others are missing.
    """
    runs = {name: reference, **others}
    done = {key: ledger.complete(of) for key, of in runs.items()}
    errors = {key: ledger.errors_by_seed(of) for key, of in done.items() if of}
    if name not in errors:
        return pd.DataFrame(columns=[*COLUMNS, "run_ids"])
    s, windows = reference[0], len(next(iter(errors[name].values())))
    table = against(errors, name, block_length(s.seq_len, s.pred_len, windows), pooled)
    return table.assign(run_ids=[  # those whose seeds both have
        " ".join(s.run_id for a, b in ((v, name), (name, v)) for s in done[a]
                 if not s.seeded or {s.seed, None} & {*errors[b]}) for v in table.variant])


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
        by = {v: of for v in (*ATTENTIONS, "attention only")
              if (of := [s for s in runs if name_of(s) == v])}
        reference = by.pop("softmax", [])
        seeds = {s.seed for s in reference}
        same = {v: of for v, of in by.items() if {s.seed for s in of} == seeds}
        families = [same, *({v: of} for v, of in by.items() if v not in same)]
        found = [t for f in families if f and reference
                 and len(t := versus(ledger, reference, f, pooled=True))]
        if found:
            s = reference[0]
            usual = (make if s.dated else toy)(profile=profile, model=s.model, dataset=s.dataset)
            differs = ", ".join(f"{k}={getattr(s, k)}" for k in CELL
                                if k not in SHOWN and getattr(s, k) != getattr(usual, k))
            tables.append(pd.concat(found).assign(**{k: getattr(s, k) for k in SHOWN},
                                                  settings=differs))
    columns = [*SHOWN, "settings", *COLUMNS, "run_ids"]
    return pd.concat(tables or [pd.DataFrame(columns=columns)], ignore_index=True)[columns]


def by_embedding(ledger: Ledger, asked: dict[tuple[str, str, int], Settings]) -> pd.DataFrame:
    """Test error of what is recorded of ``asked``, runs by embedding, attention and seed (such as
    ``runs.embeddings``): run_id, embedding, attention, seed, error.

    On the state machine that at event samples, on recall a share of the error of predicting zero
    (table ``toy_errors``, on the most windows recorded), elsewhere the MSE.
    """
    named = pd.DataFrame([(s.run_id, *name) for name, s in asked.items()],
                         columns=["run_id", "embedding", "attention", "seed"])
    dataset = next((s.dataset for s in asked.values()), "")
    if dataset not in UNITS:
        found = ledger.runs(ledger.complete(list(asked.values())))
        found = found.rename(columns={"test_mse": "error"})
    elif len(found := ledger.read("toy_errors")):
        found = found[found.intervention == "none"].sort_values(  # 0 and none: all windows
            "windows", key=lambda n: n.fillna(0).replace(0, float("inf")), kind="stable")
        found = found.drop_duplicates("run_id", keep="last")
        error = found.event_mse if dataset == SYNTHETIC else found.mse / found.zero_mse
        found = found.assign(error=error)
    if found.empty:
        return named[:0].assign(error=[])
    return named.merge(found[["run_id", "error"]], on="run_id")


def disturbed(changes: pd.DataFrame) -> pd.DataFrame:
    """Trained models against themselves undisturbed, one family: a row per kind of disturbance
    (``intervention``).

    ``changes`` has a row per model (``run_id``) and kind with the relative ``change`` of its test
    MSE. ``low`` to ``high`` is the 95 % interval of the mean over models, on these months; ``p`` is
    two-sided and ``p_equal`` that of two one-sided t tests of a change of 1 % or more, corrected
    for the family (Holm). The other columns are those of ``versus``.
    """
    columns = ["variant", "reference", "seeds", "change", "low", "high", "detectable", "p",
               "p_equal", "run_ids"]
    rows = []
    for kind, of in changes.groupby("intervention", sort=False):
        d = of_seeds(of.change)
        rows.append((kind, "undisturbed", len(of), d.mean, *d.interval(), d.detectable(),
                     d.p_different(), d.p_equivalent(MARGIN), " ".join(of.run_id)))
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p=holm(table.p), p_equal=holm(table.p_equal))

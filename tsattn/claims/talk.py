"""Numbers and statements of the deck that no chapter writes yet: the talk's table with fixed
attention, MAE and the authors' spread, and the second registration (R1 and R2)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from .. import registered_dose, registered_rates, runs
from ..registered_rates import LEVEL
from ..settings import ROOT

OURS = {"patchtst": dict(learning_rate=runs.LOW_RATE, seeds=runs.MORE_SEEDS),
        "patchtst-talk-rate": dict(seeds=runs.MORE_SEEDS),
        "itransformer": dict(model="iTransformer")}
THEIRS = {f"authors-{m.lower()}": m for m in ("PatchTST", "iTransformer")}
TALK = {"talk-paper": "paper", "talk-own": "lab"}
ALL = ("softmax", "identity", "zero", "mean", "fixed")
TESTS = {"zero": "primary", "two-channels": "HUFL and MUFL", "mean": "mean"}  # of R1, by name
ENDS = {"": "difference", ".low": "low", ".high": "high", ".p": "p", ".detectable": "detectable"}
FORMS = {".p": "weight", ".detectable": "share"}
SAVED = {"": "saved", ".low": "low", ".high": "high"}


@cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "tsattn" / "published" / f"{name}.csv").query(
        "dataset == 'ETTh1' and pred_len == 96").set_index("attention")


@cache
def _ours(ledger, column: str) -> pd.DataFrame:
    of = ledger.complete(runs.attentions(**OURS[column]))
    return ledger.runs(of).groupby("attention")[["test_mse", "test_mae"]].mean()


def _theirs(column: str, metric: str, part: str) -> pd.Series:
    table = _table("authors")
    return table[(table.model == THEIRS[column]) & (table.metric == metric.upper())][part]


def _error(f, metric: str, column: str, a: str) -> float:
    if column in OURS:
        return _ours(f.ledger, column)[f"test_{metric}"][a]
    if column in THEIRS:
        return _theirs(column, metric, "mean")[a]
    return _table("lab_talk")[f"{TALK[column]}_{metric}"][a]


@cache
def _rates(ledger) -> pd.DataFrame:
    return registered_rates.judged(ledger).set_index("test")


@cache
def _doses(ledger) -> pd.DataFrame:
    return registered_dose.judged(ledger).set_index(["without", "dose"])


def _below(f, test: str = "primary") -> bool:
    return _rates(f.ledger).p_not_worse[test] < LEVEL


def _shown(f, sign: int) -> bool:
    row = _rates(f.ledger).loc["primary"]
    return row.p < LEVEL and sign * row.difference > 0


def _worth(f, part: str) -> float:
    return registered_dose.worth(_doses(f.ledger).reset_index())[part] / 100


NUMBERS = {
    **{f"{metric}.{column}.{a}": (
        "weight", lambda f, of=(metric, column, a): _error(f, *of))
        for metric in ("mse", "mae") for column in (*OURS, *THEIRS, *TALK) for a in ALL
        if metric == "mae" or a == "fixed"},
    **{f"{metric}.{column}.{a}.sd": (
        "weight", lambda f, of=(column, metric, "std"), a=a: _theirs(*of)[a])
        for metric in ("mse", "mae") for column in THEIRS for a in ALL},
    **{f"rates.{name}{end}": (
        FORMS.get(end, "change"), lambda f, t=test, c=column: _rates(f.ledger).loc[t, c])
        for name, test in TESTS.items() for end, column in ENDS.items()},
    "rates.rate.softmax": ("weight", lambda f: _rates(f.ledger).rate_of_softmax["primary"]),
    **{f"rates.rate.{a}": ("weight", lambda f, t=TESTS[a]: _rates(f.ledger).rate[t])
        for a in ("zero", "mean")},
    **{f"dose.saved-{n}{end}": (
        "share", lambda f, n=n, c=column: _doses(f.ledger).loc[("zero", n), c] / 100)
        for n in (1, 3, 10, 30) for end, column in SAVED.items()},
    **{f"dose.worth{end}": ("share", lambda f, p=part: _worth(f, p))
        for end, part in {"": "dose", ".low": "low", ".high": "high"}.items()},
}
STATEMENTS = {
    "rates.loss-shown": lambda f: _shown(f, 1),
    "rates.gain-shown": lambda f: _shown(f, -1),
    "rates.below-margin": _below,
    "rates.cannot-tell": lambda f: not (_shown(f, 1) or _shown(f, -1) or _below(f)),
    "rates.as-well": lambda f: _below(f) and not (_shown(f, 1) or _shown(f, -1)),
    "dose.confirmed": lambda f: bool(_doses(f.ledger).confirmed["zero", 10]),
    "dose.worth-found": lambda f: bool(np.isfinite(_worth(f, "dose"))),
}

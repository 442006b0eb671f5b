"""Numbers and statements of the second registration (R1 and R2), which no chapter writes yet."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from .. import registered_dose, registered_rates
from ..registered_rates import LEVEL

TESTS = {"zero": "primary", "two-channels": "HUFL and MUFL", "mean": "mean"}  # of R1, by name
ENDS = {"": "difference", ".low": "low", ".high": "high", ".p": "p", ".detectable": "detectable"}
FORMS = {".p": "weight", ".detectable": "share"}
SAVED = {"": "saved", ".low": "low", ".high": "high"}


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

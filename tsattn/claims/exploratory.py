"""Numbers and statements that no test was registered for, found after the results were seen."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from .. import preregistered, runs
from ..analysis import cells, places, sensitivity
from ..statistics import block_length, holm

CELL = "PatchTST ETTh1-96"
ENDS = {"": 0, ".low": 1, ".high": 2}


@cache
def _ways(f) -> pd.DataFrame:
    return sensitivity.ways(f.ledger, CELL).set_index("how")


@cache
def _against(f, months: str, *models) -> tuple[float, float, float, float]:
    errors = f.errors_by_window(months)
    s = runs.new_months()[CELL][0]
    width = errors["softmax"].shape[1]
    return sensitivity.against(errors, block_length(s.seq_len, s.pred_len, width), *models)


@cache
def _by_rate(f) -> np.ndarray:
    """Zero attention's loss at 1e-3 less that at 1e-4, with its interval."""
    usual, other = (runs.attentions(seeds=runs.MORE_SEEDS, learning_rate=r)
                    for r in (runs.LOW_RATE, 1e-3))
    return places.moved(f.ledger, usual, other) / 100


def _at_width(f, width: int) -> float:
    table = places.places(f.ledger, cells.WIDTHS[width]).set_index(["cell", "model"])
    return table.change["ETTh1-96", "zero"] / 100


NUMBERS = {
    **{f"channels.{short}{dot}": (
        "change", lambda f, of=(how, column): _ways(f).loc[of] / 100)
        for short, how in {"useful": " and ".join(sensitivity.USEFUL), "others": "the other five",
                           "equally": "all channels, weighted equally"}.items()
        for dot, column in {"": "change", ".low": "change_low", ".high": "change_high"}.items()},
    **{f"standard-contrast{dot}": ("change", lambda f, i=i: _against(f, "standard")[i])
        for dot, i in ENDS.items()},
    "standard-contrast.p": ("weight", lambda f: _against(f, "standard")[3]),
    "registered-contrasts.p": ("weight", lambda f: holm(
        (t := preregistered.judged(f.ledger))[t.family.str.endswith("contrast")].p_alone)[0]),
    **{f"zero-over-attention-only{dot}": ("change", lambda f, i=i: _against(
        f, "unseen", ("zero",), "attention only")[i]) for dot, i in ENDS.items()},
    "window-losses.least": ("weight", lambda f: min(
        sensitivity.losses(f.errors_by_window(m)).min(axis=None) for m in ("unseen", "standard"))),
    **{f"fixed-matrix.{end}": ("weight", lambda f, end=end: getattr(
        (t := f.ledger.read("trained_matrices"))[t.run_id.str.contains("-fixed-")].weight, end)())
        for end in ("min", "max")},
    **{f"loss-by-rate{dot}": ("points", lambda f, i=i: _by_rate(f)[i]) for dot, i in ENDS.items()},
    **{f"itransformer.width-{w}": ("change", lambda f, w=w: _at_width(f, w)) for w in (256, 128)},
}
STATEMENTS = {
    "fixed-is-mean": lambda f: all(
        abs((e := f.errors_by_window(m))["fixed"].mean() - e["mean"].mean()) < 1e-4
        and sensitivity.losses(e).loc["fixed", "mean"] > 0.999 for m in ("unseen", "standard")),
    "loss-in-two-channels": lambda f: (
        f.number("channels.useful.low")[0] > 0 > f.number("channels.others")[0]
        and f.number("channels.others.high")[0] > 0 > f.number("channels.equally.low")[0]),
    "halves-not-shown-to-differ": lambda f: (
        f.number("zero-over-attention-only.low")[0] < 0
        < f.number("zero-over-attention-only.high")[0]),
    "rate-turns-the-sign": lambda f: (
        f.number("loss-by-rate.high")[0] < 0
        and f.number("patchtst-without-talk-rate")[0] < 0 < f.number("patchtst-without")[0]),
}

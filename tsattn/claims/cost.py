"""Numbers and statements of appendix B; ``facts`` takes them in."""

from __future__ import annotations

import pandas as pd

from ..analysis import cost

PIECES = {"products": "products by oneDNN", "masks": "masks drawn in bulk",
          "pages": "kept pages", "adam": "fused Adam"}
MEASURES = {"ms": ("count", "step_ms"), "times": ("times", "times"), "median": ("times", "ratio"),
            "mb": ("count", "peak_mb")}
SIZES = {"length": "seq_len", "channels": "channels", "batch": "batch_size", "width": "d_model"}
KINDS = ("softmax", "zero")


def _step(facts, attention: str, column: str) -> float:
    return cost.steps(facts.ledger)[column][attention]


def _piece(facts, piece: str, attention: str) -> float:
    """How much longer a step takes without it."""
    table = cost.recorded(facts.ledger, "pieces").set_index(["piece", "attention"])
    return table.ratio[PIECES[piece], attention] - 1


def _power(facts, size: str, attention: str) -> float:
    return cost.power(cost.recorded(facts.ledger, "curves"), SIZES[size], attention)


def _attention_part(facts, column: str) -> float:
    """What softmax attention adds to a step without it, as a share of the step."""
    return 1 - _step(facts, "zero", column) / _step(facts, "softmax", column)


def _growth_memory(facts, attention: str) -> float:
    """Peak memory at the largest batch of the growth curves, MB."""
    table = cost.recorded(facts.ledger, "curves")
    of = table[(table.grows == "batch_size") & (table.attention == attention)]
    return of.set_index("value").peak_mb.sort_index().iloc[-1]


def _runs(facts, on_card: bool):
    table = facts.ledger.read("runs")
    return table[(table.status == "complete") & ((table.device != "cpu") == on_card)]


def _card_minutes(facts) -> float:
    """From the first to the last run that a graphics card delivered; they ran side by side."""
    time = pd.to_datetime(_runs(facts, True).time)
    return (time.max() - time.min()).total_seconds() / 60


NUMBERS = {
    **{f"cost.{name}.{a}": (form, lambda f, a=a, column=column: _step(f, a, column))
       for name, (form, column) in MEASURES.items() for a in KINDS},
    "cost.ms.peer": ("count", lambda f: _step(f, "softmax", "peer_step_ms")),
    "cost.mb.peer": ("count", lambda f: _step(f, "softmax", "peer_peak_mb")),
    "cost.floor-least": ("share", lambda f: cost.steps(f.ledger).floor_share.min()),
    "cost.floor-most": ("share", lambda f: cost.steps(f.ledger).floor_share.max()),
    **{f"cost.without-{piece}.{a}": ("change", lambda f, p=piece, a=a: _piece(f, p, a))
       for piece in PIECES for a in KINDS},
    "cost.attention-of-step": ("share", lambda f: _attention_part(f, "step_ms")),
    "cost.attention-of-floor": ("share", lambda f: _attention_part(f, "floor_ms")),
    **{f"cost.twice-{size}.{a}": ("times", lambda f, s=size, a=a: 2 ** _power(f, s, a))
       for size in SIZES for a in KINDS},
    "cost.growth-mb": ("count", lambda f: _growth_memory(f, "softmax")),
    "cost.core-hours": ("count", lambda f: cost.core_hours(_runs(f, False)).sum()),
    "cost.card-minutes": ("count", _card_minutes),
    **{f"cost.minutes.{a}": ("count", lambda f, a=a: cost.whole_runs(f.ledger)["mean"][a])
       for a in KINDS},
}


STATEMENTS = {
    "cost.faster-than-peer": lambda f: (
        (cost.steps(f.ledger)[["times", "ratio"]] > 1).all(axis=None)),
    "cost.ratios-agree": lambda f: (
        (cost.steps(f.ledger).times / cost.steps(f.ledger).ratio - 1).abs() < 0.1).all(),
    "cost.attention-about-half": lambda f: all(
        0.4 < _attention_part(f, k) < 0.6 for k in ("step_ms", "floor_ms")),
    "cost.floor-less-than-half": lambda f: (cost.steps(f.ledger).floor_share < 0.5).all(),
    "cost.zero-less-than-half": lambda f: 2 * _step(f, "zero", "step_ms") < _step(
        f, "softmax", "step_ms"),
    "cost.softmax-memory-above-peer": lambda f: 1.15 < _step(f, "softmax", "memory") < 1.35,
    "cost.products-and-masks-bring-most": lambda f: all(
        min(_piece(f, p, a) for p in ("products", "masks"))
        > 2 * (abs(_piece(f, "pages", a)) + abs(_piece(f, "adam", a))) for a in KINDS),
    "cost.pages-save-some": lambda f: all(0.03 < _piece(f, "pages", a) < 0.25 for a in KINDS),
    "cost.adam-within-noise": lambda f: all(abs(_piece(f, "adam", a)) < 0.02 for a in KINDS),
    "cost.softmax-faster-than-length": lambda f: _power(f, "length", "softmax") > 1.2,
    "cost.zero-with-length": lambda f: abs(_power(f, "length", "zero") - 1) < 0.1,
    "cost.channels-proportional": lambda f: all(
        abs(_power(f, "channels", a) - 1) < 0.1 for a in KINDS),
}

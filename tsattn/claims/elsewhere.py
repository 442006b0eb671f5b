"""Numbers and statements of chapter 9."""

from __future__ import annotations

from .. import runs
from ..analysis import places

PLACES = [f"{dataset}-{pred_len}" for dataset, pred_len in runs.CELLS]
SPELT = {"1-layer": "1 layer", "stride-8": "stride 8", "without-RevIN": "without RevIN"}
ASKED = (*SPELT, "pre-norm")


def _zero(model: str, cell: str, column: str = "change"):
    return lambda f: f.places[model].loc[(cell, "zero"), column] / 100


def _pairs(group: str, column: str = "value"):
    return lambda f: f.outcomes["others-pairs"].found.comparisons.set_index("group").loc[
        group, column]


def _slower(facts, cell: str):
    """iTransformer in small steps, a row per attention."""
    return facts.slower.loc[f"iTransformer {cell}, constant 1e-5"]


NUMBERS = {
    **{f"{model}.{cell}{'.' * bool(part)}{part}": (
        "share" if part == "seen" else "change",
        _zero(model, cell, {"": "change", "seen": "seen"}.get(part, f"change_{part}")))
       for model in ("patchtst", "itransformer", "narrow") for cell in PLACES
       for part in ("", "low", "high", "seen")},
    **{f"asked.{name}{'.' * bool(part)}{part}": (
        "share" if part == "seen" else "change",
        lambda f, n=name, p=part: f.redundancy.loc[SPELT.get(n, n), {
            "": "change", "low": "change_low", "high": "change_high"}.get(p, p)] / 100)
       for name in ASKED
       for part in ("", "low", "high", "val", "moved", "moved_low", "moved_high", "seen")},
    **{f"pairs.{group}{'.' * bool(part)}{part}": (
        "share" if part == "lower" else "change", _pairs(name, part or "value"))
       for group, name in dict(all="all pairs", median="all pairs, medians", patch="patch",
                               token="token", invert="invert").items()
       for part in ("", "low", "high", "lower")},
    **{f"slower.{cell}.{a}{'.' * bool(part)}{part}": (
        "change", lambda f, c=cell, a=a, p=f"change{'_' * bool(part)}{part}": _slower(f, c).loc[
            a, p] / 100)
       for cell in PLACES for a in ("identity", "zero") for part in ("", "low", "high")},
    **{f"on-val.{cell}": ("change", lambda f, c=cell: f.on_both.val[c] / 100) for cell in PLACES},
}
STATEMENTS = {
    "patchtst-elsewhere-none-worse": lambda f: not f.places["patchtst"].verdict.eq("worse").any(),
    "patchtst-zero-lower-elsewhere": lambda f: bool(
        (f.places["patchtst"].change.xs("zero", level=1).drop("ETTh1-96") < 0).all()),
    "patchtst-months-disagree-etth2-96": lambda f: bool(
        f.on_both.val["ETTh2-96"] > 0 > f.on_both.test["ETTh2-96"]),
    "itransformer-zero-lower-everywhere": lambda f: bool(
        (f.places["itransformer"].change.xs("zero", level=1) < 0).all()),
    "itransformer-etth2-one-sixth": lambda f: all(
        places.largest_share(f.ledger, dict(model="iTransformer", dataset="ETTh2", pred_len=h))
        > 0.5 for h in (96, 192, 336, 720)),
    "slower-etth1-720-both-lead": lambda f: bool(
        _slower(f, "ETTh1-720").verdict[["identity", "zero"]].eq("better").all()),
    "slower-etth2-96-undecided": lambda f: bool(
        _slower(f, "ETTh2-96").verdict.eq("undecided").all()),
    "narrow-zero-leads-by-less": lambda f: bool(
        ((t := f.places["narrow"].change.xs("zero", level=1)) < 0).all()
        and (t > f.places["itransformer"].change.xs("zero", level=1)[t.index]).all()),
    "asked-two-worse": lambda f: set(
        f.redundancy[(f.redundancy.p_different < 0.05) & (f.redundancy.change > 0)].index)
    == {"1 layer", "stride 8"},
    "asked-one-layer-moves": lambda f: list(
        f.redundancy[(f.redundancy.moved_low > 0) | (f.redundancy.moved_high < 0)].index)
    == ["1 layer"],
    "asked-revin-behind-on-validation": lambda f: f.redundancy.val_high["without RevIN"] < 0,
    "pairs-patch-and-token-open": lambda f: all(
        (t := f.outcomes["others-pairs"].found.comparisons.set_index("group").loc[g]).low
        < 0 < t.high for g in ("patch", "token", "all pairs, medians")),
}

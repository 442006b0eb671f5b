"""Numbers and statements of chapter 9."""

from __future__ import annotations

from .. import runs
from ..analysis import places

PLACES = [f"{dataset}-{pred_len}" for dataset, pred_len in runs.CELLS]
SPELT = {"1-layer": "1 layer", "stride-8": "stride 8", "without-RevIN": "without RevIN"}


def _zero(model: str, cell: str, column: str = "change"):
    return lambda f: f.places[model].loc[(cell, "zero"), column] / 100


def _pairs(group: str, column: str = "value"):
    return lambda f: f.outcomes["others-pairs"].found.comparisons.set_index("group").loc[
        group, column]


def _at(dataset: str) -> list[str]:
    return [cell for cell in PLACES if cell.startswith(dataset)]


def _leads_by_less(facts, changes) -> bool:
    """Whether iTransformer's zero attention leads by less in ``changes`` (by place) than at its
    usual width and rate."""
    usual = facts.places["itransformer"].change.xs("zero", level=1)
    return bool((changes > usual[changes.index]).all())


def _zero_in_small_steps(facts):
    """iTransformer's zero attention in small steps, a row per place; ``KeyError`` before all."""
    table = facts.places["steps"].xs("zero", level=1).loc[PLACES]
    if table.seeds.min() < len(runs.FEW_SEEDS):
        raise KeyError("small steps are not complete")
    return table


NUMBERS = {
    **{f"periods.{model.replace(' ', '-')}{'.' * bool(part)}{part}": (
        "share" if part == "seen" else "change",
        lambda f, m=model, p=part or "mean": places.next_place(f.periods, m)[p] / 100)
       for model in ("zero", "mean", "attention only")
       for part in ("", "low", "high", "new_low", "new_high", "seen")},
    **{f"periods.fold-{k}{'.' * bool(part)}{part}": (
        "change", lambda f, k=k, p=f"split_{part}" if part else "change": f.periods.set_index(
            ["cell", "model"]).loc[(f"fold-{k}", "zero"), p] / 100)
       for k in (4, 5) for part in ("", "low", "high")},
    **{f"{model}.{cell}{'.' * bool(part)}{part}": (
        "share" if part == "seen" else "change",
        _zero(model, cell, part or "change"))
       for model in ("patchtst", "itransformer", "narrow", "steps") for cell in PLACES
       for part in ("", "seen")},
    **{f"asked.{name}{'.' * bool(part)}{part}": (
        "share" if part == "seen" else "change",
        lambda f, n=label, p=part or "change": f.redundancy.loc[n, p] / 100)
       for name, label in SPELT.items()
       for part in ("", "moved", "moved_low", "moved_high", "seen")},
    **{f"pairs.{group}{'.' * bool(part)}{part}": (
        "share" if part == "lower" else "change", _pairs(name, part or "value"))
       for group, name in dict(all="all pairs", median="all pairs, medians", patch="patch",
                               token="token", invert="invert").items()
       for part in ("", "low", "high", "lower")},
    **{f"on-val.{prefix}{cell}": ("change", lambda f, m=model, c=cell: f.on_both[m].val[c] / 100)
       for prefix, model in {"": "patchtst", "steps.": "steps"}.items() for cell in PLACES},
}
STATEMENTS = {
    "patchtst-elsewhere-none-worse": lambda f: not f.places["patchtst"].verdict.eq("worse").any(),
    "patchtst-months-disagree-etth2-96": lambda f: bool(
        f.on_both["patchtst"].val["ETTh2-96"] > 0 > f.on_both["patchtst"].test["ETTh2-96"]),
    "itransformer-zero-lower-everywhere": lambda f: bool(
        (f.places["itransformer"].change.xs("zero", level=1) < 0).all()),
    "itransformer-etth2-one-sixth": lambda f: all(
        places.largest_share(f.ledger, dict(model="iTransformer", dataset="ETTh2", pred_len=h))
        > 0.5 for h in (96, 192, 336, 720)),
    "steps-lead-less-everywhere": lambda f: _leads_by_less(f, _zero_in_small_steps(f).change),
    "steps-shown-on-etth1-alone": lambda f: set(
        (t := _zero_in_small_steps(f)).index[t.verdict == "better"]) == set(_at("ETTh1")),
    "steps-no-lead-on-validation-etth1": lambda f: bool(
        (f.on_both["steps"].val[_at("ETTh1")] > -0.5).all()),
    "steps-lead-on-validation-etth2": lambda f: bool(
        (f.on_both["steps"].val[_at("ETTh2")] < -1).all()),
    "folds-nothing-shown": lambda f: bool(
        f.periods[f.periods.model != "attention only"].verdict.eq("undecided").all()),
    "periods-last-alone-lost": lambda f: (
        f.number("periods.fold-5.low")[0] > 0 > f.number("periods.fold-4")[0]),
    "periods-undecided": lambda f: all(
        f.number(f"periods.{a}.low")[0] < 0 < f.number(f"periods.{a}.high")[0]
        for a in ("zero", "mean")),
    "narrow-zero-leads-by-less": lambda f: bool(
        ((t := f.places["narrow"].change.xs("zero", level=1)) < 0).all() and _leads_by_less(f, t)),
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

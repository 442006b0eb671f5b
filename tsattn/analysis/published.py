"""Our runs beside what the authors published."""

from __future__ import annotations

import pandas as pd

from .. import runs
from ..ledger import ROOT, Ledger
from ..runs import CELLS, MORE_SEEDS
from ..statistics import interval

# Its settings were chosen to come close to the authors' ETTh1-96 row: agreement confirms nothing.
CHOSEN = "iTransformer, learning rate 1e-4"
FAMILIES = {
    "PatchTST, learning rate 1e-3": {},
    "PatchTST, learning rate 1e-4": dict(learning_rate=runs.LOW_RATE),
    CHOSEN: dict(model="iTransformer"),
    "iTransformer, constant learning rate 1e-5": runs.SMALL_STEPS,
    **{f"iTransformer, width {width} instead of 512": changes
       for width, changes in runs.NARROWER.items()},
}


def published(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Our mean test MSE and MAE beside the authors', one row per cell and family (``title``) of
    which we have a run, in the families' order.

    ``gap`` is ours minus theirs, ``z`` the same in their standard deviations. Theirs are rounded
    to three decimals; a deviation below 0.0005 counts as that. ``inside``: their mean lies in
    our 95 % interval over seeds. ``chosen``: our settings were chosen to come close to this
    cell, so that it confirms nothing.
    """
    authors = pd.read_csv(ROOT / "tsattn" / "published" / "authors.csv")
    authors = authors[authors.attention != "fixed"]  # in their code it stays at zero
    table = ledger.read("runs")
    if table.empty:
        return pd.DataFrame()
    titles = {
        s.run_id: title
        for title, changes in FAMILIES.items()
        for dataset, pred_len in CELLS
        for s in runs.attentions(profile, MORE_SEEDS, dataset=dataset, pred_len=pred_len, **changes)
    }
    table = table[table.run_id.isin(titles) & (table.status == "complete")]
    ours = (
        table.assign(title=table.run_id.map(titles))
        .rename(columns={"test_mse": "MSE", "test_mae": "MAE"})
        .melt(
            ["title", "model", "dataset", "pred_len", "attention", "seed"],
            ["MSE", "MAE"],
            "metric",
            "value",
        )
    )
    key = ["model", "dataset", "pred_len", "metric", "attention"]
    ours = (
        ours.groupby([*key, "title"])
        .value.agg(
            ours="mean", seeds="count", low=lambda v: interval(v)[1], high=lambda v: interval(v)[2]
        )
        .reset_index()
        .merge(authors, on=key)
    )
    ours = ours.sort_values(
        "title", key=lambda t: t.map(list(FAMILIES).index), kind="stable", ignore_index=True
    )  # cells stay sorted
    gap = ours.ours - ours["mean"]
    return ours.assign(
        gap=gap,
        z=gap / ours["std"].clip(lower=0.0005),
        inside=ours["mean"].between(ours.low, ours.high),
        chosen=(ours.title == CHOSEN) & (ours.dataset == "ETTh1") & (ours.pred_len == 96),
    )

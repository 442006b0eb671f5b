"""The same comparison in every cell (data set and hours forecast), and beside what the authors
published.
"""

from __future__ import annotations

import pandas as pd

from .. import preregistered, runs
from ..ledger import ROOT, Ledger
from ..runs import CELLS, FEW_SEEDS, MORE_SEEDS
from ..settings import Settings
from ..statistics import interval
from .compare import (
    against,
    at_last_epoch,
    at_preferred_rates,
    by_attention,
    joined,
    replacements,
)

RATES = {"1e-3": 1e-3, "1e-4": runs.LOW_RATE}  # the talk's, and that of the authors' example script
# Its settings were chosen to come close to the authors' ETTh1-96 row: agreement confirms nothing.
CHOSEN = "iTransformer, learning rate 1e-4"
SMALL_STEPS = "iTransformer, constant learning rate 1e-5"
# The talk's table: its two models, each at its own learning rate and at a tenth of it.
TALK = {
    **{f"PatchTST, learning rate {name}": dict(learning_rate=rate) for name, rate in RATES.items()},
    CHOSEN: dict(model="iTransformer"),
    SMALL_STEPS: runs.SMALL_STEPS,
}

WIDTHS = {
    512: CHOSEN,
    **{width: f"iTransformer, width {width} instead of 512" for width in runs.NARROWER},
}
FAMILIES = {**TALK, **{WIDTHS[width]: changes for width, changes in runs.NARROWER.items()}}
# Asked in every cell: at the authors' rates, and iTransformer in the widths of its own scripts.
EVERYWHERE = ("PatchTST, learning rate 1e-4", *WIDTHS.values())


def patchtst(rate: float, profile: str = "paper") -> dict[str, list[Settings]]:
    """The runs that most claims rest on, by attention: PatchTST on ETTh1, 96 hours ahead, at one
    learning rate, with all seeds.
    """
    return by_attention(runs.attentions(profile, MORE_SEEDS, learning_rate=rate))


def published_by_authors() -> pd.DataFrame:
    """The authors' tables but for their "fixed", whose matrix stays at zero in their code: it is
    not the model that has the name here.
    """
    return pd.read_csv(ROOT / "tsattn" / "published" / "authors.csv").query("attention != 'fixed'")


def family(
    ledger: Ledger,
    title: str,
    profile: str = "paper",
    seeds=FEW_SEEDS,
    dataset: str = "ETTh1",
    pred_len: int = 96,
) -> pd.DataFrame:
    """``replacements`` of one of ``FAMILIES`` in one ``cell``; empty where it has not been run.

    ``authors`` is the difference between the test MSEs that they published for the model,
    relative to softmax, without that of "fixed" (``published_by_authors``), and ``inside`` says
    whether it lies in our interval; ``unfinished`` of ``trained`` runs were kept after the last
    epoch allowed.
    """
    settings = FAMILIES[title]
    asked = runs.attentions(profile, seeds, dataset=dataset, pred_len=pred_len, **settings)
    table = replacements(ledger, asked)
    if table.empty:
        return table
    late = at_last_epoch(ledger, asked)
    authors = published_by_authors().query(
        "dataset == @dataset and pred_len == @pred_len and metric == 'MSE'"
    )
    mse = authors[authors.model == settings.get("model", "PatchTST")].set_index("attention")["mean"]
    return table.assign(
        cell=f"{dataset}-{pred_len}",
        unfinished=late.sum(),
        trained=len(late),
        authors=(mse / mse["softmax"] - 1).reindex(table.model).to_numpy(),
        inside=lambda t: t.authors.between(t.low / t.reference, t.high / t.reference),
    )


def families(ledger: Ledger, profile: str = "paper") -> dict[str, pd.DataFrame]:
    """Every ``family`` of ``TALK`` on the talk's own cell."""
    return {title: family(ledger, title, profile, MORE_SEEDS) for title in TALK}


def everywhere(
    ledger: Ledger, title: str, profile: str = "paper", dataset: str = ""
) -> pd.DataFrame:
    """``family`` in every cell (of ``dataset``) that has been run, each cell a family of its own;
    the shorter horizons first within a data set.
    """
    return joined(
        family(ledger, title, profile, MORE_SEEDS if cell == CELLS[0] else FEW_SEEDS, *cell)
        for cell in sorted(CELLS)
        if cell[0] == dataset or not dataset
    )


def published(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Our mean test MSE and MAE beside the authors', one row per cell and family (``title``) of
    which we have a run, in the families' order.

    ``gap`` is ours minus theirs, ``z`` the same in their standard deviations. Theirs are rounded
    to three decimals; a deviation below 0.0005 counts as that. ``inside``: their mean lies in
    our 95 % interval over seeds. ``chosen``: our settings were chosen to come close to this
    cell, so that it confirms nothing.
    """
    authors = published_by_authors()
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


def talk_table(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """The talk's four rows, by attention: its two columns, and the ``mse`` and ``verdict`` of
    each family of ``TALK``.

    What has not been run is missing.
    """
    talk = pd.read_csv(ROOT / "tsattn" / "published" / "lab_talk.csv").set_index("attention")
    shown = {
        'talk\'s "paper" (iTransformer)': talk.paper_mse,
        "talk's own (PatchTST)": talk.lab_mse,
    }
    for title, table in families(ledger, profile).items():
        mse, verdict = pd.Series(dtype=float), pd.Series(dtype=object)
        if len(table):
            by = table.set_index("model")
            mse, verdict = (
                pd.concat([pd.Series({"softmax": by.reference.iloc[0]}), by.mse]),
                by.verdict,
            )
        shown |= {title: mse.reindex(talk.index), f"{title}: verdict": verdict.reindex(talk.index)}
    return pd.DataFrame(shown)


def attention_alone(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Softmax without feed-forward networks against PatchTST whole, both at 1e-4."""
    asked = runs.with_attention_only(profile, FEW_SEEDS, learning_rate=runs.LOW_RATE)
    softmax = by_attention([s for s in asked if s.feed_forward])["softmax"]
    return against(ledger, softmax, {"attention only": [s for s in asked if not s.feed_forward]})


def simple_models(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Linear models and MLP against PatchTST, each at the learning rate that validation prefers,
    as one family.
    """
    names = ("linear", "DLinear", "MLP (equal parameters)")
    named = {}
    for rate in RATES.values():
        known = runs.baselines(profile, learning_rate=rate)
        softmax = by_attention(runs.attentions(profile, learning_rate=rate))["softmax"]
        named[rate] = {"softmax": softmax, **{n: known[n] for n in names}}
    return at_preferred_rates(ledger, named, RATES["1e-3"])[1]


def larger_rate(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """PatchTST with softmax at the talk's 1e-3 against itself at 1e-4."""
    at = {name: patchtst(rate, profile)["softmax"] for name, rate in RATES.items()}
    return against(ledger, at["1e-4"], {"1e-3": at["1e-3"]})


def what_changes(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """What changes PatchTST's test error 96 hours ahead on ETTh1, relative to PatchTST with
    softmax at 1e-4.

    One row per change (``what``): ``value``, ``low``, ``high``, for other months; of the seeds
    the range of the model's own errors about their mean. ", unseen": as registered, on the months
    after the standard test. What has not been run is left out.
    """
    tables = (
        ("no feed-forward", attention_alone(ledger, profile), "attention only"),
        ("linear model", simple_models(ledger, profile), "linear"),
        (
            "no attention",
            family(ledger, "PatchTST, learning rate 1e-4", profile, MORE_SEEDS),
            "zero",
        ),
        ("learning rate", larger_rate(ledger, profile), "1e-3"),
    )
    rows = []
    for what, table, model in tables:
        for r in table[table.model == model].itertuples() if len(table) else ():
            rows.append(
                dict(
                    what=what,
                    **{
                        k: v / r.reference
                        for k, v in dict(value=r.difference, low=r.low, high=r.high).items()
                    },
                )
            )
    done = ledger.complete(patchtst(runs.LOW_RATE, profile)["softmax"])
    if len(done) > 1:
        mse = ledger.runs(done).test_mse
        rows.append(
            dict(
                what="seeds",
                value=0.0,
                low=mse.min() / mse.mean() - 1,
                high=mse.max() / mse.mean() - 1,
            )
        )
    new = preregistered.judged(ledger, profile)
    for r in new[new.family == "P2"].itertuples() if len(new) else ():
        what = "no attention" if r.model == "zero" else "no feed-forward"
        rows.append(dict(what=f"{what}, unseen", value=r.difference, low=r.low, high=r.high))
    return pd.DataFrame(rows, columns=["what", "value", "low", "high"])

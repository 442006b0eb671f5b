"""What the report rests on, read from the ledger alone: families of comparisons, and one line per claim of the paper.

Nothing is trained here; what has not been run says so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import runs as plan
from .ledger import ROOT, Ledger
from .settings import ATTENTIONS, Settings
from .statistics import MARGIN, TOO_FEW, as_family, as_text, block_length, compare, interval, verdicts

NOT_RUN = "not run yet"


def against(ledger: Ledger, base: list[Settings], others: dict[str, list[Settings]]) -> pd.DataFrame:
    """``statistics.compare`` of the complete runs of ``others`` (name -> runs) with those of ``base``, as one family.

    Empty where ``base`` or all others are missing.
    """
    errors = {name: ledger.errors_by_seed(runs) for name, runs in {"": base, **others}.items()}
    errors = {name: by_seed for name, by_seed in errors.items() if by_seed}
    if "" not in errors:
        return pd.DataFrame()
    n_windows = len(next(iter(errors[""].values())))
    return compare(errors, "", block_length(base[0].seq_len, base[0].pred_len, n_windows))


def by_attention(runs: list[Settings]) -> dict[str, list[Settings]]:
    """Those of ``runs`` that have an attention, by its name; an empty list where none has."""
    return {a: [s for s in runs if s.attention == a] for a in ATTENTIONS}


def replacements(ledger: Ledger, runs: list[Settings]) -> pd.DataFrame:
    """Every other attention among ``runs`` against softmax."""
    by = by_attention(runs)
    return against(ledger, by.pop("softmax"), by)


def one_family(rows: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Comparisons of one row each, with bases of their own, by ``label``, as one family; empty where none has been run."""
    rows = {label: table for label, table in rows.items() if len(table)}
    if not rows:
        return pd.DataFrame(columns=["label", "model", "difference", "low", "high", "reference", "verdict"])
    return as_family(pd.concat(rows.values(), ignore_index=True)).assign(label=list(rows))


def event_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """``compare`` of the attentions' errors on events, in multiples of the best possible, as one family.

    ``rows`` (attention, seed, block, error, best) hold sums of squared errors by stretch of the series; stretches are so much
    longer than windows that they count as independent.
    """
    sums = rows.groupby(["attention", "seed", "block"])[["error", "best"]].sum()
    multiple = sums.error / sums.best.groupby(["attention", "seed"]).transform("mean")
    by_seed = {a: {seed: v.to_numpy() for seed, v in multiple[a].groupby("seed")} for a in ATTENTIONS if a in multiple}
    return compare(by_seed, "softmax", block=1)


def event_multiples(rows: pd.DataFrame) -> pd.DataFrame:
    """Error on events in multiples of the best possible, one row per attention and seed; ``rows`` as in ``event_errors``."""
    sums = rows.groupby(["attention", "seed"])[["error", "best"]].sum()
    return (sums.error / sums.best).rename("multiple").reset_index()


ABOUT_ZERO = 0.25  # of the weight that a uniform matrix gives


def weight_in_words(lift: tuple, auc: tuple) -> str:
    """What (mean, low, high) of lift and AUC of the informative patches say of attention to them."""
    level = "about zero" if lift[2] < ABOUT_ZERO else "not zero"
    rank = "below" if auc[2] < 0.5 else "above" if auc[1] > 0.5 else "neither above nor below"
    return f"{level}; averaged over heads and layers it ranks {rank} that of other patches"


RATES = {"1e-3": 1e-3, "1e-4": plan.LOW_RATE}  # the talk's, and that of the authors' example script
CHOSEN = "iTransformer, learning rate 1e-4"  # its settings were chosen to come close to the authors' ETTh1-96 row, so that agreement confirms nothing
# The families that the talk's table is about: its two models, each at its own learning rate and at a tenth of it.
TALK = {**{f"PatchTST, learning rate {name}": dict(learning_rate=rate) for name, rate in RATES.items()},
        CHOSEN: dict(model="iTransformer"),
        "iTransformer, constant learning rate 1e-5": plan.SMALL_STEPS}

WIDTHS = {512: CHOSEN, **{width: f"iTransformer, width {width} instead of 512" for width in plan.NARROWER}}
FAMILIES = {**TALK, **{WIDTHS[width]: changes for width, changes in plan.NARROWER.items()}}
# Those that are asked in every cell: at the authors' rates, and iTransformer in the widths of its own scripts for ETT.
EVERYWHERE = ("PatchTST, learning rate 1e-4", *WIDTHS.values())


def at_last_epoch(ledger: Ledger, runs: list[Settings]) -> pd.Series:
    """Whether each complete run was kept after the last epoch allowed, so that its training was not finished."""
    done = ledger.runs(ledger.complete(runs))
    return done.best_epoch == done.epochs


def past_kept(ledger: Ledger, runs: list[Settings]) -> pd.Series:
    """Relative change of the test MSE from the epoch that is kept to the last one trained: mean over the complete runs, by attention."""
    done = ledger.complete(runs)
    curves = ledger.curves(done)
    last = curves.loc[curves.groupby("run_id").epoch.idxmax()].set_index("run_id")
    rise = (last.test_mse / ledger.runs(done).set_index("run_id").test_mse - 1).groupby(last.attention).mean()
    return rise[[a for a in ATTENTIONS if a in rise]]


def published_by_authors() -> pd.DataFrame:
    """The authors' tables but for their "fixed", whose matrix stays at zero in their code: it is not the model that has the name here."""
    return pd.read_csv(ROOT / "tsattn" / "published" / "authors.csv").query("attention != 'fixed'")


def family(ledger: Ledger, title: str, profile: str = "paper", seeds=plan.SEEDS, dataset: str = "ETTh1", pred_len: int = 96) -> pd.DataFrame:
    """``replacements`` of one of ``FAMILIES`` in one ``cell``; empty where it has not been run.

    ``authors`` is the difference between the test MSEs that they published for the model, relative to softmax, without that of "fixed"
    (``published_by_authors``), and ``inside`` says whether it lies in our interval; ``unfinished`` of ``trained`` runs were kept after
    the last epoch allowed.
    """
    settings = FAMILIES[title]
    runs = plan.attentions(profile, seeds, dataset=dataset, pred_len=pred_len, **settings)
    table = replacements(ledger, runs)
    if table.empty:
        return table
    late = at_last_epoch(ledger, runs)
    authors = published_by_authors().query("dataset == @dataset and pred_len == @pred_len and metric == 'MSE'")
    mse = authors[authors.model == settings.get("model", "PatchTST")].set_index("attention")["mean"]
    return table.assign(cell=f"{dataset}-{pred_len}", unfinished=late.sum(), trained=len(late),
                        authors=(mse / mse["softmax"] - 1).reindex(table.model).to_numpy(),
                        inside=lambda t: t.authors.between(t.low / t.reference, t.high / t.reference))


def families(ledger: Ledger, profile: str = "paper") -> dict[str, pd.DataFrame]:
    """Every ``family`` of ``TALK`` on the talk's own cell."""
    return {title: family(ledger, title, profile, plan.MORE_SEEDS) for title in TALK}


def relative_mse(ledger: Ledger, named: dict[str, list[Settings]], split: str = "val") -> pd.DataFrame:
    """MSE [seed, model] of every other model of ``named`` (model -> runs) relative to that of "softmax", minus 1, over the seeds that all of
    them have; empty if none. The validation months are a second stretch of time, though not one that was kept out of every choice: they
    chose the epoch of each run.
    """
    names = {s.run_id: name for name, runs in named.items() for s in runs if s.seeded}
    table = ledger.runs(ledger.complete([s for runs in named.values() for s in runs if s.seeded]))
    if table.empty:
        return pd.DataFrame()
    mse = table.assign(name=table.run_id.map(names)).pivot(index="seed", columns="name", values=f"{split}_mse").dropna()
    if "softmax" not in mse:
        return pd.DataFrame()
    return mse[[name for name in named if name in mse and name != "softmax"]].div(mse.softmax, axis=0) - 1


def on_validation(ledger: Ledger, named: dict[str, list[Settings]]) -> str:
    """``relative_mse`` of the validation months in %, the mean over seeds with its interval; "" if there is none."""
    val = relative_mse(ledger, named)
    return "" if val.empty else "; ".join(f"{name} {as_text(interval(val[name]), '+.1%')}" for name in val) + f" ({in_seeds(len(val))})"


def elsewhere(ledger: Ledger, profile: str = "paper") -> dict[str, pd.DataFrame]:
    """Every ``family`` of ``EVERYWHERE`` in every cell that has been run and is not that of ``TALK``; each cell is a family of its own."""
    cells = {title: [family(ledger, title, profile, dataset=dataset, pred_len=pred_len)
                     for dataset, pred_len in sorted(plan.CELLS[title in TALK:])] for title in EVERYWHERE}
    return {title: pd.concat([t for t in tables if len(t)] or tables, ignore_index=True) for title, tables in cells.items()}


def at_its_best(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Every replacement against softmax in the iTransformer, each variant with those settings of ``FAMILIES`` that validation prefers for it.

    Every cell in which softmax has been run with more than one of them is a family of its own; ``own`` and ``softmax`` are the titles of
    the preferred settings, without the model's name, and ``validation`` is the mean of ``relative_mse`` with its interval.
    """
    name, tables = "iTransformer, ", []
    for dataset, pred_len in sorted(plan.CELLS):
        named = {title.removeprefix(name): by_attention(plan.attentions(profile, dataset=dataset, pred_len=pred_len, **changes))
                 for title, changes in FAMILIES.items() if title.startswith(name)}
        if sum(bool(ledger.complete(by["softmax"])) for by in named.values()) < 2:
            continue
        titles = {s.run_id: title for title, by in named.items() for runs in by.values() for s in runs}
        best = {a: preferred(ledger, *(by[a] for by in named.values())) for a in ATTENTIONS}
        table = replacements(ledger, [s for runs in best.values() for s in runs])
        if len(table):
            val = relative_mse(ledger, best)
            tables.append(table.assign(cell=f"{dataset}-{pred_len}", own=[titles[best[a][0].run_id] for a in table.model],
                                       softmax=titles[best["softmax"][0].run_id],
                                       validation=[as_text(interval(val[a]), "+.1%") if a in val else "" for a in table.model]))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def baselines_elsewhere(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """The baselines against PatchTST with softmax, all at the authors' learning rate, in every other ``cell`` than the talk's that has been
    run; each cell is a family of its own. ``unfinished``: some run was kept after the last epoch allowed."""
    tables = []
    for dataset, pred_len in sorted(plan.CELLS[1:]):
        changes = dict(dataset=dataset, pred_len=pred_len, learning_rate=plan.LOW_RATE)
        named = plan.baselines(profile, **changes)
        table = against(ledger, by_attention(plan.attentions(profile, **changes))["softmax"], named)
        if len(table):
            tables.append(table.assign(cell=f"{dataset}-{pred_len}",
                                       unfinished=[at_last_epoch(ledger, named[name]).any() for name in table.model]))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def published(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Our mean test MSE and MAE beside the authors', one row per cell and family (``title``) of which we have a run, in the families' order.

    ``gap`` is ours minus theirs, ``z`` the same in their standard deviations. Theirs are rounded to three decimals; a deviation below
    0.0005 counts as that. ``inside``: their mean lies in our 95 % interval over seeds. ``chosen``: our settings were chosen to come
    close to this cell, so that it confirms nothing.
    """
    authors = published_by_authors()
    table = ledger.read("runs")
    if table.empty:
        return pd.DataFrame()
    titles = {s.run_id: title for title, changes in FAMILIES.items() for dataset, pred_len in plan.CELLS
              for s in plan.attentions(profile, plan.MORE_SEEDS, dataset=dataset, pred_len=pred_len, **changes)}
    table = table[table.run_id.isin(titles) & (table.status == "complete")]
    ours = table.assign(title=table.run_id.map(titles)).rename(columns={"test_mse": "MSE", "test_mae": "MAE"}).melt(
        ["title", "model", "dataset", "pred_len", "attention", "seed"], ["MSE", "MAE"], "metric", "value")
    key = ["model", "dataset", "pred_len", "metric", "attention"]
    ours = ours.groupby([*key, "title"]).value.agg(
        ours="mean", seeds="count", low=lambda v: interval(v)[1], high=lambda v: interval(v)[2]).reset_index().merge(authors, on=key)
    ours = ours.sort_values("title", key=lambda t: t.map(list(FAMILIES).index), kind="stable", ignore_index=True)  # cells stay sorted
    gap = ours.ours - ours["mean"]
    return ours.assign(gap=gap, z=gap / ours["std"].clip(lower=0.0005), inside=ours["mean"].between(ours.low, ours.high),
                       chosen=(ours.title == CHOSEN) & (ours.dataset == "ETTh1") & (ours.pred_len == 96))


# -- one line per claim

def in_seeds(n: int) -> str:
    """``n`` seeds in words."""
    return f"{n} seed{'' if n == 1 else 's'}"


def in_percent(row) -> str:
    """Difference of a row of ``compare`` in % of the reference, with its interval."""
    return as_text(np.array([row.difference, row.low, row.high]) / row.reference, "+.1%")


def span(table: pd.DataFrame) -> str:
    """The range of the differences of ``compare`` in % of the reference, and that of their intervals."""
    ours, low, high = (table[column] / table.reference for column in ("difference", "low", "high"))
    return f"{ours.min():+.1%} to {ours.max():+.1%}" + (f", all intervals within [{low.min():+.1%}, {high.max():+.1%}]" if low.notna().any() else "")


def percent(table: pd.DataFrame) -> str:
    """Every row of ``compare`` by ``in_percent``."""
    return "; ".join(f"{row.model} {in_percent(row)}" for row in table.itertuples())


HOLDS = {"better": "holds", "equivalent": "holds", "worse": "fails", "undecided": "open", TOO_FEW: "open"}


def answer(verdicts: pd.Series) -> str:
    """Whether the claim that nothing is lost holds, in bold, from the verdicts of its comparisons."""
    counts = verdicts.map(HOLDS).value_counts().reindex(["fails", "holds", "open"]).dropna().astype(int)
    of = f" of {len(verdicts)}"  # said once
    said = ", ".join(f"{word} in {n}{of * (word == counts.index[0])}" for word, n in counts.items()) if len(counts) > 1 else counts.index[0]
    return f"**{said.capitalize()}.** "


def in_words(table: pd.DataFrame, none: str = "No replacement is shown to be worse") -> str:
    """What a family of comparisons says of the claim that nothing is lost; ``none`` if none is worse."""
    if len(table) and (table.verdict == TOO_FEW).all():
        return f"No verdict: {TOO_FEW}."
    word = table.groupby("verdict").model.agg(", ".join)
    said = [f"Worse: {word['worse']}" if "worse" in word else none]
    said += [f"{text}: {word[v]}" for v, text in (("equivalent", "equal within 1 %"), ("better", "better"),
                                                  ("undecided", "undecided"), (TOO_FEW, TOO_FEW)) if v in word]
    return "; ".join(said) + "."


def claims(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """One row per claim: chapter, claim, measured, verdict, and what differs from the authors' code."""
    rows = [_replacement(title, table) for title, table in families(ledger, profile).items()]
    rows += [_elsewhere(title, table) for title, table in elsewhere(ledger, profile).items()]
    rows += [_at_its_best(ledger, profile), _learning_rates(ledger, profile), *_baselines(ledger, profile), _baselines_elsewhere(ledger, profile),
             _redundancy(ledger, profile), *_interventions(ledger, profile), _patch_length(ledger, profile), *_toy(ledger, profile)]
    return pd.DataFrame(rows)


def _row(chapter: str, claim: str, differs: str, measured: str = NOT_RUN, verdict: str = NOT_RUN) -> dict:
    return dict(chapter=chapter, claim=claim, measured=measured, verdict=verdict, differs=differs)


def _replacement(title: str, table: pd.DataFrame) -> dict:
    row = _row("01_attention_replacement", f"{title}: trained without attention it forecasts as well as with it",
               "no dropout on the matrix; sizes and schedule were chosen because they come close to the published ETTh1-96 row at 1e-4"
               if TALK[title].get("model") == "iTransformer" else
               "\"fixed\" is learned (in their code it stays a matrix of zeros); every test window is counted (theirs: the last batch is dropped)")
    if len(table):
        theirs = table.set_index("model").authors.dropna()
        row |= dict(measured=f"ETTh1-96, {_seeds(table)}: softmax {table.reference.iloc[0]:.3f}; "
                             f"{percent(table)} (authors: "
                             f"{', '.join(f'{a} {v:+.1%}' for a, v in theirs.items())}"
                             f"{'; our settings were chosen to come close to them' if title == CHOSEN else ''})",
                    verdict=answer(table.verdict) + in_words(table))
    return row


def _elsewhere(title: str, table: pd.DataFrame) -> dict:
    where = ", other horizons and ETTh2" * (title in TALK)
    row = _row("00_summary", f"{title}{where}: trained without attention it forecasts as well as with it",
               "the settings are those of ETTh1-96 throughout" if title in TALK else
               "iTransformer's own scripts have width (d_model and d_ff) 256 on ETTh1 at short horizons and 128 on ETTh2")
    if len(table):
        theirs = f" (authors {table.authors.min():+.1%} to {table.authors.max():+.1%})"
        row |= dict(measured=f"{_cells(table)}, {_seeds(table)}: replacements {span(table)}{theirs}",
                    verdict=answer(table.verdict) + in_words(_by_cell(table)))
    return row


def _at_its_best(ledger: Ledger, profile: str) -> dict:
    row = _row("00_summary", "iTransformer, each variant trained as validation prefers for it: trained without attention it forecasts as well "
               "as with it", "not in the paper")
    table = at_its_best(ledger, profile)
    if len(table):
        row |= dict(measured=f"{_cells(table)}: replacements {span(table)}", verdict=answer(table.verdict) + in_words(_by_cell(table)))
    return row


def _cells(table: pd.DataFrame) -> str:
    """The cells of ``table``, or how many if many; chapter 0 has them one by one."""
    cells = table.cell.unique()
    return " and ".join(cells) if len(cells) <= 3 else f"{len(cells)} cells"


def _seeds(table: pd.DataFrame) -> str:
    """The seeds of one ``family`` or more, and how many runs were not finished."""
    runs = table.groupby("cell")[["unfinished", "trained"]].first().sum()
    return in_seeds(table.seeds.max()) + (f", {runs.unfinished} of {runs.trained} runs unfinished" if runs.unfinished else "")


def _by_cell(table: pd.DataFrame) -> pd.DataFrame:
    """Families of several cells for ``in_words``: cells in which the same models get the same verdict are named together, and where
    there is more than one cell the undecided ones are not named but left as the rest."""
    rest = (table.verdict == "undecided") & (table.cell.nunique() > 1)
    named = table[~rest].groupby(["verdict", "cell"], sort=False).model.agg(", ".join).reset_index()
    named = named.groupby(["verdict", "model"], sort=False).cell.agg(" and ".join).reset_index()
    named["model"] = named.cell + " (" + named.model + ")"
    if rest.any():
        named.loc[len(named), ["verdict", "model"]] = "undecided", "all" if rest.all() else "all others"
    return named


def preferred(ledger: Ledger, *choices: list[Settings]) -> list[Settings]:
    """The complete runs of the choice with the lowest mean validation MSE over the seeds that all have; test errors play no part."""
    done = [runs for runs in map(ledger.complete, choices) if runs]
    shared = set.intersection(*({s.seed for s in runs} for runs in done)) if done else set()
    return min(done, key=lambda runs: ledger.runs([s for s in runs if s.seed in shared]).val_mse.mean() if shared else 0, default=[])


def baselines(ledger: Ledger, named: dict[float, dict[str, list[Settings]]], rate: float) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Every model of ``named`` (learning rate -> model -> runs) against softmax: all at ``rate``; each at the rate that validation
    prefers; and the runs of the latter by model."""
    best = {name: preferred(ledger, *(of_rate[name] for of_rate in named.values())) for name in named[rate]}
    tables = [against(ledger, models["softmax"], {name: runs for name, runs in models.items() if name != "softmax"})
              for models in (named[rate], best)]
    return *tables, best


def _baselines(ledger: Ledger, profile: str) -> list[dict]:
    named = {rate: {"softmax": by_attention(plan.attentions(profile, learning_rate=rate))["softmax"],
                    **plan.baselines(profile, learning_rate=rate)} for rate in RATES.values()}
    *tables, _ = baselines(ledger, named, RATES["1e-3"])
    rows = []
    for question, names in (("what do linear models and an MLP reach?", ["linear", "DLinear", "MLP (equal parameters)"]),
                            ("is it capacity? Zero attention widened until it costs what softmax does, and attention without feed-forward networks",
                             ["zero (equal parameters)", "zero (equal multiply-adds)", "attention only"])):
        alone = [name for name in names if sum(bool(ledger.complete(of_rate[name])) for of_rate in named.values()) == 1]
        measured, said = [], []
        for how, table in zip(("all at 1e-3", "each at whichever of 1e-3 and 1e-4 has the lower validation error"), tables):
            table = table[table.model.isin(names)] if len(table) else table
            if len(table):
                measured.append(f"{how}: {in_seeds(table.seeds.max())}, softmax {table.reference.iloc[0]:.3f}; {percent(table)}")
                said.append(f"{how[0].upper() + how[1:]}: {len(table[table.difference < 0])} of {len(table)} have a lower mean error than "
                            "softmax. " + in_words(table, none="None is shown to be worse"))
        rows.append(_row("01_attention_replacement", f"({question})", "not in the paper", *(
            ("ETTh1-96, against PatchTST with softmax, " + "; ".join(measured) + f" (at one rate only: {', '.join(alone)})" * bool(alone),
             " ".join(said)) if measured else ())))
    return rows


def _baselines_elsewhere(ledger: Ledger, profile: str) -> dict:
    row = _row("00_summary", "(what do baselines reach at other horizons and on ETTh2?)", "not in the paper")
    table = baselines_elsewhere(ledger, profile)
    if len(table):
        row |= dict(measured=f"{_cells(table)}, against PatchTST with softmax, all at 1e-4: " + "; ".join(
            f"{model}{' (unfinished)' if t.unfinished.any() else ''} {span(t)}" for model, t in table.groupby("model", sort=False)),
            verdict=in_words(_by_cell(table), none="None is shown to be worse"))
    return row


def redundancy(ledger: Ledger, changed: dict[str, list[Settings]]) -> pd.DataFrame:
    """Zero attention against softmax with each change of the architecture that has been run (name -> runs), as one family."""
    return one_family({name: replacements(ledger, runs) for name, runs in changed.items()})


def _redundancy(ledger: Ledger, profile: str) -> dict:
    row = _row("01_attention_replacement", "(what makes attention redundant? Zero against softmax, one change of the architecture at a time)",
               "not in the paper")
    table = redundancy(ledger, plan.redundancy(profile, plan.MORE_SEEDS))
    table = table.assign(model=table.label)
    return row | (dict(measured=f"ETTh1-96, learning rate 1e-4: {percent(table)}",
                       verdict=in_words(table, none="Zero attention is not shown to be worse with any")) if len(table) else {})


def learning_rates(ledger: Ledger, runs: dict[float, list[Settings]]) -> pd.DataFrame:
    """Every attention at the smallest learning rate of ``runs`` (rate -> runs) against itself at the largest, as one family."""
    large, small = by_attention(runs[max(runs)]), by_attention(runs[min(runs)])
    return one_family({a: against(ledger, large[a], {a: small[a]}) for a in ATTENTIONS})


def _learning_rates(ledger: Ledger, profile: str) -> dict:
    row = _row("01_attention_replacement", "(what does the authors' learning rate, 1e-4, change against the talk's, 1e-3?)",
               "not in the paper")
    table = learning_rates(ledger, {rate: plan.attentions(profile, plan.MORE_SEEDS, learning_rate=rate) for rate in RATES.values()})
    return row | (dict(measured=f"ETTh1-96, PatchTST: {percent(table)}",
                       verdict=in_words(table, none="No variant is shown to lose by the smaller rate")) if len(table) else {})


def changes(table: pd.DataFrame, runs: list[Settings], layers: str = "all") -> dict[str, pd.Series]:
    """Relative change of the test MSE of trained ``runs``, by run, under each of the interventions on ``layers`` in ``table``."""
    table = table[table.layers.eq(layers) | table.intervention.eq("none")]
    table = table[table.run_id.isin({s.run_id for s in runs})]
    mse = table.groupby(["intervention", "run_id"]).test_mse.mean().unstack(0)
    return {name: (mse[name] / mse["none"] - 1).dropna() for name in mse if name != "none"} if "none" in mse else {}


def _interventions(ledger: Ledger, profile: str) -> list[dict]:
    """Relative change of the test MSE of trained softmax models under interventions, mean and interval over seeds."""
    used = _row("02_attention_perturbation", "a trained PatchTST hardly needs its attention and needs its feed-forward network",
                "the noise is in units of each row's scores; the uniform matrix has rows that sum to one")
    position = _row("03_positional_encoding", "the positional encoding of a trained PatchTST can be zeroed",
                    "zero is 0 (theirs: every entry 0.5, shown beside it)")
    table = ledger.read("interventions")
    if table.empty:
        return [used, position]
    words = {"worse": "costs something", "equivalent": f"changes nothing beyond {100 * MARGIN:g} %", "better": "lowers the error",
             "undecided": "has an undecided effect", TOO_FEW: f"has {TOO_FEW} for a verdict"}
    needed = {"worse": "holds", "equivalent": "fails", "better": "fails"}  # of the claim that a part is needed
    at_rate = {at: changes(table, by_attention(plan.attentions(profile, plan.MORE_SEEDS, learning_rate=rate))["softmax"])
               for at, rate in RATES.items()}
    # The row, what is shown, and whose loss is judged; at each learning rate those are one family.
    for row, form, names, judged in (
            (used, "+.1%", ["attention removed", "feed-forward removed", "A = mean"],
             {"removing attention": "attention removed", "removing the feed-forward network": "feed-forward removed"}),
            (position, "+.2%", ["W_pos = 0", "W_pos = 0.5", "W_pos rows permuted"],
             {"zeroing it": "W_pos = 0", "setting it to 0.5, as the authors' code does,": "W_pos = 0.5"})):
        measured, said, found = [], [], []
        for at, change in at_rate.items():
            if set(judged.values()) <= set(change):
                measured.append(f"at {at}: " + "; ".join(f"{n} {as_text(interval(change[n]), form)}" for n in names if n in change))
                lost = {what: change[n] for what, n in judged.items()}
                if row is used:
                    lost["more"] = change["feed-forward removed"] - change["attention removed"]
                    measured[-1] += f"; feed-forward minus attention {as_text(interval(lost['more']), '+.1%')}"
                verdict = verdicts(lost)
                said.append(f"At {at}, " + "; ".join(f"{what} {words[verdict[what]]}" for what in judged) + ".")
                said[-1] += " The feed-forward network matters more." * (verdict.get("more") == "worse")
                first, second = list(verdict.values())[:2]
                found += [HOLDS[first]] + [needed.get(second, "open")] * (row is used)
        if measured:
            whole = f"**{found[0].capitalize() if len(set(found)) == 1 else 'In part'}.** "
            row |= dict(measured="ETTh1-96, test MSE of trained models " + "; ".join(measured), verdict=whole + " ".join(said))
    return [used, position]


def _patch_length(ledger: Ledger, profile: str) -> dict:
    row = _row("04_patch_length", "the error does not grow with patch length, down to one token",
               "stride = patch length and no padding, so that one token is left")

    many, one = (by_attention(plan.attentions(profile, patch_len=n, stride=n, pad_end=False)) for n in (16, 336))
    table = one_family({a: against(ledger, many[a], {a: one[a]}) for a in ("softmax", "zero")})
    if len(table):
        row |= dict(measured=f"ETTh1-96, learning rate 1e-3, 1 token against 21: {percent(table)}",
                    verdict=answer(table.verdict) + in_words(table, none="No loss from fewer tokens is shown"))
    return row


def _toy(ledger: Ledger, profile: str) -> list[dict]:
    """The series with known states, and the control on which attention is needed (chapter 5)."""
    states = _row("05_toy_dataset", "the event patches, which carry the information, get about zero weight",
                  "ours: longer training, and the best possible error is known")
    control = _row("05_toy_dataset", "a linear patch embedding leaves attention without anything to work on", "the control is ours")

    tables = {name: ledger.read(name) for name in ("attention_by_head", "toy_errors", "toy_continued")}

    def rows(table, dataset):
        found = tables[table]
        runs = [plan.toy(dataset, profile, attention=a, seed=seed) for a in ATTENTIONS for seed in plan.SEEDS]
        named = pd.DataFrame([dict(run_id=s.run_id, attention=s.attention, seed=s.seed) for s in runs])
        found = found.merge(named, on="run_id") if len(found) else named[:0]
        if "windows" in found:  # a chapter that was run with fewer windows leaves its rows too
            found = found[found.windows == found.groupby("run_id").windows.transform("max")]
        return found[found.intervention == "none"] if "intervention" in found else found

    def errors(dataset):
        """{attention: (mean, low, high)} of the error as a share of predicting zero."""
        return {a: interval(g.mse / g.zero_mse) for a, g in rows("toy_errors", dataset).groupby("attention", sort=False)}

    weights, on_events = rows("attention_by_head", "state-machine"), rows("toy_continued", "state-machine")
    if len(weights) and {"softmax", "zero"} <= set(on_events.attention):
        lift, auc = (interval(weights.groupby("seed")[measure].mean()) for measure in ("lift", "auc"))
        softmax, table = event_multiples(on_events).query("attention == 'softmax'").multiple, event_errors(on_events)
        states |= dict(measured=f"state machine, weight on event patches: {as_text(lift, '.2f')} of uniform, AUC {as_text(auc, '.2f')}; error "
                       f"on events, multiples of the best possible: softmax {as_text(interval(softmax), '.2f')}; "
                       + ", ".join(f"{r.model} {as_text((r.difference, r.low, r.high), '+.2f')}" for r in table.itertuples()),
                       verdict=f"**{'Holds' if lift[2] < ABOUT_ZERO else 'Fails'}.** The weight is {weight_in_words(lift, auc)}. "
                       f"As forecasts of events the replacements are: {in_words(table, none='none shown to be worse').lower()}")
    recall = errors("recall-4")
    if {"softmax", "zero"} <= set(recall):
        dial = {w: errors(f"dial-{w:g}") for w in (0.05, 0.25, 1)}
        control |= dict(measured="error as a share of predicting zero: recall of 4 pairs "
                        + ", ".join(f"{a} {as_text(v)}" for a, v in recall.items())
                        + "".join(f"; look-up needed for {w:.0%} of the variance " + ", ".join(f"{a} {as_text(v)}" for a, v in d.items())
                                  for w, d in dial.items() if d),
                        verdict="**Fails.** Where a look-up is needed, attention does it."
                        if recall["softmax"][2] < recall["zero"][1] else "**Open.** No advantage of attention is shown.")
    return [states, control]


def talk_table(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """The talk's four rows: its two columns, and our MSE and difference to softmax for each family of ``TALK``."""
    talk = pd.read_csv(ROOT / "tsattn" / "published" / "lab_talk.csv").set_index("attention")
    shown = {("talk", "'paper' (their iTransformer)"): talk.paper_mse, ("talk", "lab (PatchTST)"): talk.lab_mse}
    for title, table in families(ledger, profile).items():
        cells = {} if table.empty else {"softmax": f"{table.reference.iloc[0]:.3f}", **{
            r.model: f"{r.mse:.3f} ({r.difference:+.3f}" + (f" [{r.low:+.3f}, {r.high:+.3f}]) {r.verdict}" if r.seeds > 1 else
                                                            ", one seed)") for r in table.itertuples()}}
        shown["ours: MSE (difference to softmax) verdict", title] = pd.Series(cells, dtype=object).reindex(talk.index, fill_value=NOT_RUN)
    return pd.DataFrame(shown)


# -- README

def markdown(table: pd.DataFrame, claim: str = "claim, or (question)") -> str:
    """Rows of ``claims`` as the README's table; ``claim`` heads the column of claims."""
    lines = [f"| chapter | {claim} | does it hold? | measured |", "|---|---|---|---|"]
    lines += [f"| [{int(r.chapter[:2])}](notebooks/{r.chapter}.ipynb) | {r.claim} | {r.verdict} | {r.measured} |"
              for r in table.itertuples()]
    return "\n".join(lines)


def headline(tables: dict[str, pd.DataFrame]) -> str:
    """What the families, whose titles begin with their model, say together of every model, as the title of a figure."""
    by_model: dict = {}
    for title, t in tables.items():
        by_model.setdefault(title.partition(",")[0], []).extend(t.verdict[t.verdict != TOO_FEW] if len(t) else [])
    said = []
    for model, words in by_model.items():
        counts, of = {v: words.count(v) for v in ("worse", "better", "equivalent", "undecided") if v in words}, f" of {len(words)}"  # said once
        said += [f"{model} " + ", ".join(f"{n}{of * (i == 0)} {v}" for i, (v, n) in enumerate(counts.items()))] * bool(counts)
    return "; ".join(said) or NOT_RUN


def readme(ledger: Ledger, rows: dict[str, list[str]], profile: str = "paper") -> str:
    """The README's results: the table of ``claims``, and the headline figure with what it says.

    ``rows`` are those that executed chapters wrote themselves, by chapter; they stand in where no claim of their chapter
    could be computed here.
    """
    table = claims(ledger, profile)
    own = set(rows) - set(table[table.measured != NOT_RUN].chapter)
    lines = [markdown(table[~table.chapter.isin(own)]), *(row for chapter in sorted(own) for row in rows[chapter])]
    return "\n".join(lines) + f"\n\n![{headline(families(ledger, profile))}](figures/00_summary.png)"

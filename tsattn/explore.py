"""Two pages that work offline: every comparison, chosen, hovered over and downloaded; and the
record, its runs searched and all of its tables downloaded."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import itables
import pandas as pd
from itables.javascript import generate_init_offline_itables_html
from itables.options import dt_bundle
from vl_convert import javascript_bundle

from . import figures, text
from .compare import comparisons
from .ledger import Ledger
from .numbers import TABLE

MONTHS = {"standard": "standard test", "tail": "unseen months",
          **{f"fold-{k}": f"period {k} of 5" for k in range(1, 6)}}
# Menu -> what it shows first; None is all.
MENUS = {"data set": "ETTh1", "model": "PatchTST", "hours ahead": 96, "learning rate": "1e-4",
         "months": None, "embedding": "linear"}
TEXT = """# Explore every comparison

Each dot is one variant, trained and tested beside softmax in the same setting. Its place is the
change of the test error against softmax: right of zero the error is larger. The line is the 95 %
interval for other months. Hover over a dot, or tap it, for its value, its seeds and its runs. The
table beneath holds all comparisons, and can be sorted, searched and downloaded; `run_ids` name the
runs of [the record](ledger.md) that each rests on. *Hours ahead* are steps on series beside ETT.
"""


def table(found: pd.DataFrame) -> pd.DataFrame:
    """``compare.comparisons`` in the words of the page: changes in % of softmax's error."""
    percent = (100 * found[["change", "low", "high", "low_here", "high_here",
                            "detectable"]]).round(2)
    return pd.DataFrame({
        "variant": found.variant, "change %": percent.change, "from %": percent.low,
        "to %": percent.high, "data set": found.dataset, "model": found.model,
        "hours ahead": found.pred_len, "months": found.split.map(MONTHS),
        "learning rate": [text.figure(v, "rate") for v in found.learning_rate],
        "embedding": found.embedding, "other settings": found.settings, "seeds": found.seeds,
        "p": found.p.round(4), "error": found.mse.round(4),
        "softmax error": found.reference_mse.round(4), "these months from %": percent.low_here,
        "these months to %": percent.high_here, "could have been seen %": percent.detectable,
        "run_ids": found.run_ids})


def chart(shown: pd.DataFrame) -> alt.Chart:
    """Dots with intervals; a menu for each of ``MENUS``."""
    rows = shown.assign(row=[", ".join(filter(None, parts)) for parts in zip(
        shown.variant, shown.months.where(shown["data set"].str.startswith("ETT"), ""),
        shown["other settings"], strict=True)])
    base = alt.Chart(rows)
    for i, (name, first) in enumerate(MENUS.items()):
        options = sorted(rows[name].unique().tolist())
        menu = alt.param(f"menu{i}", value=first if first in options else None,
                         bind=alt.binding_select(name=f"{name} ", options=[None, *options],
                                                 labels=["all", *map(str, options)]))
        base = base.add_params(menu).transform_filter(
            f"menu{i} == null || datum['{name}'] == menu{i}")
    scale = alt.Scale(domain=[*figures.COLORS], range=[*figures.COLORS.values()])
    base = base.encode(
        alt.Y("row:N", title=None, axis=alt.Axis(labelLimit=260)),
        color=alt.Color("variant:N", legend=None, scale=scale), tooltip=[f"{c}:N" for c in shown])
    title = "change of the test error, %"
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color="grey").encode(
        alt.X("x:Q", title=title))
    lines = base.mark_rule(strokeWidth=2).encode(alt.X("from %:Q", title=title), alt.X2("to %:Q"))
    dots = base.mark_circle(size=90, opacity=1).encode(alt.X("change %:Q", title=title))
    return (zero + lines + dots).properties(width="container", height=alt.Step(22))


def searchable(shown: pd.DataFrame) -> str:
    """A table that is sorted, searched and downloaded in the browser, with all that it needs."""
    table = itables.to_html_datatable(
        shown, connected=False, maxBytes=0, showIndex=False, buttons=["csvHtml5"],
        lengthMenu=[10, 25, 100], classes="display nowrap compact")
    return f"{generate_init_offline_itables_html(dt_bundle)}\n{table}"


def raw(html: str) -> str:
    return f"\n```````{{raw}} html\n{html}\n```````\n"


def page(ledger: Ledger) -> str:
    """The page of comparisons as Markdown of the site; empty without any."""
    if (found := comparisons(ledger)).empty:
        return ""
    shown = table(found)
    script = javascript_bundle(  # as a module its names are its own
        f"vegaEmbed('#explore', {chart(shown).to_json(indent=None)}, {{actions: false}})")
    return TEXT + raw(f'<div id="explore"></div><script type="module">{script}</script>\n'
                      + searchable(shown))


def record(ledger: Ledger, files: Path, of: set[str] | None = None) -> str:
    """The page of the record, and in the folder ``files`` a CSV file of each of its tables; of the
    run_ids ``of``, or whole."""
    files.mkdir(parents=True)
    names = sorted({name for folder in ledger.folders for name in folder.tables()} - {TABLE})
    tables = {name: ledger.read(name) for name in names}
    if of is not None:
        tables = {k: t[t.run_id.isin(of)] for k, t in tables.items() if "run_id" in t}
    tables = {k: t for k, t in tables.items() if len(t)}
    text = "# The record\n\nEvery number of the report is computed from these tables. Each row " \
           "says how it was made: versions, sources, time.\n\n"
    if not tables:
        return text + "Nothing is recorded yet.\n"
    text += "| table | rows | columns | file |\n|---|---:|---|---|\n"
    for name, rows in tables.items():
        rows.to_csv(files / f"{name}.csv", index=False)
        text += f'| {name} | {len(rows):,} | {", ".join(rows.columns[:5])}, … | ' \
                f'<a href="results/{name}.csv" download>CSV</a> |\n'
    return text + ("\n## Runs\n" + raw(searchable(tables["runs"])) if "runs" in tables else "")

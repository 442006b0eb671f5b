"""Pages of the site that show the tables of the ledger."""

from __future__ import annotations

import json
from pathlib import Path

from .ledger import Ledger
from .numbers import TABLE

PAGE_BYTES = 1_200_000  # of a table's rows in one page; the CSV file beside it has them all


def write_tables(ledger: Ledger, source: Path, of: set[str] | None = None) -> list[str]:
    """The page ``ledger`` and one page and CSV file per table; returns the names of the tables.

    ``of``: only rows of these run_ids, and only tables that have some.
    """
    folders = [f for f in (ledger.folder, getattr(ledger, "own", None)) if f is not None]
    names = sorted({p.stem for folder in folders for p in Path(folder).glob("*.csv")} - {TABLE})
    (source / "tables").mkdir()
    (source / "results").mkdir(exist_ok=True)
    rows, shown = [], []
    for name in names:
        table = ledger.read(name)
        if of is not None:
            table = table[table.run_id.isin(of)] if "run_id" in table else table[:0]
            if table.empty:
                continue
        shown.append(name)
        table.to_csv(source / "results" / f"{name}.csv", index=False)
        rows.append(f"| [{name}](tables/{name}.md) | {len(table):,} | {len(table.columns)} | "
                    f'<a href="results/{name}.csv" download>CSV</a> |')
        (source / "tables" / f"{name}.md").write_text(table_page(name, table), encoding="utf-8")
    text = ("# The ledger\n\nEvery number of the report is computed from these tables. Each row "
            "says how it was made: versions, sources, time.\n\n")
    head = "| table | rows | columns | file |\n|---|---:|---:|---|\n"
    body = head + "\n".join(rows) if rows else "Nothing is recorded yet."
    (source / "ledger.md").write_text(text + body + "\n", encoding="utf-8")
    return shown


def table_page(name: str, table) -> str:
    """A page that shows a table 50 rows at a time, with a search field; ``site.js`` draws it."""
    lines = [[str(v) if v == v else "" for v in row] for row in table.itertuples(index=False)]
    size, fits = 0, 0
    for line in lines:
        size += len(json.dumps(line).encode())
        if size > PAGE_BYTES:
            break
        fits += 1
    data = json.dumps({"columns": list(map(str, table.columns)), "rows": lines[:fits]},
                      ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    first = "" if fits == len(lines) else f" The first {fits:,} are shown here."
    return (f"# {name}\n\n{len(lines):,} rows, {len(table.columns)} columns.{first} "
            f'<a href="../results/{name}.csv" download>Download all as CSV</a>\n\n'
            f'<div class="ledger-table"><script type="application/json">{data}</script></div>\n')

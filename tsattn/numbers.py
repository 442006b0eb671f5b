"""What the report says, by name: every number is computed once, in a visible cell of a chapter, and
every text looks it up here.

The table ``numbers`` of a ledger has a row for each number, statement and verdict: ``name``,
``value``, ``low`` and ``high`` (its 95 % interval, where it has one), ``detectable`` (the true
value that is found in 80 % of cases), ``form`` (as ``text.figure`` shows it; "holds": a statement,
1 where it is true), ``seeds``, ``words`` (of a statement or a verdict), ``chapter``, and a
``digest`` of the runs that it rests on. An executed chapter leaves its rows beside its figures;
``report --in-place`` puts them together in ``results/numbers.csv``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from .ledger import Folder, Ledger, cell, line_of, write

TABLE, HOLDS = "numbers", "holds"
FORMS = ("change", "points", "share", "times", "weight", "count", "rate", HOLDS)
VALUES = ["value", "low", "high", "detectable"]
COLUMNS = ["name", *VALUES, "form", "seeds", "words", "chapter", "digest"]


class UnknownName(KeyError):
    """A text names a number or a statement that does not exist."""


class NotRun(UnknownName):
    """The name exists, but this ledger lacks what it rests on."""


def read(ledger: Ledger) -> pd.DataFrame:
    """Everything that was said of a ledger, by name."""
    return ledger.read(TABLE).reindex(columns=COLUMNS).set_index("name")


def number(said: pd.DataFrame, name: str) -> tuple[float, str] | None:
    """Value and form of ``name``, or of ``<name>.low``, ``.high``, ``.detectable`` and ``.seeds``;
    None where nothing was said of it."""
    forms = {"seeds": "count", "detectable": "share"}
    for base, part in ((name, "value"), name.rpartition(".")[::2]):
        if base in said.index and said.form[base] != HOLDS and part in [*VALUES, "seeds"] \
                and pd.notna(said.at[base, part]):
            return float(said.at[base, part]), forms.get(part, said.form[base])
    return None


def holds(said: pd.DataFrame, name: str) -> bool | None:
    """Whether the statement ``name`` holds; None where nothing was said of it."""
    if name not in said.index or said.form[name] != HOLDS or pd.isna(said.value[name]):
        return None
    return bool(said.value[name])


def run_ids(rows) -> set[str]:
    """Of what a number rests on: ids or runs, a table with ``run_id``, or rows of ``compare``,
    which name theirs in ``run_ids``."""
    if isinstance(rows, pd.Series):
        rows = rows.to_frame().T
    if isinstance(rows, pd.DataFrame):
        rows = rows.run_id if "run_id" in rows else " ".join(rows.run_ids.dropna()).split()
    return {getattr(r, "run_id", r) for r in rows}


def support(ledger: Ledger, name: str, rows) -> tuple[int | None, str]:
    """How many seeds are among the ``rows`` that a number rests on, and the digest of its runs.
    Raises ``ValueError`` for a run that is not recorded."""
    asked = run_ids(rows)
    if not asked:
        return None, ""
    columns = ["run_id", "best_epoch", "val_mse", "test_mse"]
    runs = ledger.read("runs").reindex(columns=[*columns, "seed"])
    runs = runs[runs.run_id.isin(asked)].sort_values("run_id")
    if len(runs) < len(asked):
        raise ValueError(f"{name}: rests on {len(asked)} runs, {len(runs)} of which are recorded.")
    text = runs[columns].to_csv(index=False)
    return runs.seed.nunique(), hashlib.sha256(text.encode()).hexdigest()[:12]


def file(folder, chapter: str) -> Path:
    """Where a chapter leaves its rows."""
    return Folder(folder).file(f"{TABLE}-{chapter}")


def save(rows: Iterable[dict], path: Path) -> None:
    """Write the table of ``rows``, its values to 12 digits."""
    def text(column, value):
        if column in VALUES and pd.notna(value):
            return f"{value:.12g}"
        return cell(int(value) if column == "seeds" and pd.notna(value) else value)

    lines = [line_of(COLUMNS, {k: text(k, v) for k, v in row.items()}) for row in rows]
    write(path, "\n".join([",".join([*COLUMNS, "check"]), *lines, ""]).encode())


def gather(said: pd.DataFrame, folder, chapters: list[str]) -> pd.DataFrame:
    """``said``, with what the executed ``chapters`` left in ``folder`` in the place of what they
    said before. Raises ``ValueError`` where two chapters give one name."""
    new = [Folder(folder).frame(file(folder, c).stem) for c in chapters if
           file(folder, c).is_file()]
    again = [t.chapter.iloc[0] for t in new]
    kept = said[~said.chapter.isin(again)].reset_index()
    table = pd.concat([t for t in (kept, *new) if len(t)] or [kept])
    table = table.sort_values("chapter", kind="stable")
    if len(doubled := table[table.name.duplicated(keep=False)]):
        name = doubled.name.iloc[0]
        where = ", ".join(doubled[doubled.name == name].chapter)
        raise ValueError(f"{name}: is computed twice ({where}); a number is computed once.")
    return table.set_index("name")

"""Numbers in written text that are checked: invisible marks name what a number is, and one
function looks all of them up.

``<!-- n:NAME -->0.9 %<!-- / -->`` is a number, ``NAME`` one of ``claims.Facts``;
``NAME:abs0`` shows it without a sign and without decimals, ``NAME:2`` with two.
``<!-- holds:NAME -->words<!-- / -->`` is a statement: its words stay, but the ledger must agree.
``<!-- block:NAME -->`` to ``<!-- /block -->`` is written whole: scorecard, scorecard-ko, or
verdict-CLAIM.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from . import text
from .claims import Facts
from .ledger import Ledger, write
from .numbers import UnknownName
from .settings import ROOT

NUMBER = re.compile(r"(<!-- n:([\w.-]+?)(?::(abs)?(\d)?)? -->).*?<!-- / -->", re.S)
HOLDS = re.compile(r"<!-- holds:([\w.-]+) -->(.*?)<!-- / -->", re.S)
BLOCK = re.compile(r"(<!-- block:([\w.-]+) -->\n).*?(<!-- /block -->)", re.S)


def block(name: str, facts: Facts) -> str:
    """What is written in the block ``name``. Raises ``UnknownName``."""
    if name in ("scorecard", "scorecard-ko"):
        return text.scorecard([o for o in facts.outcomes.values() if o.claim.scorecard],
                              "ko" if name.endswith("ko") else "en")
    if (claim := name.removeprefix("verdict-")) not in facts.outcomes:
        raise UnknownName(f"{name}: no block of anchors.py has this name")
    return text.sentence(facts.outcomes[claim])


def refresh_text(written: str, facts: Facts) -> tuple[str, list[str]]:
    """``written`` with every number and block as the ledger has it, and what no refresh can
    mend, one line each: unknown names, and statements that do not hold."""
    problems = []

    def number(match) -> str:
        mark, name, unsigned, digits = match.groups()
        value, form = facts.number(name)
        shown = text.figure(abs(value) if unsigned else value, form,
                            int(digits) if digits else None, not unsigned)
        return f"{mark}{shown}<!-- / -->"

    def statement(match) -> str:
        if not facts.holds(match[1]):
            problems.append(f"{match[1]}: the ledger says otherwise; reword "
                            f"{' '.join(match[2].split())!r}")
        return match[0]

    def known(replaced):
        """``replaced``, that leaves unknown names as they are."""
        def of(match) -> str:
            try:
                return replaced(match)
            except UnknownName as error:
                problems.append(str(error.args[0]))
                return match[0]
        return of

    for pattern, replaced in ((HOLDS, statement), (NUMBER, number), (
            BLOCK, lambda match: f"{match[1]}{block(match[2], facts)}\n{match[3]}")):
        written = pattern.sub(known(replaced), written)
    return written, problems


def texts(root: Path = ROOT) -> dict[tuple[Path, int | None], str]:
    """Every text that may hold anchors: the READMEs whole, and each Markdown cell of the
    notebooks by its number."""
    found: dict = {(p, None): p.read_text("utf-8") for p in sorted(root.glob("README*.md"))}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for i, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "markdown":
                found[path, i] = cell.source
    return found


def refresh(root: Path = ROOT, ledger: Ledger | None = None) -> tuple[list[str], list[str]]:
    """Bring every anchored number under ``root`` up to date; returns the files that changed, and
    the problems."""
    facts, changed, problems = Facts(ledger or Ledger()), {}, []
    for (path, cell), written in texts(root).items():
        new, wrong = refresh_text(written, facts)
        problems += [f"{path.name}{'' if cell is None else f', cell {cell}'}: {p}" for p in wrong]
        if new != written:
            changed.setdefault(path, {})[cell] = new
    for path, cells in changed.items():
        if None in cells:
            write(path, cells[None].encode())
        else:
            notebook = nbformat.read(path, as_version=4)
            for i, new in cells.items():
                notebook.cells[i].source = new
            write(path, f"{nbformat.writes(notebook)}\n".encode())
    return [p.name for p in changed], problems

"""Numbers in written text that are checked: invisible marks name what a number is, and one
function looks all of them up.

``<!-- n:NAME -->0.9 %<!-- / -->`` is a number, ``NAME`` one of ``numbers`` or ``claims.facts``;
``NAME:abs0`` shows it without a sign and without decimals, ``NAME:2`` with two.
``<!-- holds:NAME -->words<!-- / -->`` is a statement: its words stay, but the ledger must agree.
``<!-- block:NAME -->`` to ``<!-- /block -->`` is written whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat

from . import text
from .claims import CLAIMS
from .claims.facts import Facts
from .ledger import Ledger, write
from .numbers import UnknownName
from .settings import ROOT

NUMBER = re.compile(r"<!-- n:([\w.-]+?)(?::(abs)?(\d)?)? -->(.*?)<!-- / -->", re.S)
HOLDS = re.compile(r"<!-- holds:([\w.-]+) -->(.*?)<!-- / -->", re.S)
BLOCK = re.compile(r"(<!-- block:([\w.-]+) -->\n)(.*?)(<!-- /block -->)", re.S)


def _scorecard(lang: str) -> Callable[[Facts], str]:
    return lambda facts: text.scorecard(
        [o for o in facts.outcomes.values() if o.claim.scorecard], lang
    )


BLOCKS: dict[str, Callable[[Facts], str]] = {
    "scorecard": _scorecard("en"),
    "scorecard-ko": _scorecard("ko"),
    **{f"verdict-{i}": lambda facts, i=i: text.sentence(facts.outcomes[i]) for i in CLAIMS},
}


def refresh_text(written: str, facts: Facts) -> tuple[str, list[str]]:
    """``written`` with every number and block as the ledger has it, and what no refresh can
    mend, one line each: unknown names, and statements that do not hold.
    """
    problems = []

    def shown(match) -> str:
        name, unsigned, digits, _ = match.groups()
        try:
            value, form = facts.number(name)
        except UnknownName as error:
            problems.append(str(error.args[0]))
            return match[0]
        number = text.figure(
            abs(value) if unsigned else value, form, int(digits) if digits else None, not unsigned
        )
        return match[0][: match.start(4) - match.start()] + number + "<!-- / -->"

    def block(match) -> str:
        if match[2] not in BLOCKS:
            problems.append(f"{match[2]}: no block of anchors.py has this name")
            return match[0]
        return f"{match[1]}{BLOCKS[match[2]](facts)}\n{match[4]}"

    for match in HOLDS.finditer(written):
        try:
            if not facts.holds(match[1]):
                problems.append(
                    f"{match[1]}: the ledger says otherwise; reword {' '.join(match[2].split())!r}"
                )
        except UnknownName as error:
            problems.append(str(error.args[0]))
    return NUMBER.sub(shown, BLOCK.sub(block, written)), problems


def texts(root: Path = ROOT) -> dict[tuple[Path, int | None], str]:
    """Every text that may hold anchors: the READMEs whole, and each Markdown cell of the
    notebooks by its number.
    """
    found: dict = {
        (p, None): p.read_text(encoding="utf-8") for p in sorted(root.glob("README*.md"))
    }
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for i, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "markdown":
                found[path, i] = cell.source
    return found


def refresh(root: Path = ROOT, ledger: Ledger | None = None) -> tuple[list[str], list[str]]:
    """Bring every anchored number under ``root`` up to date; returns the files that changed, and
    the problems.
    """
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

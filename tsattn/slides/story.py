"""The deck's text, ``deck.<lang>.md``, read and filled from the ledger.

A slide begins with ``## name``. Its lines are ``title:``, ``figure:``, ``alt:``, ``source:``,
``say:``, ``Q:`` followed by ``A:``, ``- `` (a line on the slide) and ``| `` (a row of a table).

``{NAME}`` is a number of ``numbers`` or ``claims.facts``, written as in ``anchors``:
``{NAME:abs0}`` without its sign and decimals. ``{CLAIM!verdict}`` is a claim's verdict ("cannot
tell" with the smallest difference that would have been found), ``{CLAIM!split}`` that for these
test months alone, ``{CLAIM!number}`` its number with the interval. ``//`` in a table is a new line.

``key [NAME NAME]: text`` holds only where all statements NAME do (``not-NAME``: where it does not).
Of several titles the first that holds and can be filled is taken. What cannot be filled has not
been run: it is left out, and the slide says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import text
from ..claims.facts import Facts
from ..numbers import NotRun, UnknownName

LANGUAGES = ("ko", "en")
PLACE = re.compile(r"\{([\w.-]+)(?::(abs)?(\d)?|!(verdict|split|number))?\}")
LINE = re.compile(r"(title|figure|alt|source|say|Q|A|-|\|)(?: \[([\w. -]+)\])?:? (.*)")
LACKING = "–"


@dataclass
class Slide:
    """One slide in words. ``incomplete``: something on it has not been run."""

    name: str
    title: str = ""
    figure: str = ""
    alt: str = ""
    source: str = ""
    lines: list[str] = field(default_factory=list)
    table: list[list[str]] = field(default_factory=list)
    say: list[str] = field(default_factory=list)
    questions: list[tuple[str, str]] = field(default_factory=list)
    incomplete: bool = False


def read(lang: str) -> tuple[dict[str, str], list[tuple[str, list[tuple[str, str, str]]]]]:
    """Fixed words, and per slide its name and lines (key, conditions, text) of the deck's file."""
    head, *slides = re.split(
        r"^## ", (Path(__file__).parent / f"deck.{lang}.md").read_text("utf-8"), flags=re.M
    )
    words = dict(re.findall(r"^([\w-]+): (.+)$", head, re.M))
    return words, [(s.split("\n", 1)[0].strip(), lines_of(s.split("\n", 1)[1])) for s in slides]


def lines_of(body: str) -> list[tuple[str, str, str]]:
    """Raises ``ValueError`` for a line of no known form."""
    found = []
    for line in filter(None, map(str.strip, body.splitlines())):
        match = LINE.fullmatch(line)
        if not match:
            raise ValueError(f"the deck's text has a line of no known form: {line!r}")
        found.append((match[1], match[2] or "", match[3]))
    return found


class Filler:
    """Fills text from one ledger."""

    def __init__(self, facts: Facts, lang: str):
        self.facts, self.lang = facts, lang

    def holds(self, conditions: str) -> bool:
        """Whether all hold. Raises ``NotRun`` where the ledger cannot tell."""
        return all(
            not self.facts.holds(name.removeprefix("not-"))
            if name.startswith("not-")
            else self.facts.holds(name)
            for name in conditions.split()
        )

    def number(self, match: re.Match) -> str:
        name, unsigned, digits, part = match.groups()
        if part:
            if name not in self.facts.outcomes:
                raise UnknownName(f"{name}: no claim has this name")
            outcome = self.facts.outcomes[name]
            if part in ("verdict", "split"):
                if part == "verdict":
                    return text.verdict(outcome, self.lang)
                if not outcome.found.split_verdict:
                    raise NotRun(f"{name}: not run yet")
                return text.VERDICTS[self.lang][outcome.found.split_verdict]
            if outcome.number is None:
                raise NotRun(f"{name}: not run yet")
            return text.with_interval(outcome.number)
        value, form = self.facts.number(name)
        if not np.isfinite(value):
            raise NotRun(f"{name}: not in this ledger")
        said = text.figure(
            abs(value) if unsigned else value, form, int(digits) if digits else None, not unsigned
        )
        korean = self.lang == "ko" and form == "times"
        return f"{said.removeprefix('×')}배" if korean else said

    def fill(self, written: str) -> str:
        """``written`` with its numbers. Raises ``NotRun`` for what has not been run."""
        return PLACE.sub(self.number, written)

    def cells(self, written: str) -> tuple[list[str], bool]:
        """Cells of a row, and whether something in it has not been run, unless it says so."""
        found, lacking = [], False
        for cell in written.split("|"):
            try:
                found.append(self.fill(cell.strip()))
            except NotRun:
                found.append(LACKING)
                lacking |= "!verdict}" not in written
        return found, lacking


def slides(facts: Facts, lang: str) -> tuple[dict[str, str], list[Slide]]:
    """The deck's fixed words and its slides in ``lang``, from the ledger of ``facts``."""
    filler, (words, written) = Filler(facts, lang), read(lang)
    return words, [_slide(name, lines, filler) for name, lines in written]


def _slide(name: str, lines: list[tuple[str, str, str]], filler: Filler) -> Slide:
    slide, asked = Slide(name), ""
    for key, conditions, written in lines:
        if key == "title" and slide.title:
            continue
        asked = "" if key == "Q" else asked
        try:
            if not filler.holds(conditions):
                continue
            said = "" if key == "|" else filler.fill(written)
        except NotRun:
            slide.incomplete |= key in ("-", "|", "title")
            continue
        if key == "|":
            cells, lacking = filler.cells(written)
            slide.table.append(cells)
            slide.incomplete |= lacking
        elif key == "-":
            slide.lines.append(said)
        elif key == "say":
            slide.say.append(said)
        elif key == "Q":
            asked = said
        elif key == "A":
            if asked:
                slide.questions.append((asked, said))
            asked = ""
        else:
            setattr(slide, key, said)
    return slide

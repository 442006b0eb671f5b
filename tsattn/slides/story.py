"""The deck's text, ``deck.<lang>.md``, read and filled with the report's numbers.

A slide begins with ``## name``; a line of it is ``key: text``. Keys are title, source (what the
slide rests on), say (notes), Q followed by A, ``-`` (a line on the slide), ``|`` (a row of a table;
``//`` in a cell is a new line), and of a picture

    figure: NAME, or forest KEY=VALUE ..., settings that its comparisons have
    alt: what is seen
    panel: what stands above a part of a forest | what the queries of its rows have in common
    ~ label | source | colour        a row of it, also ~ label | new months | standard | colour

A source is the name of a number, a query of ``compare.comparisons``, or – for none.

``{NAME}`` is a number of the report, ``{NAME:abs0}`` without its sign and decimals,
``{NAME!interval}`` with its 95 % interval, ``{CLAIM!verdict}`` a claim's verdict.

``key [NAME NAME]: text`` holds only where all statements NAME do. Of several titles the first that
holds and can be filled is taken. What cannot be filled has not been run: it is left out, and the
slide says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import text
from ..claims import Facts, Number
from ..numbers import NotRun, UnknownName

LANGUAGES = ("ko", "en")
PLACE = re.compile(r"\{([\w.-]+)(?::(abs)?(\d)?|!(verdict|interval))?\}")
LINE = re.compile(r"(title|figure|alt|panel|~|source|say|Q|A|-|\|)(?: \[([\w. -]+)\])?:? (.*)")
LACKING = "–"


@dataclass
class Picture:
    """``only``: settings of its comparisons; ``panels``: cells of each one's line and its rows."""

    name: str
    only: dict[str, str]
    alt: str = ""
    panels: list[tuple[list[str], list[list[str]]]] = field(default_factory=list)


@dataclass
class Slide:
    """One slide in words. ``incomplete``: something on it has not been run."""

    name: str
    title: str = ""
    source: str = ""
    pictures: list[Picture] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    table: list[list[str]] = field(default_factory=list)
    say: list[str] = field(default_factory=list)
    questions: list[tuple[str, str]] = field(default_factory=list)
    incomplete: bool = False


def read(lang: str) -> tuple[dict[str, str], dict[str, list[tuple[str, str, str]]]]:
    """Fixed words, and by slide the lines (key, conditions, text) of the deck's file. Raises
    ``ValueError`` for a line of no known form."""
    written = (Path(__file__).parent / f"deck.{lang}.md").read_text("utf-8")
    head, *parts = re.split(r"^## ", written, flags=re.M)
    slides = {}
    for name, *lines in (part.splitlines() for part in parts):
        found = [(line, LINE.fullmatch(line.strip())) for line in lines if line.strip()]
        if wrong := [line for line, match in found if not match]:
            raise ValueError(f"the deck's text has a line of no known form: {wrong[0]!r}")
        slides[name.strip()] = [match.groups("") for _, match in found]
    return dict(re.findall(r"^([\w.-]+): (.+)$", head, re.M)), slides


def split(written: str) -> list[str]:
    return [cell.strip() for cell in written.split("|")]


class Story:
    """The deck in one language, from one report: its fixed ``words``, and its ``slides``."""

    def __init__(self, facts: Facts, lang: str):
        self.facts, self.lang = facts, lang
        self.words, self.written = read(lang)
        self.slides = [self.slide(name, lines) for name, lines in self.written.items()]

    def said(self, value: float, form: str, digits: int | None = None, sign: bool = True) -> str:
        """One number: +1.5 %, ×1.4 in English, +1.5%, 1.4배 in Korean."""
        words = text.spelt(text.figure(value, form, digits, sign), self.lang)
        return f"{words[1:]}배" if form == "times" and self.lang == "ko" else words

    def number(self, match: re.Match) -> str:
        """What stands in a ``PLACE``. Raises ``UnknownName`` and ``NotRun``."""
        name, unsigned, digits, part = match.groups()
        if part == "verdict":
            if name not in self.facts.outcomes:
                raise UnknownName(f"{name}: no claim has this name")
            return text.spelt(text.verdict(self.facts.outcomes[name], self.lang), self.lang)
        value, form = self.facts.number(name)
        if not np.isfinite(value):
            raise NotRun(f"{name}: not in this ledger")
        if part:
            low, high = (self.facts.number(f"{name}.{end}")[0] for end in ("low", "high"))
            return text.spelt(text.with_interval(Number(value, low, high, form)), self.lang)
        return self.said(abs(value) if unsigned else value, form,
                         int(digits) if digits else None, not unsigned)

    def fill(self, written: str) -> str:
        """``written`` with its numbers. Raises ``NotRun`` for what has not been run."""
        return PLACE.sub(self.number, written)

    def cell(self, written: str) -> str:
        """A cell of a table with its numbers, ``LACKING`` where they have not been run."""
        try:
            return self.fill(written)
        except NotRun:
            return LACKING

    def slide(self, name: str, lines: list[tuple[str, str, str]]) -> Slide:
        s, asked = Slide(name), ""
        for key, conditions, written in lines:
            if key == "title" and s.title or key == "A" and not asked:
                continue
            question, asked = asked, ""
            try:
                if not all(map(self.facts.holds, conditions.split())):
                    continue
                words = "" if key == "|" else self.fill(written)
            except NotRun:
                s.incomplete |= key in ("-", "title")
                continue
            if key == "|":
                cells = split(written)
                s.table.append([*map(self.cell, cells)])
                s.incomplete |= s.table[-1].count(LACKING) > cells.count(LACKING) and \
                    "!verdict}" not in written  # a verdict says so itself
            elif key in ("-", "say"):
                (s.lines if key == "-" else s.say).append(words)
            elif key == "Q":
                asked = words
            elif key == "A":
                s.questions.append((question, words))
            elif key == "figure":
                picture, *only = words.split()
                s.pictures.append(Picture(picture, dict(pair.split("=") for pair in only)))
            elif key == "panel":
                s.pictures[-1].panels.append((split(words), []))
            elif key == "~":
                s.pictures[-1].panels = s.pictures[-1].panels or [([""], [])]
                s.pictures[-1].panels[-1][1].append(split(words))
            else:
                setattr(s.pictures[-1] if key == "alt" else s, key, words)
        return s

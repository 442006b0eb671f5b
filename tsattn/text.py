"""Numbers and verdicts in words, in English and Korean; no arithmetic but rounding, no decision.

And numbers in written text that are checked: invisible marks name what a number is, and
``refresh`` looks all of them up. ``<!-- n:NAME -->0.9 %<!-- / -->`` is a number, ``NAME`` one of
``claims.Facts``; ``NAME:abs0`` shows it without a sign and without decimals, ``NAME:2`` with two.
``<!-- holds:NAME -->words<!-- / -->`` is a statement: its words stay, but the ledger must agree.
``<!-- block:NAME -->`` to ``<!-- /block -->`` is written whole: scorecard, scorecard-ko, or
verdict-CLAIM.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd

from .claims import Facts
from .claims.rules import CANNOT_TELL, NOT_RUN, THIS_SPLIT, UNSEEN, VERDICTS, Found, Number
from .ledger import Ledger, write
from .numbers import UnknownName
from .settings import ROOT
from .statistics import MARGIN, MIN_SEEDS, interval

KOREAN = dict(zip(VERDICTS, ("예", "대체로", "일부만", "아니요", "판단 불가", "확인되지 않음",
                             "아직 실행하지 않음"), strict=True))
TARGETS = {THIS_SPLIT: ("these test months", "이 test 기간"),
           UNSEEN: ("these four months", "이 4개월")}
HEADS = {"en": ("claim", "replicated?", "one number", "chapter"),
         "ko": ("주장", "재현되었나?", "대표 수치", "장")}
MINUS = "−"
HUNDREDTHS = {"change": " %", "points": " pp", "share": " %"}  # forms, and their units


def escape(text: str) -> str:
    """Text from elsewhere as Markdown that shows it as it is: no HTML, no end of a table cell,
    no markup."""
    text = html.escape(" ".join(str(text).split()), quote=False)
    return "".join("\\" + c if c in "\\`*_[]|$" else c for c in text)


def figure(value: float, form: str = "change", digits: int | None = None, sign: bool = True) -> str:
    """One number in its form: "change" +0.9 %, "points" −8.6 pp, "share" 1.3 %, "times" ×12.5,
    "weight" 0.97, "count" 794, "rate" 2e-4; "not run yet" of none."""
    if not np.isfinite(value):
        return NOT_RUN
    if form == "rate":
        return np.format_float_scientific(value, exp_digits=1, trim="-")
    if digits is None:
        digits = {"weight": 2, "count": 0}.get(form, 1)
    if form in HUNDREDTHS:
        plus = "+" if sign and form != "share" else ""
        text = f"{100 * value:{plus}.{digits}f}{HUNDREDTHS[form]}"
    else:
        text = f"{'×' if form == 'times' else ''}{value:,.{digits}f}"
    return text.replace("-", MINUS)


def with_interval(number: Number) -> str:
    """Value [low, high], the unit once: +0.9 % [−0.1, +1.9]. Hundredths have two decimals where
    one would round all three to nothing."""
    ends, unit = (number.value, number.low, number.high), HUNDREDTHS.get(number.form, "")
    digits = 2 if unit and max(map(abs, ends)) < 0.002 else None
    value, low, high = (figure(v, number.form, digits) for v in ends)
    if not np.isfinite(number.low):
        return value
    return f"{value} [{low.removesuffix(unit)}, {high.removesuffix(unit)}]"


def seen(found: Found) -> str:
    """The smallest difference that would have been seen in most cases, where it is known."""
    return figure(found.detectable, "share") if np.isfinite(found.detectable) else ""


def spelt(words: str, lang: str) -> str:
    """Units as the language writes them: 1.5 % and pp in English, 1.5% and %p in Korean."""
    return re.sub(r"(?<=\d) (?=%)", "", words).replace(" pp", "%p") if lang == "ko" else words


def verdict(found: Found, lang: str = "en") -> str:
    """The verdict word; beside "cannot tell" what would have been ``seen``, or that some loss is
    shown."""
    en, word = lang == "en", found.verdict if lang == "en" else KOREAN[found.verdict]
    if found.verdict != CANNOT_TELL:
        return word
    if found.lost:
        return f"{word} at {100 * MARGIN:.0f} %; some loss shown" if en else \
            f"{MARGIN:.0%}는 {word}, 오차 증가는 확인됨"
    least = "could have seen ≥" if en else "검출 가능한 최소 차이"
    return f"{word} ({least} {seen(found)})" if seen(found) else word


def beside(found: Found, lang: str = "en") -> list[str]:
    """What the verdict speaks of, or what these test months alone say, where it is something else;
    and that some cells hold too few separate blocks for their intervals."""
    en, here, said = lang == "en", found.split_verdict, []
    if found.number and found.claim.target in TARGETS:
        said.append(TARGETS[found.claim.target][not en])
    elif here and here != found.verdict:
        said.append(f"these test months: {here}" if en else f"이 test 기간: {KOREAN[here]}")
    if found.few_blocks:
        said.append("few weeks at long horizons" if en else "긴 horizon은 기간이 적음")
    return said


def sentence(found: Found) -> str:
    """Answer first, then the size, then the uncertainty."""
    number, lost = found.number, found.lost and found.verdict == CANNOT_TELL
    word = verdict(found) if lost else found.verdict
    word = word[0].upper() + word[1:]
    if number is None:
        return f"{word}."
    what = found.claim.shown[0]
    if lost or found.verdict != CANNOT_TELL or number.form != "change":
        return f"{word}: {what}, {with_interval(number)}."
    size = figure(abs(number.value), "share", 0)
    low, high = ("0 %" if abs(end) <= 0.005 else figure(end, digits=0)
                 for end in (number.low, number.high))
    return (f"{word}. About {size} {'worse' if number.value > 0 else 'better'} ({what}); the test "
            f"months cannot tell {low} from {high}. {seen(found)} or more would have been seen.")


def scorecard(decided: list[Found], lang: str = "en", folder: str = "notebooks/") -> str:
    """Markdown table, a row per claim: claim, replicated?, one number, link to its chapter."""
    lines = [f"| {' | '.join(HEADS[lang])} |", "|---|---|---|---|"]
    for found in decided:
        claim, number, file = getattr(found.claim, lang), found.number, found.claim.chapter
        said = f"**{verdict(found, lang)}**"
        if notes := beside(found, lang):
            said += f" ({'; '.join(notes)})"
        shown = f"{with_interval(number)}: {found.claim.shown[lang == 'ko']}" if number else "–"
        lines.append(f"| {claim} | {said} | {shown} | [{int(file[:2])}]({folder}{file}.ipynb) |")
    return spelt("\n".join(lines), lang)


# -- verdicts and tables of the chapters


def seeds_in_words(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def line(found: Found | None, shown: str) -> str:
    """The verdict on a claim with its number, which measures ``shown``, from however few seeds."""
    if found is None or found.number is None:
        return "Not run yet."
    word = verdict(found)
    few = f" From {seeds_in_words(found.seeds)}; a verdict needs {MIN_SEEDS}." \
        if found.seeds < MIN_SEEDS else ""
    return f"{word[0].upper()}{word[1:]}: {shown}, {with_interval(found.number)}.{few}"


def as_text(triple, form: str = ".3f") -> str:
    """An ``interval`` as text, every number in the format ``form``: mean [low, high]."""
    mean, low, high = triple
    if not np.isfinite(mean):
        return NOT_RUN
    ends = f" [{low:{form}}, {high:{form}}]" if np.isfinite(low) else " (one seed)"
    return f"{mean:{form}}{ends}".replace("-", MINUS)


def spread(values, digits: int = 3) -> str:
    """``interval`` as text for a table cell: mean [low, high]."""
    return as_text(interval(values), f".{digits}f")


def compared(table: pd.DataFrame, columns: dict[str, str] | None = None) -> pd.DataFrame:
    """Rows of ``compare`` as a page shows them; ``columns``: heading -> a further column of theirs,
    such as a p-value."""
    def shown(v):
        return "–" if pd.isna(v) else f"{v:.3f}" if isinstance(v, float) else v

    return pd.DataFrame({
        "seeds": table.seeds.fillna(0).astype(int),
        "change [95 %]": [with_interval(Number(r.change, r.low, r.high))
                          for r in table.itertuples()],
        "would be seen": [figure(v, "share") if pd.notna(v) else "–" for v in table.detectable],
        **{head: table[column].map(shown) for head, column in (columns or {}).items()},
    }, index=table.index)


# -- numbers in written text

BODY = r"(?:(?!<!--).)*?"  # no other mark between a mark and its end
NUMBER = re.compile(rf"(<!-- n:([\w.-]+?)(?::(abs)?(\d)?)? -->){BODY}<!-- / -->", re.S)
HOLDS = re.compile(rf"<!-- holds:([\w.-]+) -->({BODY})<!-- / -->", re.S)
BLOCK = re.compile(rf"(<!-- block:([\w.-]+) -->\n){BODY}(<!-- /block -->)", re.S)
STRAY = re.compile(r"<!-- ?(?:n:|holds:|block:|/).{,40}", re.S)


def block(name: str, facts: Facts) -> str:
    """What is written in the block ``name``. Raises ``UnknownName``."""
    if name in ("scorecard", "scorecard-ko"):
        return scorecard([o for o in facts.outcomes.values() if o.claim.scorecard],
                         "ko" if name.endswith("ko") else "en")
    if (claim := name.removeprefix("verdict-")) not in facts.outcomes:
        raise UnknownName(f"{name}: no block has this name")
    return sentence(facts.outcomes[claim])


def refresh_text(written: str, facts: Facts, file: str = "") -> tuple[str, list[str]]:
    """``written``, of a ``file`` (Korean in *.ko.md), with every number and block as the ledger has
    it, and what no refresh can mend, one line each: unknown names, and what does not hold."""
    problems, lang = [], "ko" if file.endswith(".ko.md") else "en"

    def looked_up(match: re.Match) -> str:
        try:
            if match.re is BLOCK:
                return f"{match[1]}{block(match[2], facts)}\n{match[3]}"
            if match.re is NUMBER:
                mark, name, unsigned, digits = match.groups()
                value, form = facts.number(name)
                shown = figure(abs(value) if unsigned else value, form,
                               int(digits) if digits else None, not unsigned)
                return f"{mark}{spelt(shown, lang)}<!-- / -->"
            if not facts.holds(match[1]):
                problems.append(f"{match[1]}: the ledger says otherwise; reword "
                                f"{' '.join(match[2].split())!r}")
        except UnknownName as error:
            problems.append(str(error.args[0]))
        return match[0]

    rest = written
    for pattern in (HOLDS, NUMBER, BLOCK):
        written, rest = pattern.sub(looked_up, written), pattern.sub("", rest)
    problems += [f"{' '.join(mark.split())!r}: a mark without its end, or misspelt"
                 for mark in STRAY.findall(rest)]
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
        new, wrong = refresh_text(written, facts, path.name)
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

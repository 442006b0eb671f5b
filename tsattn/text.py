"""Numbers and verdicts in words, in English and Korean. No arithmetic but rounding; no decision."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .claims.rules import (
    CANNOT_TELL,
    MOSTLY,
    NO,
    NOT_RUN,
    NOT_SHOWN,
    PARTLY,
    THIS_SPLIT,
    UNSEEN,
    YES,
    Number,
    Outcome,
)
from .settings import ROOT
from .statistics import MARGIN, interval

VERDICTS = {
    "en": {v: v for v in (YES, MOSTLY, PARTLY, NO, CANNOT_TELL, NOT_SHOWN, NOT_RUN)},
    "ko": {
        YES: "예",
        MOSTLY: "대체로",
        PARTLY: "일부만",
        NO: "아니요",
        CANNOT_TELL: "판단 불가",
        NOT_SHOWN: "확인되지 않음",
        NOT_RUN: "아직 실행하지 않음",
    },
}
TARGETS = {
    THIS_SPLIT: ("for these test months", "이 test 기간에 대해"),
    UNSEEN: ("for these four months", "이 4개월에 대해"),
}
MINUS = "−"
HUNDREDTHS = {"change": " %", "points": " pp", "share": " %"}  # forms, and their units


def escape(text: str) -> str:
    """Text from elsewhere as Markdown that shows it as it is: no HTML, no end of a table cell,
    no markup.
    """
    text = (
        " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    return "".join("\\" + c if c in "\\`*_[]|$" else c for c in text)


def figure(value: float, form: str = "change", digits: int | None = None, sign: bool = True) -> str:
    """One number in its form: "change" +0.9 %, "points" −8.6 pp, "share" 1.3 %, "times" ×12.5,
    "weight" 0.97, "count" 794; "not run yet" of none.
    """
    if not np.isfinite(value):
        return NOT_RUN
    if form in HUNDREDTHS:
        plus, decimals = "+" if sign and form != "share" else "", 1 if digits is None else digits
        text = f"{100 * value:{plus}.{decimals}f}"
        return text.replace("-", MINUS) + HUNDREDTHS[form]
    default = {"times": 1, "weight": 2, "count": 0}[form]
    text = f"{value:,.{default if digits is None else digits}f}".replace("-", MINUS)
    return "×" + text if form == "times" else text


def digits_for(number: Number) -> int | None:
    """More digits where the value and its interval would all be rounded to nothing."""
    small = max(abs(number.value), abs(number.low), abs(number.high)) < 0.002
    return 2 if number.form in HUNDREDTHS and small else None


def with_interval(number: Number) -> str:
    """Value [low, high], the unit once: +0.9 % [−0.1, +1.9]."""
    digits = digits_for(number)
    value, low, high = (
        figure(v, number.form, digits) for v in (number.value, number.low, number.high)
    )
    unit = HUNDREDTHS.get(number.form, "")
    return value + (
        f" [{low.removesuffix(unit)}, {high.removesuffix(unit)}]" if np.isfinite(number.low) else ""
    )


def verdict(outcome: Outcome, lang: str = "en") -> str:
    """The verdict word; beside "cannot tell" the smallest difference that would have been seen
    in most cases, or that some loss is shown.
    """
    found, seen = outcome.found, outcome.found.detectable
    word = VERDICTS[lang][outcome.verdict]
    if found.lost and outcome.verdict == CANNOT_TELL:
        return (f"{word} at {MARGIN:.0%}; some loss shown".replace("%", " %") if lang == "en"
                else f"{MARGIN:.0%}는 {word}, 손실은 확인됨")
    if outcome.verdict != CANNOT_TELL or not np.isfinite(seen):
        return word
    least = figure(seen, "share")
    return (
        f"{word} (could have seen ≥ {least})"
        if lang == "en"
        else f"{word} (검출 가능한 최소 차이 {least})"
    )


def targets(outcome: Outcome, lang: str = "en") -> str:
    """What the verdict speaks of, and where this test split alone says something else; empty if
    it says the same.
    """
    split = outcome.found.split_verdict
    if outcome.number and outcome.claim.target in TARGETS:
        return TARGETS[outcome.claim.target][lang == "ko"]
    if not split or split == outcome.verdict:
        return ""
    word = VERDICTS[lang][split]
    return f"on these test months alone: {word}" if lang == "en" else f"이 test 기간만 보면: {word}"


def caveat(outcome: Outcome, lang: str = "en") -> str:
    """That some cells hold too few separate blocks for their intervals; empty otherwise."""
    if not outcome.found.few_blocks:
        return ""
    return (
        "few separate weeks at the long horizons"
        if lang == "en"
        else "긴 horizon은 독립적인 기간이 적음"
    )


def whole(value: float) -> str:
    """A relative change in whole per cent, zero without a sign."""
    return figure(value, "change", 0).replace("+0 %", "0 %").replace(MINUS + "0 %", "0 %")


def sentence(outcome: Outcome, lang: str = "en") -> str:
    """Answer first, then the size, then the uncertainty."""
    number = outcome.number
    lost = outcome.found.lost and outcome.verdict == CANNOT_TELL
    word = verdict(outcome, lang) if lost else VERDICTS[lang][outcome.verdict]
    word = word[0].upper() + word[1:]
    if number is None:
        return f"{word}."
    what = outcome.claim.shown[lang == "ko"]
    if lost or outcome.verdict != CANNOT_TELL or number.form != "change":
        return f"{word}: {what}, {with_interval(number)}."
    size, low, high = figure(abs(number.value), "share", 0), whole(number.low), whole(number.high)
    least = figure(outcome.found.detectable, "share")
    if lang == "en":
        return (
            f"{word}. About {size} {'worse' if number.value > 0 else 'better'} ({what}); "
            "the test months cannot "
            f"tell {low} from {high}. {least} or more would have been seen."
        )
    return (
        f"{word}. 오차가 약 {size} {'큽니다' if number.value > 0 else '작습니다'} ({what}). "
        f"이 test 기간으로는 {low}와 "
        f"{high}를 구별할 수 없습니다. {least} 이상의 차이는 80 % 확률로 검출합니다."
    )


def chapter(outcome: Outcome, folder: str = "notebooks/") -> str:
    """The number of the claim's chapter, as a link once the chapter is there."""
    name = f"{outcome.claim.chapter}.ipynb"
    number = str(int(name[:2]))
    return f"[{number}]({folder}{name})" if (ROOT / "notebooks" / name).is_file() else number


def scorecard(outcomes: list[Outcome], lang: str = "en", folder: str = "notebooks/") -> str:
    """Markdown table, a row per claim: claim, replicated?, one number, chapter."""
    heads = {
        "en": ("claim", "replicated?", "one number", "chapter"),
        "ko": ("주장", "재현되었나?", "대표 수치", "장"),
    }[lang]
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|"]
    for o in outcomes:
        shown = (
            "–" if o.number is None else f"{with_interval(o.number)}: {o.claim.shown[lang == 'ko']}"
        )
        beside = [words for words in (targets(o, lang), caveat(o, lang)) if words]
        said = "; ".join([f"**{verdict(o, lang)}**", *beside])
        lines.append(
            f"| {o.claim.en if lang == 'en' else o.claim.ko} | {said} | {shown} "
            f"| {chapter(o, folder)} |"
        )
    return "\n".join(lines)


# -- tables of the chapters


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

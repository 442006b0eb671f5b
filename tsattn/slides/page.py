"""One slide of ``story`` in the placeholders of ``template.pptx``. Its master has the fonts, the
colours and the places of everything: edit it in PowerPoint to change the deck."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
from pptx import Presentation
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.enum.text import MSO_ANCHOR
from pptx.oxml import parse_xml
from pptx.util import Emu, Inches, Pt

from .pictures import draw
from .story import Picture, Slide, Story

MADE_BY, DPI = "tsattn", 180
BODY, ANSWER, FIRST, SOURCE, SECOND = 1, 13, 14, 15, 16  # placeholders, by their idx
APPEAR = (Path(__file__).parent / "appear.xml").read_text()  # a shape, on a click


def presentation(about: dict[str, str]):
    """A presentation without slides; ``about``: its properties, such as title and author."""
    deck = Presentation(Path(__file__).parent / "template.pptx")
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    for name, value in dict(about, identifier=MADE_BY, created=now, modified=now).items():
        setattr(deck.core_properties, name, value)
    return deck


def untouched(path) -> bool:
    """Whether ``path`` is a deck of this package that no program has saved again."""
    try:
        about = Presentation(path).core_properties
    except Exception:  # whatever is wrong with a file that is no presentation
        return False
    return about.identifier == MADE_BY and about.created == about.modified


def add(deck, slide: Slide, story: Story, whose: list[str]) -> None:
    """Append ``slide``; ``whose`` talk it is stands on the first one. Notes: what to say, then
    likely questions with their answers."""
    first, named = not len(deck.slides), [p.name for p in slide.pictures]
    kind = ("Title" if first else "Table" if slide.table else "Strip" if "months" in named
            else "Two figures" if len(named) > 1 else "Figure" if named else "Words")
    page = deck.slides.add_slide(deck.slide_layouts.get_by_name(kind))
    places = {p.placeholder_format.idx: p for p in page.placeholders}
    drawn = [put(places[idx], picture, story)
             for idx, picture in zip((FIRST, SECOND), slide.pictures, strict=False)]
    lacking = [story.words["lacking"]] * (slide.incomplete or None in drawn)
    texts = {0: [slide.title], ANSWER if first else BODY: slide.lines + lacking,
             SOURCE: [slide.source]} | ({BODY: whose} if first else {})
    if slide.table:
        table(places[FIRST], slide.table, story.lang, Inches(4.06 if slide.lines else 5.5))
    for idx, place in places.items():
        if lines := [line for line in texts.get(idx, ()) if line]:
            fill(place.text_frame, "\n".join(lines), story.lang)
        elif place._element is not None:  # neither words nor a picture is in it
            place._element.getparent().remove(place._element)
    for shape in page.slide_layout.placeholders:
        if shape.placeholder_format.type == PP_PLACEHOLDER.SLIDE_NUMBER:  # add_slide leaves it out
            page.shapes._spTree.append(deepcopy(shape._element))
    if kind == "Two figures" and drawn[1]:
        page._element.append(parse_xml(APPEAR.format(drawn[1].shape_id)))
    asked = [f"Q. {q}\nA. {a}" for q, a in slide.questions]
    page.notes_slide.notes_text_frame.text = "\n\n".join([
        f"[{story.words['say']}]", *slide.say, f"[{story.words['questions']}]", *asked])


def put(place, picture: Picture, story: Story):
    """Draw ``picture`` in the size of its place; None where nothing of it has been run."""
    size = Emu(place.width).inches, Emu(place.height).inches
    if (fig := draw(picture, story, size)) is None:
        return None
    content = BytesIO()
    fig.savefig(content, format="png", dpi=DPI, pil_kwargs=dict(compress_level=3))  # in less time
    plt.close(fig)
    shown = place.insert_picture(content)
    shown.name = picture.name
    shown._element.nvPicPr.cNvPr.set("descr", picture.alt)
    return shown


def fill(frame, words: str, lang: str) -> None:
    frame.text = words
    for run in (run for paragraph in frame.paragraphs for run in paragraph.runs):
        run._r.get_or_add_rPr().set("lang", {"ko": "ko-KR", "en": "en-US"}[lang])


def table(place, rows: list[list[str]], lang: str, most: int) -> None:
    """A table at most about ``most`` high, its columns as wide as their longest cells; ``//`` is a
    new line."""
    width, shown = place.width, place.insert_table(len(rows), len(rows[0])).table
    wide = [max(ems(row[j]) for row in rows) for j in range(len(rows[0]))]
    for column, share in zip(shown.columns, wide, strict=True):
        column.width = int(width * share / sum(wide))
    tall = [Pt(22 * (1 + max(c.count("//") for c in cells)) + 6) for cells in rows]
    more = min(Pt(16), max(0, most - sum(tall)) // len(rows))
    for row, cells, height in zip(shown.rows, rows, tall, strict=True):
        row.height = height + more
        for cell, words in zip(row.cells, cells, strict=True):
            cell.margin_left = cell.margin_right = Pt(5)
            cell.margin_top = cell.margin_bottom = Pt(2)
            cell.vertical_anchor = MSO_ANCHOR.MIDDLE
            fill(cell.text_frame, words.replace("//", "\v"), lang)


def ems(words: str) -> float:
    """Roughly how wide the longest line of a cell is with its margins, in the size of its font."""
    return 1 + max(sum(1 if ord(c) >= 0x1100 else 0.6 for c in line) for line in words.split("//"))

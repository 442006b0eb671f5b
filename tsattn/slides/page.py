"""One slide of ``story`` on a 16:9 page of PowerPoint: text as text, tables as tables, a figure as
a picture with alt text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

from matplotlib.figure import Figure
from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.util import Inches, Pt

from .. import figures
from .story import Slide

WIDTH, HEIGHT = 13.333, 7.5  # inches, 16:9
LEFT, WIDE = 0.52, 12.3
TITLE, BODY, SOURCE = 28, 20, 12  # pt
MADE_BY = "tsattn"
LATIN, KOREAN = "Arial", "Malgun Gothic"  # on the machines that show the slides
INK, GREY, RULE = RGBColor(0x22, 0x22, 0x22), RGBColor(0x70, 0x70, 0x70), RGBColor(0, 0x72, 0xB2)


def presentation(title: str, lab: str):
    """An empty 16:9 presentation, with title and author in its properties."""
    deck = Presentation()
    wider = Inches(WIDTH) / deck.slide_width  # the layouts are 4:3, for slides that others add
    for part in (deck.slide_master, *deck.slide_layouts):
        for shape in part.placeholders:
            left, top, width, height = shape.left, shape.top, shape.width, shape.height
            shape.left, shape.top = int(left * wider), top
            shape.width, shape.height = int(width * wider), height
    deck.slide_width, deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
    deck.core_properties.title, deck.core_properties.author = title, lab
    deck.core_properties.last_modified_by = lab
    deck.core_properties.identifier = MADE_BY
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    deck.core_properties.created = deck.core_properties.modified = now
    return deck


def untouched(path) -> bool:
    """Whether ``path`` is a deck of this package that no program has saved again."""
    try:
        about = Presentation(path).core_properties
    except Exception:  # whatever is wrong with a file that is no presentation
        return False
    return about.identifier == MADE_BY and about.created == about.modified


def add(deck, slide: Slide, words: dict[str, str], lang: str, fig: Figure | None, lab: str) -> None:
    """Append ``slide``; ``fig`` is its figure, None where it has none or nothing has been run."""
    page = deck.slides.add_slide(deck.slide_layouts[5])  # title only
    first = slide.name == "start"
    lines = slide.lines + [words["lacking"]] * (slide.incomplete and not missing(slide, fig))
    top = 2.0 if first else 0.3
    place(page.shapes.title, top, 1.4 if first else 1.22)
    fill(page.shapes.title.text_frame, [slide.title], TITLE + 10 * first, lang, bold=True)
    page.shapes.title.text_frame.vertical_anchor = MSO_ANCHOR.MIDDLE
    below = 3.6 if first else 5.42
    if slide.table:
        below = 1.75 + table(page, slide.table, lang, 3.6 if lines else 5.2)
    elif fig is not None:
        drawn = page.shapes.add_picture(
            BytesIO(figures.picture(fig, 150)), Inches(LEFT), Inches(1.55), Inches(WIDE)
        )
        drawn._element.nvPicPr.cNvPr.set("descr", slide.alt)
        drawn.name = slide.figure
    elif slide.figure:
        box(page, [words["nothing"]], 2.9, 1.0, 24, lang, GREY)
    if lines:
        size, end = (BODY + 4, 5.6) if first else (BODY, 6.95)
        box(page, lines, below, end - below, size, lang, bullets=not first)
    if first and lab:
        box(page, [lab], 5.6, 0.5, BODY, lang, GREY)
    if slide.source:
        box(page, [slide.source], 6.95, 0.36, SOURCE, lang, GREY)
    page.notes_slide.notes_text_frame.text = notes(slide, words)


def missing(slide: Slide, fig: Figure | None) -> bool:
    """Whether the figure's place says already that nothing has been run."""
    return bool(slide.figure) and fig is None


def notes(slide: Slide, words: dict[str, str]) -> str:
    """What to say, then likely questions with their answers."""
    asked = [f"Q. {q}\nA. {a}" for q, a in slide.questions]
    return "\n\n".join([f"[{words['say']}]", *slide.say, f"[{words['questions']}]", *asked])


def place(shape, top: float, height: float) -> None:
    shape.left, shape.top = Inches(LEFT), Inches(top)
    shape.width, shape.height = Inches(WIDE), Inches(height)


def box(page, lines, top, height, size, lang, color=INK, bullets=False) -> None:
    shape = page.shapes.add_textbox(0, 0, 0, 0)
    place(shape, top, height)
    fill(shape.text_frame, lines, size, lang, color, bullets=bullets)


def fill(frame, lines, size, lang, color=INK, bold=False, bullets=False) -> None:
    """Paragraphs into a text frame without margins at the sides."""
    frame.word_wrap = True
    frame.margin_left = frame.margin_right = 0
    for i, line in enumerate(lines):
        paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
        paragraph.alignment = PP_ALIGN.LEFT
        paragraph.space_after = Pt(6 if len(lines) > 1 else 0)
        if bullets:
            bullet(paragraph, size)
        write(paragraph, line, size, lang, color, bold)


def bullet(paragraph, size: float) -> None:
    properties = paragraph._p.get_or_add_pPr()
    properties.set("marL", str(Pt(size)))
    properties.set("indent", str(-Pt(size)))
    properties.append(properties.makeelement(qn("a:buChar"), {"char": "•"}))


def write(paragraph, line: str, size: float, lang: str, color=INK, bold=False) -> None:
    """Runs with their language and both typefaces, so that they look the same when edited."""
    for i, part in enumerate(line.split("//")):
        if i:
            paragraph.add_line_break()
        run = paragraph.add_run()
        run.text = part
        run.font.size, run.font.bold, run.font.color.rgb = Pt(size), bold, color
        properties = run._r.get_or_add_rPr()
        properties.set("lang", {"ko": "ko-KR", "en": "en-US"}[lang])
        for tag, face in (("a:latin", LATIN), ("a:ea", KOREAN)):
            properties.append(properties.makeelement(qn(tag), {"typeface": face}))


def table(page, rows: list[list[str]], lang: str, most: float) -> float:
    """A table as wide as the page and at most about ``most`` inches high; returns its height.

    Its columns share the width by their longest cell; ``//`` in a cell is a new line.
    """
    size = BODY if len(rows) <= 6 and len(rows[0]) < 6 else 18
    tall = [1 + max(words.count("//") for words in row) for row in rows]
    height = min(0.62, most / sum(tall))
    frame = page.shapes.add_table(
        len(rows), len(rows[0]), Inches(LEFT), Inches(1.55), Inches(WIDE), Inches(1)
    )
    frame.name = "table"
    shares = [max(ems(row[j]) for row in rows) + 1.2 for j in range(len(rows[0]))]
    for column, share in zip(frame.table.columns, shares, strict=True):
        column.width = Inches(WIDE * share / sum(shares))
    for i, row in enumerate(rows):
        frame.table.rows[i].height = Inches(height * tall[i])
        for j, words in enumerate(row):
            cell = frame.table.cell(i, j)
            cell.margin_top = cell.margin_bottom = Inches(0.04)
            cell.vertical_anchor = MSO_ANCHOR.MIDDLE
            cell.fill.solid()
            cell.fill.fore_color.rgb = RULE if i == 0 else RGBColor(*(3 * (0xF2 + 13 * (i % 2),)))
            color = RGBColor(255, 255, 255) if i == 0 else INK
            write(cell.text_frame.paragraphs[0], words, size, lang, color, bold=i == 0)
    return height * sum(tall)


def ems(words: str) -> float:
    """Roughly how wide the longest line is, in the size of its font."""
    lines = words.split("//")
    return max(sum(1.0 if ord(c) >= 0x1100 else 0.55 for c in line) for line in lines)

"""The deck, read back from its file: words, numbers by name, notes, pictures, room for the text."""

import itertools
import re
import shutil
import subprocess
import warnings
from datetime import datetime

import matplotlib.pyplot as plt
import pytest
from matplotlib.font_manager import findfont
from matplotlib.text import Text
from PIL import ImageFont
from pptx import Presentation
from pptx.util import Emu
from prose import unanchored

from tsattn import slides, text
from tsattn.__main__ import main
from tsattn.claims import Facts
from tsattn.ledger import Ledger
from tsattn.numbers import UnknownName
from tsattn.settings import ROOT
from tsattn.slides import page, pictures, story

LANGUAGES, MAIN = story.LANGUAGES, 12
DESIGN = {"5 %", "7 %", "3 %", "10 %", "30 %", "×1"}  # level, its simulated error, doses, unit
MEASURED = ImageFont.truetype(findfont("DejaVu Sans"), 100)
each_language = pytest.mark.parametrize("lang", LANGUAGES)


@pytest.fixture(scope="module")
def decks(tmp_path_factory, facts):
    folder = tmp_path_factory.mktemp("decks")
    return {lang: Presentation(slides.build(lang, folder / f"{lang}.pptx", facts, "FAIR Lab",
                                            "A. Presenter", "2026-12-07")) for lang in LANGUAGES}


@pytest.fixture(scope="module")
def stories(facts):
    return {lang: story.Story(facts, lang) for lang in LANGUAGES}


def frames(slide):
    """Text frames of a slide, those of tables too."""
    for shape in slide.shapes:
        if shape.has_text_frame:
            yield shape.text_frame
        if shape.has_table:
            yield from (cell.text_frame for row in shape.table.rows for cell in row.cells)


def words(slide):
    """Everything that is written on a slide, in its notes, and of its pictures."""
    return [*(p.text for frame in frames(slide) for p in frame.paragraphs),
            *slide.notes_slide.notes_text_frame.text.split("\n"),
            *(s._element.nvPicPr.cNvPr.get("descr") for s in slide.shapes if hasattr(s, "image"))]


# -- the same deck in both languages


def looked_up(key, written):
    """What a line looks up: its numbers, and the sources of a row of a forest."""
    rows = story.split(written)[1:] if key in ("~", "panel") else written if key == "figure" else ()
    return sorted(m[0] for m in story.PLACE.finditer(written)), rows


def test_both_languages_tell_the_same_story():
    (ko, mine), (en, theirs) = (story.read(lang) for lang in LANGUAGES)
    assert ko.keys() == en.keys() and list(mine) == list(theirs)
    for name in mine:
        one, other = ([(key, conditions, looked_up(key, written))
                       for key, conditions, written in of[name]] for of in (mine, theirs))
        assert one == other, f"{name}: another line in English than in Korean"
    assert list(mine)[MAIN - 1] == "take-home"


# -- numbers


SHOWN = re.compile(r"([+−]?)(\d[\d,]*(?:\.(\d+))?)")


def says(shown, value, form, unsigned=False):
    """Whether ``shown`` is ``value``, rounded to the digits that it has."""
    if form == "rate":
        return float(shown) == value
    [(sign, digits, decimals)] = SHOWN.findall(shown)
    written = float(digits.replace(",", "")) * (-1 if sign == "−" else 1)
    right = (abs(value) if unsigned else value) * (100 if form in text.HUNDREDTHS else 1)
    unit = {"points": "p", "change": "%", "share": "%"}.get(form, "")
    return abs(written - right) <= 0.5 * 10.0 ** -len(decimals) + 1e-9 and unit in shown


@each_language
def test_every_number_is_the_one_of_its_name(facts, stories, lang):
    of, deck = stories[lang], stories[lang].written
    for name, lines in deck.items():
        for match in (m for _, _, written in lines for m in story.PLACE.finditer(written)):
            number, unsigned, _, part = match.groups()
            shown = of.number(match)
            if part == "verdict":
                continue
            each = [m[0] + "%p" for m in SHOWN.finditer(shown)] if part else [shown]
            for end, one in zip(("", ".low", ".high"), each, strict=False):
                assert says(one, *facts.number(number + end), bool(unsigned)), f"{name}: {match[0]}"
        for condition in " ".join(conditions for _, conditions, _ in lines).split():
            facts.holds(condition)
    typed = "\n".join(written for lines in deck.values() for key, _, written in lines
                      if key not in ("~", "figure", "panel"))
    assert set(unanchored(re.sub(" ?%", " %", story.PLACE.sub(" ", typed)))) <= DESIGN


@each_language
def test_what_is_filled_stands_in_the_file(decks, stories, lang):
    for slide, of in zip(decks[lang].slides, stories[lang].slides, strict=True):
        there = set(words(slide))
        said = [of.title, of.source, *of.lines, *of.say, *(p.alt for p in of.pictures),
                *(c.replace("//", "\v") for row in of.table for c in row),
                *(f"Q. {q}" for q, _ in of.questions), *(f"A. {a}" for _, a in of.questions)]
        assert not set(filter(None, said)) - there, of.name


def test_a_row_of_the_talks_tables_is_of_one_attention(stories):
    rows = [written for name in ("talk", "mae") for key, _, written in
            stories["en"].written[name] if key == "|" and "{" in written]
    assert len(rows) == 10
    for written in rows:
        attention, *names = story.split(written)[0], *story.PLACE.findall(written)
        assert all(attention in name[0].split(".") for name in names), written


# -- pictures


@pytest.mark.parametrize("lang, slide, k", [
    (lang, name, k) for lang in LANGUAGES for name, lines in story.read(lang)[1].items()
    for k in range(sum(key == "figure" for key, _, _ in lines))])
def test_a_picture_is_legible(facts, decks, stories, lang, slide, k):
    """At least 18 pt, in a font that has every letter, nothing cut off, no text on another."""
    at = [s.name for s in stories[lang].slides].index(slide)
    picture = stories[lang].slides[at].pictures[k]
    shown = [s for s in decks[lang].slides[at].placeholders if hasattr(s, "image")][k]
    size = Emu(shown.width).inches, Emu(shown.height).inches
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of matplotlib: a glyph that is missing
        fig = pictures.draw(picture, stories[lang], size)
        fig.canvas.draw()
    hidden = {label for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)  # of ticks not in view
              for tick in {*axis.get_major_ticks()} - {*(axis._update_ticks() * ax.axison)}
              for label in (tick.label1, tick.label2)}
    seen = [t for t in fig.findobj(Text) if t.get_text().strip() and t.get_visible()
            and t not in hidden]
    assert min(t.get_fontsize() for t in seen) >= 18
    boxes, paper = {t: t.get_window_extent() for t in seen}, fig.bbox.padded(0.5)
    for t, b in boxes.items():
        assert paper.x0 <= b.x0 and b.x1 <= paper.x1 and paper.y0 <= b.y0, t.get_text()
        assert b.y1 <= paper.y1, t.get_text()
    for (a, one), (b, other) in itertools.combinations(boxes.items(), 2):
        assert not one.padded(-2).overlaps(other.padded(-2)), f"{a.get_text()} on {b.get_text()}"
    for source, row in ((s, r) for _, rows in picture.panels for r in rows for s in r[1:-1]):
        if "==" not in source and source != story.LACKING:
            value = facts.number(source)[0]
            assert any(says(t.get_text(), value, "change") for t in seen
                       if SHOWN.findall(t.get_text())[1:] == [] and "%" in t.get_text()), row
    plt.close(fig)


def test_the_saved_figures_are_those_of_the_deck(stories):
    drawn = {s.name if p.name == "forest" else p.name
             for s in stories["en"].slides for p in s.pictures}
    drawn |= {f"{name}.ko" for name in slides.IN_README}
    assert {f.stem for f in (ROOT / "figures" / "slides").glob("*.svg")} == drawn


# -- form


def wide(line, size, bold=False):
    """Inches; DejaVu is wider than the deck's typeface, a Hangul syllable at most .95 em."""
    latin = "".join(c for c in line if ord(c) < 0x1100)
    ems = (1.0 if bold else 0.93) * MEASURED.getlength(latin) / 100
    return (ems + 0.95 * (len(line) - len(latin))) * size / 72


@each_language
def test_titles_and_lines_are_one_line_and_tables_fit(decks, lang):
    for i, slide in enumerate(decks[lang].slides, 1):
        for shape in slide.placeholders:
            kind, idx = shape.placeholder_format.type.name, shape.placeholder_format.idx
            size = {"TITLE": 28, "CENTER_TITLE": 40}.get(kind, {15: 12, 13: 24}.get(idx, 20))
            bold = kind in ("TITLE", "CENTER_TITLE") or idx == 13
            for p in shape.text_frame.paragraphs if shape.has_text_frame else ():
                room = Emu(shape.width).inches - 0.25 * (kind == "OBJECT")
                assert wide(p.text, size, bold) <= room, f"slide {i}: {p.text}"
            if shape.has_text_frame and "TITLE" not in kind:
                assert len(shape.text_frame.paragraphs) <= 3, f"slide {i}: more than three lines"
            if not shape.has_table:
                continue
            for row in shape.table.rows:
                for cell, column in zip(row.cells, shape.table.columns, strict=True):
                    lines = cell.text.split("\v")
                    assert max(wide(w, 18) for w in lines) <= Emu(column.width).inches - 0.1
                    assert len(lines) * 22 + 4 <= Emu(row.height).pt + 0.1, cell.text
            below = [s.top for s in slide.placeholders if s.top > shape.top]
            assert shape.top + sum(r.height for r in shape.table.rows) <= min(below)


def test_the_master_decides_how_it_looks_and_the_first_slide_says_whose_it_is(decks):
    for deck in decks.values():
        for slide in deck.slides:
            assert all(shape.is_placeholder for shape in slide.shapes)
            kinds = {s.placeholder_format.type.name for s in slide.placeholders}
            assert "SLIDE_NUMBER" in kinds or slide == deck.slides[0]
            for run in (r for f in frames(slide) for p in f.paragraphs for r in p.runs):
                assert set(run._r.rPr.keys()) <= {"lang"} and not len(run._r.rPr), run.text
        about = deck.core_properties
        assert about.author == "A. Presenter" and about.title == deck.slides[0].shapes.title.text
        assert "FAIR Lab · A. Presenter · 2026-12-07" in words(deck.slides[0])


def seconds(said):
    """To say it, at 300 syllables a minute: a digit is one, and a vowel group of a Latin word."""
    return len(re.findall(r"[가-힣\d]|[aeiouy]+", said.replace("%", "퍼센트"), re.I)) / 5


def test_the_notes_can_be_said_in_time(stories):
    of = {s.name: seconds(" ".join(s.say)) for s in stories["ko"].slides}
    main = dict(itertools.islice(of.items(), MAIN))
    assert sum(main.values()) <= 11 * 60, main
    assert max(main.values()) <= 75 and main["recall"] >= 45 and min(of.values()) > 0, main
    assert all(s.questions for s in stories["ko"].slides)


# -- what is not there yet, thin and damaged ledgers, bad input


@pytest.mark.skipif(not shutil.which("soffice") or not shutil.which("pdftotext"),
                    reason="LibreOffice is not here")
def test_another_program_shows_every_word_on_its_slide(decks, tmp_path):
    decks["en"].save(tmp_path / "deck.pptx")  # the typefaces of Korean are not everywhere
    for command in (["soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/lo",
                     "--convert-to", "pdf", "deck.pptx"], ["pdftotext", "-bbox", "deck.pdf"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    shown = (tmp_path / "deck.html").read_text().split("<page ")[1:]
    assert len(shown) == len(decks["en"].slides)
    for content in shown:
        width, height = map(float, re.findall(r'(?:width|height)="([\d.]+)"', content)[:2])
        for x, y in re.findall(r'xMax="([\d.]+)" yMax="([\d.]+)"', content):
            assert float(x) <= width and float(y) <= height


def test_an_empty_ledger_makes_a_deck_that_says_so(tmp_path, stories):
    deck = Presentation(slides.build("en", tmp_path / "deck.pptx", Ledger(tmp_path / "none")))
    said = ["\n".join(words(slide)) for slide in deck.slides]
    assert len(said) == len(stories["en"].slides) and not re.search(r"\bnan\b|[{}]", "".join(said))
    assert story.read("en")[0]["lacking"] in said[3]
    assert said[MAIN].count("not run yet") == 11


def test_a_mistyped_name_is_an_error_and_no_line_that_vanishes(tmp_path):
    empty = story.Story(Facts(Ledger(tmp_path)), "en")
    for written, conditions in (
            ("{toy.zeroo}", ""), ("x", "toy-shortt"), ("{nothing!verdict}", "")):
        with pytest.raises(UnknownName, match="has this name"):
            empty.slide("one", [("-", conditions, written)])
    with pytest.raises(UnknownName):
        pictures.Drawing(story.Picture("forest", {}), empty, (12, 4)).row("removed.meann")


def test_a_wrong_language_or_place_is_named_before_anything_is_computed(
        tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(slides, "Facts", None)
    assert main(["slides", "--lang", "fr", "--out", str(tmp_path / "x.pptx")]) == 2
    assert capsys.readouterr().err == "error: --lang fr: choose one of ko, en.\n"
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "x.pptx", tmp_path):
        assert main(["slides", "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: --out {out}: cannot be written") and said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_only_an_unchanged_deck_of_its_own_is_replaced(tmp_path, capsys, decks):
    other, edited, own = (tmp_path / f"{name}.pptx" for name in ("other", "edited", "own"))
    other.write_text("no deck")
    decks["en"].save(own)
    decks["en"].save(edited)
    again = Presentation(edited)
    again.core_properties.modified = datetime(2030, 1, 1)  # as programs do when they save
    again.save(edited)
    before = [f.read_bytes() for f in (other, edited)]
    for out in (other, edited):
        assert main(["slides", "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert "is there, and not as this command wrote it" in said and said.count("\n") == 1
    assert [f.read_bytes() for f in (other, edited)] == before and page.untouched(own)

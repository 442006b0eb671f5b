"""The deck, read back from its file: words, numbers, notes, fonts, room for the text."""

import re
import shutil
import subprocess
from datetime import datetime
from functools import cache
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import ImageFont
from pptx import Presentation
from pptx.util import Emu
from prose import unanchored

from tsattn import slides, text
from tsattn.__main__ import main
from tsattn.claims import CLAIMS
from tsattn.claims.facts import STATEMENTS, Facts
from tsattn.ledger import Ledger
from tsattn.numbers import NotRun, UnknownName
from tsattn.settings import ROOT
from tsattn.slides import drawn, page, story

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LANGUAGES = story.LANGUAGES


@pytest.fixture(scope="module")
def facts():
    return Facts(Ledger(record=True))


@pytest.fixture(scope="module")
def decks(tmp_path_factory, facts):
    folder = tmp_path_factory.mktemp("decks")
    return {
        lang: Presentation(slides.build(lang, folder / f"{lang}.pptx", facts, "FAIR Lab"))
        for lang in LANGUAGES
    }


def paragraphs(slide):
    """Every paragraph with words on a slide, those of tables too."""
    for shape in slide.shapes:
        if shape.has_text_frame:
            yield from (p for p in shape.text_frame.paragraphs if p.text)
        if shape.has_table:
            for row in shape.table.rows:
                for cell in row.cells:
                    yield from (p for p in cell.text_frame.paragraphs if p.text)


def words(slide):
    notes = slide.notes_slide.notes_text_frame.text
    return "\n".join([*(p.text for p in paragraphs(slide)), notes])


def written(lang):
    return (Path(story.__file__).parent / f"deck.{lang}.md").read_text("utf-8")


def bodies(lang):
    return "\n".join(part.split("\n", 1)[1] for part in written(lang).split("\n## ")[1:])


# -- the same deck in both languages


def test_both_languages_tell_the_same_story():
    told = {lang: story.read(lang)[1] for lang in LANGUAGES}
    ko, en = told["ko"], told["en"]
    assert [name for name, _ in ko] == [name for name, _ in en] and len(ko) == 19
    for (name, mine), (_, theirs) in zip(ko, en, strict=True):
        kinds = [[(key, conditions) for key, conditions, _ in lines] for lines in (mine, theirs)]
        assert kinds[0] == kinds[1], f"{name}: other lines in English than in Korean"
        for (key, _, one), (_, _, other) in zip(mine, theirs, strict=True):
            names = [sorted(m[0] for m in story.PLACE.finditer(s)) for s in (one, other)]
            assert names[0] == names[1], f"{name}, {key}: {one!r} and {other!r} show other numbers"


def test_the_files_have_the_same_slides(decks):
    shapes = {
        lang: [
            [(s.shape_type, s.name) for s in slide.shapes if s.has_table or not s.has_text_frame]
            for slide in deck.slides
        ]
        for lang, deck in decks.items()
    }
    assert shapes["ko"] == shapes["en"] and len(shapes["ko"]) == 19
    for deck in decks.values():
        assert deck.slide_width / deck.slide_height == pytest.approx(16 / 9, abs=1e-3)


# -- numbers


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_result_is_typed_by_hand(lang):
    assert not unanchored(story.PLACE.sub(" ", bodies(lang)))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_name_in_the_text_exists(facts, lang):
    for match in story.PLACE.finditer(bodies(lang)):
        assert match[1] in CLAIMS if match[4] else facts.number(match[1])
    for _, conditions, _ in (line for _, lines in story.read(lang)[1] for line in lines):
        for name in conditions.split():
            facts.holds(name.removeprefix("not-"))
    figures = re.findall(r"^figure: (\w+)", written(lang), re.M)
    assert sorted(figures) == sorted(drawn.DRAWN), "every figure is drawn, and every drawing shown"


SHOWN = re.compile(r"([+−]?)(\d[\d,]*(?:\.(\d+))?)")


def says(shown, value, form, unsigned=False):
    """Whether ``shown`` is ``value``, rounded to the digits that it has."""
    [(sign, digits, decimals)] = SHOWN.findall(shown)
    written = float(digits.replace(",", "")) * (-1 if sign == "−" else 1)
    right = (abs(value) if unsigned else value) * (100 if form in text.HUNDREDTHS else 1)
    unit = text.HUNDREDTHS.get(form, "").strip()
    return abs(written - right) <= 0.5 * 10.0 ** -len(decimals) + 1e-9 and unit in shown


def on_slide(slide):
    """Its lines, notes and descriptions of figures, and the rows of its table."""
    notes = slide.notes_slide.notes_text_frame.text
    lines = [*(p.text for p in paragraphs(slide)), *notes.split("\n")]
    lines += [s._element.nvPicPr.cNvPr.get("descr") for s in slide.shapes if s.shape_type == 13]
    return lines, [[cell.text for cell in row.cells] for s in slide.shapes if s.has_table
                   for row in s.table.rows]


def told(templates, facts):
    """The lines of the deck's text that have to be on a slide: key and text."""
    title, asked = False, True
    for key, conditions, written in templates:
        holds = all(facts.holds(c.removeprefix("not-")) != c.startswith("not-")
                    for c in conditions.split())
        asked = holds if key == "Q" else asked
        if holds and key != "figure" and (key != "A" or asked) and not (key == "title" and title):
            title |= key == "title"
            yield key, written


def wrong(lines, rows, templates, facts, lang):
    """A sentence for every number of the templates that does not stand at its place."""
    rows = iter(rows)
    for key, written in told(templates, facts):
        start = f"{key}. " if key in "QA" else ""
        cells = [c.strip() for c in written.split("|")] if key == "|" else [start + written]
        at = [[c] for c in next(rows)] if key == "|" else [lines] * len(cells)
        for cell, places in zip(cells, at, strict=True):
            parts = re.split(story.PLACE.pattern, cell.replace("//", "\v"))
            if len(parts) == 1:
                continue
            pattern = re.compile("(.+?)".join(map(re.escape, parts[::5])), re.S)
            found = [m for place in places if (m := pattern.fullmatch(place))]
            if not found:
                yield f"{cell!r} is not there"
            for names, shown in zip(story.PLACE.findall(cell), found and found[0].groups(),
                                    strict=bool(found)):
                if not right(*names, shown, facts, lang):
                    yield f"{cell!r}: {names[0]} is not {shown!r}"


def right(name, unsigned, _, part, shown, facts, lang):
    if not part:
        return says(shown, *facts.number(name), bool(unsigned))
    outcome = facts.outcomes[name]
    if part == "number":
        n = outcome.number
        values = [v for v in (n.value, n.low, n.high) if np.isfinite(v)]
        unit = text.HUNDREDTHS.get(n.form, "")
        each = [m[0] + unit for m in SHOWN.finditer(shown)]
        return len(each) == len(values) and all(map(says, each, values, [n.form] * 3))
    return shown == (text.verdict(outcome, lang) if part == "verdict" else
                     text.VERDICTS[lang][outcome.found.split_verdict])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_number_on_a_slide_is_the_one_of_its_name(decks, facts, lang):
    for slide, (name, templates) in zip(decks[lang].slides, story.read(lang)[1], strict=True):
        said = list(wrong(*on_slide(slide), templates, facts, lang))
        assert not said, f"{name}: {said}"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_wrong_digit_on_a_slide_is_found(decks, facts, lang):
    tried = 0
    for slide, (name, templates) in zip(decks[lang].slides, story.read(lang)[1], strict=True):
        lines, rows = on_slide(slide)
        [*texts] = (t.replace("//", "\v") for _, t in told(templates, facts))
        for i, line in enumerate(lines):
            for number in SHOWN.finditer(line):
                if number[0] in "".join(texts) or line in sum(rows, []):
                    continue  # typed as it stands; tables have their own test
                end = number.end() - 1
                other = line[:end] + str((int(line[end]) + 1) % 10) + line[end + 1:]
                changed = [*lines[:i], other, *lines[i + 1:]]
                assert list(wrong(changed, rows, templates, facts, lang)), f"{name}: {other}"
                tried += 1
    assert tried > 100


@pytest.mark.parametrize("shown, value, form, true", [
    ("+1.5 %", 0.0151, "change", True), ("+1.6 %", 0.0151, "change", False),
    ("+1.5 %", -0.0151, "change", False), ("−1.5 %", -0.0151, "change", True),
    ("1.5", 0.0151, "change", False), ("×12.5", 12.4885, "times", True),
    ("12배", 12.4885, "times", True), ("×12.4", 12.4885, "times", False),
    ("1,418", 1418, "count", True), ("−8.6 pp", -0.086, "points", True),
    ("−8.6 %", -0.086, "points", False)])
def test_what_a_number_says(shown, value, form, true):
    assert says(shown, value, form) is true


def test_the_scorecard_is_the_claims(decks, facts):
    [table] = [s.table for s in decks["ko"].slides[13].shapes if s.has_table]
    rows = [[cell.text for cell in row.cells] for row in table.rows][1:]
    cards = [o for o in facts.outcomes.values() if o.claim.scorecard]
    assert [r[1] for r in rows] == [text.verdict(o, "ko") for o in cards]
    assert [r[2] for r in rows] == [
        text.with_interval(o.number) if o.number else story.LACKING for o in cards
    ]


def test_the_talk_table_is_the_tables_of_talk_and_authors(decks):
    talk = pd.read_csv(ROOT / "tsattn" / "published" / "lab_talk.csv").set_index("attention")
    authors = pd.read_csv(ROOT / "tsattn" / "published" / "authors.csv")
    row = authors.query("dataset == 'ETTh1' and pred_len == 96 and metric == 'MSE'")
    [table] = [s.table for s in decks["en"].slides[3].shapes if s.has_table]
    for cells in list(table.rows)[1:]:
        a, paper, theirs, _, own, patchtst, _ = [cell.text for cell in cells.cells]
        at = row[row.attention == a].set_index("model")["mean"]
        assert (paper, own) == (f"{talk.paper_mse[a]:.3f}", f"{talk.lab_mse[a]:.3f}")
        assert (theirs, patchtst) == (f"{at['iTransformer']:.3f}", f"{at['PatchTST']:.3f}")


# -- form


@pytest.mark.parametrize("lang", LANGUAGES)
def test_notes_alt_text_fonts_and_length(decks, lang):
    fixed = story.read(lang)[0]
    for i, slide in enumerate(decks[lang].slides, 1):
        notes = slide.notes_slide.notes_text_frame.text
        assert f"[{fixed['say']}]" in notes and "Q. " in notes and "A. " in notes, i
        for shape in slide.shapes:
            if not shape.has_text_frame and not shape.has_table:
                alt = shape._element.nvPicPr.cNvPr.get("descr")
                assert alt and len(alt) > 40, f"slide {i}: a picture without words for it"
        small = [p.text for p in paragraphs(slide) for r in p.runs if r.font.size.pt < 18]
        assert len(small) == 1, f"slide {i}: only the provenance is smaller than 18 pt: {small}"
        assert all(r.font.size.pt >= 12 for p in paragraphs(slide) for r in p.runs)
        boxes = [s for s in slide.shapes if s.has_text_frame and s != slide.shapes.title]
        assert max(len(s.text_frame.paragraphs) for s in boxes) <= 3, f"slide {i}: long"
        kinds = sum(s.has_table or not s.has_text_frame for s in slide.shapes)
        assert kinds == (i > 1), f"slide {i}: one figure or one table"


@cache
def font(bold):
    return ImageFont.truetype(str(FONTS / f"DejaVuSans{'-Bold' * bold}.ttf"), 100)


def wide(words, size, bold=False):
    """Width in inches; DejaVu is wider than the deck's typeface, a Hangul syllable one em."""
    latin = "".join(c for c in words if ord(c) < 0x1100)
    return (0.93 * font(bold).getlength(latin) / 100 + len(words) - len(latin)) * size / 72


def rows(words, size, width, bold=False):
    """Lines that words take at most when they are broken at spaces."""
    count, line = 1, ""
    for word in words.split():
        longer = f"{line} {word}".strip()
        if line and wide(longer, size, bold) > width:
            count, line = count + 1, word
        else:
            line = longer
    return count


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_text_runs_out_of_its_box(decks, lang):
    tall = {"ko": 1.33, "en": 1.2}[lang]  # line heights of Malgun Gothic and Arial
    for i, slide in enumerate(decks[lang].slides, 1):
        for shape in slide.shapes:
            if shape.has_text_frame and shape.text_frame.text:
                need = 0.1
                for p in shape.text_frame.paragraphs:
                    size, bold = p.runs[0].font.size.pt, bool(p.runs[0].font.bold)
                    inside = Emu(shape.width).inches - size / 72
                    need += rows(p.text, size, inside, bold) * size * tall / 72
                    need += p.space_after.pt / 72
                room = Emu(shape.height).inches
                assert need <= room + 0.02, f"slide {i}: {shape.text_frame.text!r}"
                assert Emu(shape.left + shape.width).inches <= 13.333
                assert Emu(shape.top + shape.height).inches <= 7.5
            if shape.has_table:
                for row in shape.table.rows:
                    for cell, column in zip(row.cells, shape.table.columns, strict=True):
                        lines = cell.text.split("\v")
                        run = cell.text_frame.paragraphs[0].runs[0]
                        inside = Emu(column.width).inches - 0.2
                        size, bold = run.font.size.pt, bool(run.font.bold)
                        assert max(wide(w, size, bold) for w in lines) <= inside, cell.text
                        need = len(lines) * size * tall / 72 + 0.08
                        assert need <= Emu(row.height).inches + 0.02, cell.text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_lies_on_something_else(decks, lang):
    for i, slide in enumerate(decks[lang].slides, 1):
        spans = []
        for s in slide.shapes:
            rows_ = [r.height for r in s.table.rows] if s.has_table else []
            spans.append((s.top, s.top + (sum(rows_) or s.height)))
        spans.sort()
        for (_, end), (start, _) in zip(spans, spans[1:], strict=False):
            assert Emu(end - start).inches <= 0.02, f"slide {i}: two shapes overlap"


@pytest.mark.parametrize("name", list(drawn.DRAWN))
def test_a_figure_is_legible_and_lies_in_its_folder(facts, name):
    fig = drawn.draw(name, facts)
    assert fig.get_size_inches() == pytest.approx(drawn.SIZE)
    shown = [t for t in fig.findobj(plt.Text) if t.get_text().strip() and t.get_visible()]
    assert min(t.get_fontsize() for t in shown) >= 18
    assert not fig.get_suptitle() and not any(ax.get_title() for ax in fig.axes)
    plt.close(fig)
    svg = ROOT / "figures" / "slides" / f"{name}.svg"
    assert svg.stat().st_size < 200_000 and "<text" in svg.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("soffice"), reason="LibreOffice is not here")
def test_another_program_opens_it(decks, tmp_path):
    decks["ko"].save(tmp_path / "deck.pptx")
    convert = ["soffice", "--headless", "--convert-to", "pdf", "--outdir", str(tmp_path)]
    subprocess.run([*convert, str(tmp_path / "deck.pptx")], check=True, capture_output=True)
    assert len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "deck.pdf").read_bytes())) == 19


# -- thin and damaged ledgers, bad input


def test_an_empty_ledger_makes_a_deck_that_says_so(tmp_path):
    deck = Presentation(slides.build("en", tmp_path / "deck.pptx", Ledger(tmp_path / "none")))
    assert len(deck.slides) == 19
    fixed = story.read("en")[0]
    for i, slide in enumerate(deck.slides, 1):
        assert not any(s.shape_type == 13 for s in slide.shapes), f"slide {i}: a figure of nothing"
        assert not re.search(r"nan|[{}]", words(slide)), f"slide {i}"
    said = [words(slide) for slide in deck.slides]
    assert fixed["nothing"] in said[4] and fixed["lacking"] in said[3]
    assert said[13].count("not run yet") == 11


def test_a_mistyped_name_is_an_error_and_no_line_that_vanishes(tmp_path):
    for written, conditions in (("{toy.zeroo}", ""), ("x", "toy-shortt"),
                                ("{nothing!verdict}", "")):
        with pytest.raises(UnknownName, match="has this name"):
            story._slide("one", [("-", conditions, written)],
                         story.Filler(Facts(Ledger(tmp_path)), "en"))


def test_of_nothing_no_statement_holds(tmp_path):
    filler = story.Filler(Facts(Ledger(tmp_path)), "en")

    def holds(name):
        try:
            return filler.holds(name)
        except NotRun:
            return False

    # published tables
    of_papers = {"paper-column-is-itransformer", "pairs-patch-and-token-open"}
    assert {name for name in STATEMENTS if holds(name)} == of_papers


def test_unknown_language(tmp_path, capsys):
    assert main(["slides", "--lang", "fr", "--out", str(tmp_path / "x.pptx")]) == 2
    assert capsys.readouterr().err == "error: --lang fr: choose one of ko, en.\n"
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "x.pptx", tmp_path):
        assert main(["slides", "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: --out {out}: cannot be written") and said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_only_an_unchanged_deck_of_its_own_is_replaced(tmp_path, capsys, decks):
    other, edited, own = (tmp_path / f"{name}.pptx" for name in ("other", "edited", "own"))
    other.write_text("no deck")
    for file, changed in ((own, False), (edited, True)):
        decks["en"].save(file)
        again = Presentation(file)
        if changed:  # as PowerPoint and LibreOffice do when they save
            again.core_properties.modified = datetime(2030, 1, 1)
            again.save(file)
    before = [f.read_bytes() for f in (other, edited)]
    for out in (other, edited):
        assert main(["slides", "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert "is there, and not as this command wrote it" in said and said.count("\n") == 1
    assert [f.read_bytes() for f in (other, edited)] == before and page.untouched(own)


def test_a_damaged_ledger_leaves_the_earlier_deck_as_it_was(tmp_path, capsys):
    results, out = tmp_path / "results", tmp_path / "deck.pptx"
    results.mkdir()
    (results / "runs.csv").write_text("run_id,status,check\nx,complete,00000000\n")
    page.presentation("the earlier one", "").save(out)
    before = out.read_bytes()
    assert main(["slides", "--results", str(results), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "runs.csv" in said and said.count("\n") == 1
    assert out.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"results", "deck.pptx"}

"""Every number in README and in the chapters' text is the ledger's; the words around numbers
come out as they should."""

import re

import nbformat
import pytest
from prose import unanchored

from tsattn import claims, text
from tsattn.claims.rules import CANNOT_TELL, NO, Found, Number
from tsattn.ledger import ROOT

READMES = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "README.ko.md")}
TEXTS = text.texts()


def test_every_anchored_number_is_the_ledgers_and_no_line_begins_with_an_anchor(facts):
    """A line that begins with a comment ends its paragraph, in Jupyter and on the site."""
    begins = re.compile(r"^\s*(?:[-*]|\d+\.)?\s*<!-- (?:n:|holds:|/ -->).{,60}", re.M)
    for (path, cell), written in TEXTS.items():
        new, problems = text.refresh_text(written, facts, path.name)
        assert not problems and new == written, f"{path.name}, {cell}: python -m tsattn refresh"
        assert not begins.findall(text.BLOCK.sub("", written)), f"{path.name}, {cell}"


@pytest.mark.parametrize("written", READMES.values(), ids=READMES)
def test_a_readme_has_anchored_numbers_a_short_first_screen_and_links_that_lead_somewhere(written):
    """At most 170 words and 8 numbers before the picture."""
    assert unanchored(written) == []
    lines = written.splitlines()  # of which a row of a table cannot be broken
    assert len(lines) <= 155 and all(len(x) <= (400 if x[:1] == "|" else 250) for x in lines)
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", written)
    assert len(links) > 10
    assert not [t for t in links if not t.startswith("http") and not (ROOT / t).is_file()]
    first = written.partition("\n![")[0]
    words = re.sub(r"<!--.*?-->|\]\(.*?\)|^#.*|^\d\.| %", "", first, flags=re.M).split()
    assert len(words) <= 170 and len(text.NUMBER.findall(first)) <= 8


def test_both_readmes_rest_on_the_same_numbers():
    one, other = (sorted(m[2] for m in text.NUMBER.finditer(w)) for w in READMES.values())
    assert one == other and len(one) > 15


def test_a_text_is_brought_up_to_date_and_what_cannot_be_is_named(facts):
    value = facts.outcomes["patchtst-without"].number.value
    new, problems = text.refresh_text(
        "<!-- n:patchtst-without -->9 %<!-- / --> <!-- n:patchtst-without:abs2 -->x<!-- / -->, "
        "<!-- n:nonsense -->1<!-- / -->; "
        "<!-- holds:patchtst-without.yes -->as good<!-- / --> <!-- holds:wrong -->x<!-- / -->\n"
        "<!-- block:scorecard -->\nold\n<!-- /block -->\n"
        "<!-- block:other -->\nkept\n<!-- /block -->\n", facts)
    assert f"-->+{100 * value:.1f} %<" in new and f":abs2 -->{100 * value:.2f} %<" in new
    assert "\nold\n" not in new and "| claim |" in new and "\nkept\n" in new
    assert len(problems) == 4 and all(any(p.startswith(words) for p in problems) for words in (
        "nonsense: ", "wrong: ", "other: no block has this",
        "patchtst-without.yes: the ledger says otherwise; reword 'as good'"))
    assert text.refresh_text(new, facts) == (new, problems)
    for open_ in ("<!-- n:runs -->9 runs", "<!-- n:runs:abs12 -->9<!-- / -->", "<!--n:runs-->9"):
        lost = f"{open_} and much that must stay <!-- n:runs -->1,447<!-- / --> end"
        new, problems = text.refresh_text(lost, facts)
        assert "much that must stay" in new and "without its end" in problems[0], open_


def test_files_are_refreshed_in_place(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").write_text("<!-- n:runs -->0<!-- / -->")
    cells = [nbformat.v4.new_code_cell("1"),
             nbformat.v4.new_markdown_cell("<!-- n:runs -->0<!-- / -->")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "00_x.ipynb")
    changed, problems = text.refresh(tmp_path)
    assert sorted(changed) == ["00_x.ipynb", "README.md"] and problems == []
    assert "-->0<" not in (tmp_path / "README.md").read_text()
    assert text.refresh(tmp_path) == ([], [])


# -- words


@pytest.mark.parametrize("value, form, digits, sign, shown", [
    (0.0091, "change", None, True, "+0.9 %"), (-0.066, "change", None, True, "−6.6 %"),
    (0.0091, "change", 0, False, "1 %"), (0.013, "share", None, True, "1.3 %"),
    (12.49, "times", 1, True, "×12.5"), (0.968, "weight", None, True, "0.97"),
    (1794, "count", None, True, "1,794"), (float("nan"), "count", None, True, "not run yet")])
def test_numbers_in_words(value, form, digits, sign, shown):
    assert text.figure(value, form, digits, sign) == shown


def test_a_verdict_says_the_answer_first_then_size_then_uncertainty():
    claim = claims.CLAIMS["patchtst-without"]
    unclear, clear = (Found(v, Number(0.0091, -0.0012, 0.0195), 5, 0.0144, split_verdict=NO,
                            few_blocks=v == NO, claim=claim) for v in (CANNOT_TELL, NO))
    assert text.sentence(unclear) == (
        "Cannot tell. About 1 % worse (error with zero attention, against softmax); the test "
        "months cannot tell 0 % from +2 %. 1.4 % or more would have been seen.")
    assert text.sentence(clear) == (
        "No: error with zero attention, against softmax, +0.9 % [−0.1, +1.9].")
    assert text.beside(unclear) == ["these test months: no"]
    assert text.beside(clear) == ["few weeks at long horizons"]
    assert text.with_interval(Number(-0.0004, -0.0005, -0.0002)) == "−0.04 % [−0.05, −0.02]"
    gap = Number(-0.086, -0.135, 0.037, "points")
    assert text.with_interval(gap) == "−8.6 pp [−13.5, +3.7]"


def test_text_from_elsewhere_and_intervals_in_a_cell():
    assert text.escape("<b>a|b</b>\n*x*") == "&lt;b&gt;a\\|b&lt;/b&gt; \\*x\\*"
    assert text.as_text((0.4, -0.3, 0.5), ".1f") == "0.4 [−0.3, 0.5]"
    assert text.spread([0.4]) == "0.400 (one seed)"

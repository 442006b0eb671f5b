"""Every number in README and in the chapters' text is the ledger's; the words around numbers
come out as they should.
"""

import re

import nbformat
import pytest
from prose import unanchored

from tsattn import anchors, claims, text
from tsattn.claims.facts import Facts
from tsattn.claims.rules import CANNOT_TELL, NO, Found, Number, Outcome
from tsattn.ledger import ROOT, Ledger


@pytest.fixture(scope="module")
def facts():
    return Facts(Ledger())


TEXTS = anchors.texts()


@pytest.mark.parametrize("where", TEXTS, ids=lambda w: f"{w[0].name}-{w[1]}")
def test_every_anchored_number_is_the_ledgers(facts, where):
    new, problems = anchors.refresh_text(TEXTS[where], facts)
    assert not problems and new == TEXTS[where], "run python -m tsattn refresh"


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_a_readme_has_no_number_without_an_anchor_and_no_long_line(name):
    written = (ROOT / name).read_text(encoding="utf-8")
    assert unanchored(written) == []
    assert max(map(len, written.splitlines())) <= 400 and len(written.splitlines()) <= 195


def test_the_first_screen_is_short():
    """At most 170 words and 8 numbers before the picture, in either language."""
    for name in ("README.md", "README.ko.md"):
        first = (ROOT / name).read_text(encoding="utf-8").partition("\n![")[0]
        words = re.sub(r"<!--.*?-->|\]\(.*?\)|^#.*|^\d\.| %", "", first, flags=re.M).split()
        assert len(words) <= 170 and len(anchors.NUMBER.findall(first)) <= 8, name


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_every_link_of_a_readme_leads_somewhere(name):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8"))
    assert (
        len(links) > 10
        and [t for t in links if not t.startswith("http") and not (ROOT / t).is_file()] == []
    )


def test_both_readmes_rest_on_the_same_numbers():
    names = [
        sorted(m[1] for m in anchors.NUMBER.finditer((ROOT / name).read_text(encoding="utf-8")))
        for name in ("README.md", "README.ko.md")
    ]
    assert names[0] == names[1] and len(names[0]) > 15


def test_a_text_is_brought_up_to_date_and_what_cannot_be_is_named(facts):
    value = facts.outcomes["patchtst-without"].number.value
    written = (
        "<!-- n:patchtst-without -->9 %<!-- / --> <!-- n:patchtst-without:abs2 -->x<!-- / -->, "
        "<!-- n:nonsense -->1<!-- / -->; "
        "<!-- holds:patchtst-without.yes -->as good<!-- / -->\n"
        "<!-- block:scorecard -->\nold\n<!-- /block -->\n"
    )
    new, problems = anchors.refresh_text(written, facts)
    assert (
        f"-->+{100 * value:.1f} %<" in new
        and f":abs2 -->{100 * value:.2f} %<" in new
        and "\nold\n" not in new
        and "| claim |" in new
    )
    assert (
        len(problems) == 2
        and "nonsense" in " ".join(problems)
        and "the ledger says otherwise; reword 'as good'" in " ".join(problems)
    )
    assert anchors.refresh_text(new, facts)[0] == new


def test_files_are_refreshed_in_place(tmp_path, facts):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").write_text("<!-- n:runs -->0<!-- / -->")
    cells = [
        nbformat.v4.new_code_cell("1"),
        nbformat.v4.new_markdown_cell("<!-- n:runs -->0<!-- / -->"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "00_x.ipynb")
    changed, problems = anchors.refresh(tmp_path)
    assert sorted(changed) == ["00_x.ipynb", "README.md"] and problems == []
    assert "-->0<" not in (tmp_path / "README.md").read_text() and anchors.refresh(tmp_path) == (
        [],
        [],
    )


def test_a_number_without_an_anchor_is_found_and_a_setting_is_not():
    assert unanchored("about 3 % or 0.25, ×12") == ["3 %", "0.25", "×12"]
    assert (
        unanchored(
            "at 1e-4, 95 % intervals, 0.5 is not 0, `0.3`, [x](a/0.7), arXiv:2509.20942, 336 hours"
        )
        == []
    )


# -- words


@pytest.mark.parametrize(
    "value, form, digits, sign, shown",
    [
        (0.0091, "change", None, True, "+0.9 %"),
        (-0.066, "change", None, True, "−6.6 %"),
        (0.0091, "change", 0, False, "1 %"),
        (0.013, "share", None, True, "1.3 %"),
        (12.49, "times", 1, True, "×12.5"),
        (0.968, "weight", None, True, "0.97"),
        (1794, "count", None, True, "1,794"),
    ],
)
def test_numbers_in_words(value, form, digits, sign, shown):
    assert text.figure(value, form, digits, sign) == shown


def test_a_verdict_says_the_answer_first_then_size_then_uncertainty():
    claim = claims.CLAIMS["patchtst-without"]
    open_, clear = (
        Outcome(claim, Found(v, Number(0.0091, -0.0012, 0.0195), 5, 0.0144, split_verdict=split))
        for v, split in ((CANNOT_TELL, NO), (NO, NO))
    )
    assert text.sentence(open_) == (
        "Cannot tell. About 1 % worse (error with zero attention, against softmax); "
        "the test months cannot tell "
        "0 % from +2 %. 1.4 % or more would have been seen."
    )
    assert (
        text.sentence(clear)
        == "No: error with zero attention, against softmax, +0.9 % [−0.1, +1.9]."
    )
    assert text.sentence(open_, "ko").startswith("판단 불가. 오차가 약 1 % 큽니다")
    assert text.targets(open_) == "on these test months alone: no" and text.targets(clear) == ""
    assert text.with_interval(Number(-0.0004, -0.0005, -0.0002)) == "−0.04 % [−0.05, −0.02]"
    gap = Number(-0.086, -0.135, 0.037, "points")
    assert text.with_interval(gap) == "−8.6 pp [−13.5, +3.7]"


def test_names_from_files_are_text():
    assert text.escape("<b>a|b</b>\n*x*") == "&lt;b&gt;a\\|b&lt;/b&gt; \\*x\\*"


def test_interval_as_text():
    assert (
        text.as_text((0.4, 0.3, 0.5), ".1f") == "0.4 [0.3, 0.5]"
        and text.spread([0.4]) == "0.400 (one seed)"
    )


def test_no_line_begins_with_an_anchor():
    """A line that begins with a comment ends its paragraph, in Jupyter and on the site."""
    begins = re.compile(r"\s*(?:[-*]|\d+\.)?\s*<!-- (?:n:|holds:|/ -->)")
    said = [f"{path.name}: {line[:60]}" for (path, _), written in anchors.texts().items()
            for line in anchors.BLOCK.sub("", written).splitlines() if begins.match(line)]
    assert not said, "\n".join(said)

"""The site in a browser, offline, and what names from files may do in it."""

import re
from urllib.parse import unquote, urlparse

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from chromium import PROGRAM, chromium

from tsattn import explore, site
from tsattn.compare import comparisons
from tsattn.ledger import ROOT, Ledger
from tsattn.site import Page, build, harmless_html, mathml, notice

EVIL = "<img src=x onerror=alert(1)>"
LINKS = ("[x](javascript:alert(1)) ![y](http://127.0.0.1:9/z.png) [p](/etc/passwd) "
         "[w](https://a.b) [r](results/runs.csv) [1](notebooks/01_attention_replacement.ipynb)")
PIXEL = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
         "RU5ErkJggg==")


def strange_chapter():
    """A chapter whose outputs hold what a file of data may be called."""
    table = f"<style>#T td {{ color: red }}</style><table><tr><td id='T'>{EVIL}</td></tr></table>"
    outputs = [
        ({"text/html": table + "<script>alert(1)</script><iframe src='http://127.0.0.1:9'>"}, {}),
        ({"text/markdown": f"{EVIL} {LINKS}\n\n```{{include}} /etc/passwd\n```\n\n"
                           "The rows of $W_{pos}$ and {download}`/etc/passwd`"}, {}),
        ({"text/plain": EVIL}, {}),
        ({"application/javascript": "alert(1)"}, {}),
        ({"image/png": PIXEL}, {"image/png": {"alt": f"Bars of {EVIL}"}}),
        ({"text/markdown": f"What **it** means, $x^2$, {EVIL}"},
         {"text/markdown": {"caption": True}}),
        ({"text/html": "<details><summary>Its runs</summary><p>01</p></details>"}, {})]
    code = nbformat.v4.new_code_cell("print(1)", metadata={"tags": ["hide-input"]}, outputs=[
        nbformat.v4.new_output("display_data", data=d, metadata=m) for d, m in outputs])
    return nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell(
            "# 99. A strange chapter\n"
            "Its equation is $$A = \\mathrm{softmax}(QK^\\top/\\sqrt{d})$$ "
            "and [the next](01_attention.ipynb) does not exist."),
        nbformat.v4.new_code_cell("pred_len = 96  # steps", metadata={"tags": ["parameters"]}),
        code])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The site of the committed chapters, with a strange one beside them."""
    work = tmp_path_factory.mktemp("site")
    chapters = [Page(p.stem, nbformat.read(p, as_version=4))
                for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    chapters.append(
        Page("99_strange", strange_chapter(), [notice("warning", "Run", f"dataset {EVIL}")]))
    (work / "slides-ko.pptx").write_bytes(b"a deck")
    index = build(chapters, Ledger(), work, work / "report")
    assert index == work / "report" / "index.html"
    return work / "report"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("Chromium (Debian package chromium) is not here: the site was not looked at")
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def html_pages(folder):
    return [p for p in sorted(folder.rglob("*.html")) if "_static" not in p.parts]


@pytest.fixture(scope="module")
def parsed(pages):
    return {p: BeautifulSoup(p.read_text("utf-8"), "html.parser") for p in html_pages(pages)}


def test_every_link_leads_somewhere_every_figure_has_words_and_every_page_is_small(pages, parsed):
    for page, found in parsed.items():
        # Two pages bring libraries, so that they work offline.
        large = page.name in ("explore.html", "ledger.html")
        assert page.stat().st_size < (3e6 if large else 2e6), page
        for words in (image.get("alt", "").strip() for image in found.find_all("img")):
            assert words and not words.startswith("../_images"), page
        for link in (tag[k] for k in ("href", "src") for tag in found.find_all(attrs={k: True})):
            url = urlparse(link)
            if url.scheme in ("http", "https", "data", "mailto"):
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            assert target.is_file() and pages in target.parents, (page, link)
            if url.fragment and target in parsed:
                assert parsed[target].find(id=unquote(url.fragment)), (page, link)


def test_the_korean_page_stands_beside_the_english_one_outside_the_order_of_pages(pages, parsed):
    for name, lang, other in (("index", "en", "ko"), ("ko", "ko", "index")):
        text = (pages / f"{name}.html").read_text("utf-8")
        assert f'<html lang="{lang}"' in text and '<a href="slides-ko.pptx">' in text
        assert f'href="{other}.html"' in text and 'href="notebooks/05_toy_dataset.html"' in text
    assert (pages / "slides-ko.pptx").read_bytes() == b"a deck"
    turned = {page.name: [a["href"] for a in found.select("a.left-prev, a.right-next")]
              for page, found in parsed.items()}
    assert turned["ko.html"] == [] and turned["index.html"] and any(map(len, turned.values()))
    assert not [p for p, links in turned.items() if any(x.endswith("ko.html") for x in links)]


def test_equations_are_mathml_and_a_bad_one_is_named(parsed):
    for page, found in parsed.items():
        if page.parent.name == "notebooks":
            assert "$$" not in str(found) and "MathJax" not in str(found), page
            assert not [m for m in found.find_all("math") if "\\" in str(m)], page
        if page.stem == "99_strange":
            assert found.select("div.equation > math") and not re.search(r"\$<|>\$", str(found))
    assert re.search("^<math.*mfrac", mathml(r"\frac{a}{b}", "block"))
    with pytest.raises(ValueError, match="equation 'a_': MissingSuperScript"):
        mathml("a_", "block")
    with pytest.raises(ValueError, match=r"equation .*foo.*: a command in it is not known"):
        mathml(r"\foo{a}", "inline")


def test_names_from_files_are_text(pages, parsed):
    strange = pages / "notebooks" / "99_strange.html"
    found, text = parsed[strange], strange.read_text(encoding="utf-8")
    assert not [k for tag in found.find_all(True) for k in tag.attrs if k.startswith("on")]
    assert not [i for i in found.find_all("img") if i.get("src", "").startswith(("x", "http"))]
    links = [a["href"] for a in found.find_all("a", href=True)]
    assert not [link for link in links if "javascript:" in link or "passwd" in link]
    assert {"https://a.b", "01_attention_replacement.html", "../ledger.html"} <= {*links}
    assert "<iframe" not in text and "<script>alert" not in text and "root:" not in text
    assert "&lt;img src=x onerror" in text
    assert text.count("<figcaption>") == 1 and 'alt="Bars of &lt;img' in text
    assert re.search(r"<figure.*<figcaption>.*What <strong>it</strong> means.*</figcaption>.*"
                     r"</figure>.*<summary>Its runs", text, re.S)
    assert not list(pages.rglob("*passwd*"))


def cell(text):
    return f'<table><tbody><tr><td class="a-1">{text}</td></tr></tbody></table>'


@pytest.mark.parametrize("text, right", [
    (cell("1 &lt; 2"),) * 2,
    (cell("-0.3 [-1.0, -0.0], -0.01 %"), cell("−0.3 [−1.0, 0.0], −0.01 %")),
    (cell("2016-07-01, 1e-4, s2021-4f"),) * 2,
    (cell("1").replace("<td", '<td rowspan="2" valign="top"'),) * 2,
    ("<p onclick='f()'>a</p>", "<p>a</p>"),
    ("<style type='text/css'>@import 'http://a'</style>a", "a"),
    ("<!-- a --><svg/onload=f()>", "&lt;svg/onload=f()&gt;"),
])
def test_tables_are_harmless_and_have_minus_signs(text, right):
    assert harmless_html(text) == right


def test_a_page_shows_its_parameters_and_offers_its_notebook(pages):
    text = (pages / "notebooks" / "99_strange.html").read_text(encoding="utf-8")
    assert "<th>pred_len</th><td><code>96</code></td><td>steps</td>" in text
    assert '<a href="99_strange.ipynb" download>' in text
    offered = nbformat.read(pages / "notebooks" / "99_strange.ipynb", as_version=4)
    assert [c.source for c in offered.cells] == [c.source for c in strange_chapter().cells]
    assert len(offered.cells[-1].outputs) == 7, "staging leaves the notebook as it is"


@pytest.mark.parametrize("rows, open_", [(12, True), (13, False)])
def test_a_long_table_is_folded(rows, open_):
    html = pd.DataFrame({"a": range(rows)}).to_html()
    shown = site.folded(nbformat.v4.new_output("display_data", data={"text/html": html}))
    assert ("<details>" not in shown.data["text/html"]) == open_ and html in shown.data["text/html"]


def test_every_table_of_the_record_can_be_downloaded_and_without_any_it_is_said(pages, tmp_path):
    assert (pages / "results" / "curves.csv").is_file()
    assert len(pd.read_csv(pages / "results" / "runs.csv")) == len(Ledger().read("runs"))
    assert "Nothing is recorded yet" in explore.record(Ledger(tmp_path), tmp_path / "results")
    assert explore.page(Ledger(tmp_path)) == ""


def test_every_page_loads_in_a_browser_without_a_network(pages, browser):
    wrong = {}
    for page in html_pages(pages):
        found = browser.open(page, width=1300) + browser.overflow()
        browser.width(390)
        found += browser.overflow()
        text, title, heading = browser.evaluate("""[document.body.innerText, document.title,
            document.querySelector('.bd-article h1')?.childNodes[0].textContent]""")
        found += [f"shown as text: {code}" for code in ("$$", "<style") if code in text]
        if page.name != "search.html" and title != heading:
            found.append(f"title {title!r}, heading {heading!r}")
        if found:
            wrong[page.name] = found
    assert not wrong


def test_code_is_folded_and_one_button_shows_it_all(pages, browser):
    assert browser.open(pages / "notebooks" / "99_strange.html") == []
    folded = "[...document.querySelectorAll('details.hide')].map(d => d.open)"
    assert browser.evaluate(folded) == [False]
    browser.evaluate("document.querySelector('#show-code').click()")
    assert browser.evaluate(folded) == [True]
    assert browser.evaluate("document.querySelector('#show-code').textContent") == "Hide all code"


INFO = "document.querySelector('.dt-info')?.textContent"  # beneath a table


def wait_for(browser, script: str):
    """The value of ``script`` once it is neither 0 nor nothing, within 20 seconds."""
    return browser.evaluate(f"""new Promise(done => {{ const start = Date.now();
        const look = () => {{ const found = {script};
            found || Date.now() - start > 20000 ? done(found) : setTimeout(look, 50); }};
        look(); }})""")


def found_alone(browser, words: str) -> bool:
    """Whether one row of the table is left where ``words`` are searched."""
    browser.evaluate(f"(i => {{ i.value = '{words}'; i.dispatchEvent(new Event('input')); }})"
                     "(document.querySelector('.dt-search input'))")
    return wait_for(browser, f"/1 to 1 of 1 entry/.test({INFO})")


def test_a_word_and_a_run_are_found(pages, browser):
    browser.open(pages / "search.html")
    found = browser.evaluate("""new Promise(done => { Search.performSearch("strange");
        setTimeout(() => done(document.querySelector("#search-results").innerText), 1500); })""")
    assert "99. A strange chapter" in found
    runs = Ledger().read("runs")
    browser.open(pages / "ledger.html")
    assert f"of {len(runs):,} entries" in wait_for(browser, INFO)
    assert found_alone(browser, runs.run_id[0])


def test_every_comparison_can_be_chosen_looked_at_and_downloaded(pages, browser):
    compared = comparisons(Ledger())
    assert browser.open(pages / "explore.html") == [] and browser.overflow() == []
    menus = wait_for(browser, "[...document.querySelectorAll('.vega-bindings select')].map("
                              "s => s.options[s.selectedIndex].text)")
    assert menus == ["ETTh1", "PatchTST", "96", "1e-4", "all", "linear"]
    height = "document.querySelector('#explore svg.marks')?.clientHeight"
    first = wait_for(browser, height)
    browser.evaluate("(s => { s.selectedIndex = 0; s.dispatchEvent(new Event('change')); })"
                     "(document.querySelectorAll('.vega-bindings select')[3])")
    assert wait_for(browser, f"{height} > {first}")  # at every rate there are more
    assert f"of {len(compared)} entries" in wait_for(browser, INFO)
    assert found_alone(browser, "dial-0.05")
    one = compared[compared.dataset == "dial-0.05"].iloc[0]
    cells = browser.evaluate("document.querySelector('table.dataTable tbody').innerText")
    assert str(round(100 * one.change, 2)) in cells and one.run_ids.split()[0] in cells
    assert browser.evaluate("document.querySelectorAll('button.buttons-csv').length") == 1

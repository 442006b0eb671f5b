"""The site: Jupyter Book 1 over executed chapters, made to be read without a network.

What comes from files of data (names of columns, of files) is text on every page. This module is
also the Sphinx extension that draws equations as MathML.
"""

from __future__ import annotations

import copy
import html
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import bleach
import nbformat
import yaml

from . import explore, folders
from .ledger import Ledger
from .settings import ROOT
from .sweep import cores

STATIC = Path(__file__).parent / "site_static"
ROWS = 12  # of a table that is shown unfolded
TITLE = "Does attention matter in time-series transformers?"
START, KOREAN = "index", "ko"
READMES = [("README.md", START, "[한국어](ko.md)"),
           ("README.ko.md", KOREAN, "[English](index.md)")]  # file, page, link to the other
ASIDE = "*The reading that stands here was written for the report's own settings and is set " \
        "aside; figures and tables speak for these settings.*"


@dataclass
class Page:
    """One chapter: its name (``01_replacement``, or ``START``), the executed notebook, which begins
    with its title, and notices above it."""

    name: str
    notebook: nbformat.NotebookNode
    notices: list[str] = field(default_factory=list)
    aside: bool = False  # what it says of results was written for other settings

    @property
    def place(self) -> str:
        """Where it stands on the site, without a suffix."""
        return self.name if self.name == START else f"notebooks/{self.name}"


def build(pages: list[Page], ledger: Ledger, work: Path, target: Path,
          of: set[str] | None = None) -> Path:
    """Write the site of ``pages`` to ``target``, in place of a report that is there; returns its
    ``index.html``.

    Without a page ``START`` it begins with the READMEs. Of the ledger it has the rows of the
    run_ids ``of``, or all, and then all comparisons, too. In the folder ``work`` lies what is made
    in between, and figures, decks and numbers to take over. Raises ``RuntimeError`` with the
    messages of Sphinx, and as ``folders.put``.
    """
    source, made = work / "source", work / "html"
    (source / "notebooks").mkdir(parents=True)
    (source / "figures").mkdir()
    shown = {page.name for page in pages}
    for page in pages:
        nbformat.write(staged(page, shown), source / f"{page.place}.ipynb")
    decks = [f'<a href="{d.name}">{d.stem}</a>' for d in sorted(work.glob("slides-*.pptx"))]
    decks = [f"PowerPoint: {', '.join(decks)}"] * bool(decks)
    for readme, name, other in READMES if START not in shown else []:
        text = relinked((ROOT / readme).read_text(encoding="utf-8"), shown)
        above = "\n\n".join(["", other, *decks, ""])
        (source / f"{name}.md").write_text(text.replace("\n", above, 1), encoding="utf-8")
        for figure in re.findall(r"\]\((figures/[\w./]+)\)", text):
            (source / figure).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / figure, source / figure)
    record = explore.record(ledger, made / "results", of)
    (source / "ledger.md").write_text(record, encoding="utf-8")
    if compared := explore.page(ledger) if of is None else "":
        (source / "explore.md").write_text(compared, encoding="utf-8")
    (source / "_toc.yml").write_text(yaml.safe_dump(contents(sorted(shown), bool(compared))))
    (source / "_config.yml").write_text(yaml.safe_dump(CONFIG))
    shutil.copytree(STATIC, source / "_static", copy_function=shutil.copyfile)
    sphinx(source, made, work / "sphinx.log")
    for file in (*work.glob("slides-*.pptx"), *work.glob("numbers.csv")):
        shutil.copy(file, made)
    shutil.copytree(source / "figures", made / "figures")
    _executed(pages, work, made)
    folders.put(made, target)
    return target / "index.html"


def notebooks(pages: list[Page], work: Path, target: Path) -> Path:
    """Leave the notebooks of ``pages`` and their figures in ``target``, beside what is there of a
    report; returns their folder."""
    _executed(pages, work, work / "kept")
    folders.put(work / "kept", target, keep=True)
    return target / "notebooks"


def _executed(pages: list[Page], work: Path, made: Path) -> None:
    (made / "notebooks").mkdir(parents=True, exist_ok=True)
    for page in pages:
        nbformat.write(without_reading(page), made / f"{page.place}.ipynb")
    if (work / "figures").is_dir():
        shutil.copytree(work / "figures", made / "figures", dirs_exist_ok=True)


CONFIG = {
    "title": TITLE, "author": "", "copyright": "", "only_build_toc_files": True,
    "execute": {"execute_notebooks": "off"},
    "parse": {"myst_enable_extensions": ["colon_fence", "dollarmath", "html_image"]},
    "html": {"use_multitoc_numbering": False},
    "sphinx": {"extra_extensions": ["tsattn.site"], "config": {
        "html_title": "",  # a page's title is its own
        "html_show_copyright": False, "html_show_sphinx": False, "html_copy_source": False,
        "html_show_search_summary": False,  # it is fetched, which a file on disk cannot be
        "html_use_index": False, "html_context": {"default_mode": "light"},
        "html_css_files": ["site.css"], "html_js_files": ["site.js"],
        "html_math_renderer": "mathml", "myst_dmath_double_inline": True,
        "nb_render_markdown_format": "myst",
        "nb_output_stderr": "remove", "nb_merge_streams": True, "numfig": False,
        "html_theme_options": {
            "logo": {"text": "tsattn", "alt_text": "start page"}, "use_download_button": False,
            "use_fullscreen_button": False, "search_bar_text": "Search",
            "toc_title": "On this page", "show_navbar_depth": 1, "home_page_in_toc": True}}}}


def contents(names: list[str], compared: bool) -> dict:
    """The table of contents, as ``_toc.yml`` has it: chapters, appendices, all comparisons, the
    record."""
    parts = {"Chapters": [f"notebooks/{n}" for n in names if n[0].isdigit()],
             "Appendices": [f"notebooks/{n}" for n in names if n[0].isupper()],
             "The record": ["explore"] * compared + ["ledger"],
             "한국어": [KOREAN] * (START not in names)}
    return {"format": "jb-book", "root": START, "parts": [
        {"caption": caption, "chapters": [{"file": file} for file in files]}
        for caption, files in parts.items() if files]}


def sphinx(source: Path, made: Path, log: Path) -> None:
    """Run Jupyter Book's build. Raises ``RuntimeError`` with the last lines of its messages."""
    from jupyter_book.sphinx import build_sphinx

    with open(log, "w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        state = build_sphinx(source, made, path_config=source / "_config.yml", noconfig=True,
                             confoverrides={"latex_individualpages": False},
                             doctreedir=log.parent / "doctrees", jobs=cores())
    if state:
        lines = re.sub(r"\x1b\[[\d;]*m", "", log.read_text(encoding="utf-8")).splitlines()
        raise RuntimeError("Sphinx says: " + " ".join(lines[-6:]))


# -- chapters


def staged(page: Page, shown: set[str]):
    """A copy of the page's notebook as the site shows it: notices and parameters under the title,
    outputs harmless, links between the pages ``shown``, a figure's caption and alternative text in
    its place."""
    notebook, cells = without_reading(page), []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, shown, page.place.count("/") * "../")
            cells.append(cell)
        elif "parameters" not in cell.metadata.get("tags", []):  # they stand in their box
            cells += figure_apart(cell)
    for cell in cells:
        cell.get("outputs", [])[:] = [folded(harmless(o)) for o in cell.get("outputs", [])]
    # Notices stand between the title and the rest of its cell.
    title, _, rest = cells[0].source.partition("\n")
    notices = "\n\n".join([*page.notices, parameters_box(page)])
    notebook.cells = [*map(nbformat.v4.new_markdown_cell, [title, notices, rest]), *cells[1:]]
    return notebook


def folded(output):
    """The output, a table of more than ``ROWS`` rows behind a line that opens it."""
    table = output.get("data", {}).get("text/html", "")
    if (rows := table.count("<tr") - table.count("</thead>")) > ROWS and "<details" not in table:
        output["data"]["text/html"] = (
            f"<details><summary>A table of {rows} rows</summary>{table}</details>")
    return output


RESULT = re.compile("<!-- (?:n|holds|block):")  # the anchor of a number or of a statement


def without_reading(page: Page) -> nbformat.NotebookNode:
    """A copy of the notebook; if it is set ``aside``, with a word of that instead of every cell
    tagged ``reading``, and of every other paragraph that holds a result."""
    notebook = copy.deepcopy(page.notebook)
    for cell in notebook.cells if page.aside else []:
        if cell.cell_type == "markdown":
            whole = "reading" in cell.metadata.get("tags", [])
            cell.source = ASIDE if whole else "\n\n".join(
                ASIDE if RESULT.search(part) else part
                for part in cell.source.split("\n\n"))
    return notebook


def parameters(notebook) -> list[tuple[str, str, str]]:
    """Name, value as written, and comment of every parameter of an executed chapter."""
    return [line for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
            for line in re.findall(
                r"""^(\w+) *= *("[^"\n]*"|'[^'\n]*'|[^#\n]*?) *(?:# *(.*))?$""", cell.source, re.M)]


def parameters_box(page: Page) -> str:
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td><code>{html.escape(value)}</code></td>"
                   f"<td>{html.escape(comment)}</td></tr>"
                   for name, value, comment in parameters(page.notebook)
                   if not name.endswith("_dir"))
    link = f'<a href="{page.name}.ipynb" download>Download this chapter as a notebook</a>'
    shown = f"<table>{rows}</table>" if rows else ""
    return ('<details class="parameters"><summary>Parameters it was executed with, and the '
            f"notebook</summary>{shown}<p>{link}</p></details>")


def notice(kind: str, title: str, text: str) -> str:
    """A box above a chapter; ``title`` and ``text`` are shown as they are."""
    return (f'<div class="admonition {kind}"><p class="admonition-title">{html.escape(title)}</p>'
            f"<p>{html.escape(' '.join(text.split()))}</p></div>")


def figure_apart(cell) -> list:
    """The code cell; its figure, with the caption and the alternative text that ``Chapter.show``
    left; and what stands below it. Each is a cell of its own, as MyST-NB gives a cell's caption to
    every output."""
    outputs = cell.outputs
    at = next((i for i, o in enumerate(outputs)
               if o.get("metadata", {}).get("text/markdown", {}).get("caption")), None)
    if at is None:
        return [cell]
    image, caption, rest = outputs[at - 1], outputs[at].data["text/markdown"], outputs[at + 1:]
    alt = " ".join(image.metadata["image/png"]["alt"].split())
    cell.outputs = outputs[:at - 1]
    return [cell, source_less([image], mystnb={
        "image": {"alt": alt}, "figure": {"caption": harmless_markdown(caption)}}),
            *[source_less(rest)] * bool(rest)]


def source_less(outputs: list, **metadata):
    return nbformat.v4.new_code_cell("# not shown; a cell without any source is left out",
                                     metadata={"tags": ["remove-input"], **metadata},
                                     outputs=outputs)


# -- what comes from files of data is text

TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "div", "span", "p", "br",
        "b", "i", "em", "strong", "sub", "sup", "code", "pre", "ul", "ol", "li", "details",
        "summary"}
ATTRIBUTES = ["id", "class", "colspan", "rowspan", "align", "valign", "halign", "border", "scope"]


def harmless_html(text: str) -> str:
    """HTML of tables and plain text, without styles; every other tag is shown as text, its
    attributes left out. Hyphens before numbers are minus signs, and none stands before a zero."""
    text = re.sub(r"<style.*?</style\s*>", "", text, flags=re.I | re.S)
    text = bleach.clean(text, tags=TAGS, attributes=ATTRIBUTES)
    text = re.sub(r"(?<=>)[^<]+", lambda m: re.sub(r"(?<![\w.)-])-(?=[\d.])", "−", m[0]), text)
    return re.sub(r"−(?=0(\.0*)?(?![\d.]))", "", text)


def harmless_markdown(text: str) -> str:
    """Markdown in which HTML, images, directives and roles are text; so are links, but for those to
    chapters and to the web."""
    text = re.sub(r"<(?!/?(?:br|sub|sup|b|i|em|strong|code)\s*/?>)(?=[a-zA-Z/!?])", "&lt;", text)
    text = text.replace("![", r"!\[")
    text = re.sub(r"([`~:]{3,}\s*)\{", r"\1\\{", text)
    text = re.sub(r"\{(?=[\w:+.-]+\}`)", r"\\{", text)
    text = re.sub(r"\]\((?:\.\./)?(?:notebooks/)?(\w+\.ipynb)", r"](\1", text)
    return re.sub(r"\]\((?!https?://|\w+\.ipynb)", r"]\(", text)


def harmless(output):
    """The output with its HTML and Markdown made harmless, and without what only Jupyter shows."""
    made = {"text/html": harmless_html, "text/markdown": harmless_markdown}
    shown = (*made, "text/plain", "image/png", "image/jpeg")
    if "data" in output:
        output["data"] = {
            kind: made.get(kind, str)("".join(value)) for kind, value in output["data"].items()
            if kind in shown}
    return output


# -- links

LINK = re.compile(r"\[([^\]\[]*)\]\(((?![a-z]+:|#)[^)\s]+)\)")


def relinked(text: str, shown: set[str], up: str = "") -> str:
    """Markdown of the repository, its links led to pages of the site, to whose root ``up`` leads;
    others become their text. No line ends between a number and its unit."""
    def lead(match: re.Match) -> str:
        words, target = match[1], match[2].removeprefix("../")
        name = Path(target).stem
        if target.startswith("figures/"):
            return match[0]
        if target.endswith(".ipynb") and name in shown:
            return f"[{words}]({'' if up else 'notebooks/'}{name}.ipynb)"
        place = {"README.md": "index.md", "README.ko.md": "ko.md"}.get(
            target, "ledger.md" * target.startswith("results/"))
        return f"[{words}]({up}{place})" if place else words

    return LINK.sub(lead, re.sub(r"(?<=\d) (?=%|pp\b)", "\u00a0", text))


# -- the Sphinx extension


def mathml(latex: str, display: str) -> str:
    """LaTeX as MathML, which browsers draw themselves. Raises ``ValueError`` with the formula."""
    from latex2mathml.converter import convert

    try:
        found = convert(latex, display=display)
    except Exception as error:  # the converter has no common type of error
        raise ValueError(f"equation {latex!r}: {type(error).__name__}: {error}") from error
    if "\\" in found:
        raise ValueError(f"equation {latex!r}: a command in it is not known")
    return found


def setup(app) -> dict:
    """Register the renderer ``mathml``, the language of the Korean page, and no live code."""
    from docutils import nodes

    def drawn(display, frame):
        def visit(writer, node):
            writer.body.append(frame.format(mathml(node.astext(), display)))
            raise nodes.SkipNode
        return visit, None

    def adapt(app, pagename, templatename, context, doctree):
        if pagename == KOREAN:  # it stands beside the order in which the others are read
            context |= dict(language="ko", prev=None, next=None)
        elif context.get("next") and context["next"]["link"].endswith(f"{KOREAN}.html"):
            context["next"] = None
        # Thebe would run the code on a server; its script comes twice and stops at the second.
        context["script_files"] = [f for f in context["script_files"] if "thebe" not in
                                   f"{f} {getattr(f, 'attributes', '')}".lower()]

    app.add_html_math_renderer("mathml", drawn("inline", "{}"),
                               drawn("block", '<div class="equation">{}</div>'))
    app.connect("html-page-context", adapt)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What comes from files of data (names of columns, of files) is text on every page."""

from __future__ import annotations

import re

import bleach

TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "div", "span", "p", "br",
        "b", "i", "em", "strong", "sub", "sup", "code", "pre", "style", "ul", "ol", "li", "details",
        "summary"}
ATTRIBUTES = ["id", "class", "colspan", "rowspan", "align", "valign", "halign", "border", "scope",
              "type", "scoped"]  # what pandas writes
STYLE = re.compile(r"<style[^>]*>(.*?)</style\s*>", re.I | re.S)
REACHES_OUT = re.compile(r"url\s*\(|@import|expression\s*\(|\\|<", re.I)


def harmless_html(text: str) -> str:
    """HTML of tables and plain text; every other tag is shown as text, its attributes left out."""
    text = STYLE.sub(lambda m: "" if REACHES_OUT.search(m[1]) else m[0], text)
    return true_minus(bleach.clean(text, tags=TAGS, attributes=ATTRIBUTES))


def true_minus(text: str) -> str:
    """Minus signs for the hyphens before numbers in HTML, and none before a zero."""
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

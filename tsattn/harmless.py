"""What comes from files of data (names of columns, of files) is text on every page."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

ALLOWED = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "div", "span", "p",
           "br", "b", "i", "em", "strong", "sub", "sup", "code", "pre", "style", "ul", "ol", "li",
           "details", "summary"}
ATTRIBUTES = {"id", "class", "style", "colspan", "rowspan", "align", "valign", "halign", "border",
              "scope", "type", "scoped"}  # what pandas writes
REACHES_OUT = re.compile(r"url\s*\(|@import|expression\s*\(|\\", re.I)


class _Harmless(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.text: list[str] = []
        self.style = False

    def handle_starttag(self, tag, attrs):
        whole = self.get_starttag_text()
        if tag not in ALLOWED or any(name not in ATTRIBUTES or REACHES_OUT.search(value or "")
                                     for name, value in attrs):
            self.text.append(html.escape(whole))
            if tag in self.CDATA_CONTENT_ELEMENTS:
                self.clear_cdata_mode()
            return
        self.style = tag == "style"
        kept = "".join(f' {name}="{html.escape(value or "")}"' for name, value in attrs)
        self.text.append(f"<{tag}{kept}>")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        self.style = False
        self.text.append(f"</{tag}>" if tag in ALLOWED else html.escape(f"</{tag}>"))

    def handle_data(self, data):
        if self.style:
            self.text.append("" if REACHES_OUT.search(data) else data.replace("<", ""))
        else:
            self.text.append(html.escape(data, quote=False))

    def handle_entityref(self, name):
        self.text.append(f"&{name};")

    def handle_charref(self, name):
        self.text.append(f"&#{name};")

    def handle_comment(self, data):
        self.text.append(html.escape(f"<!--{data}-->"))

    def handle_decl(self, decl):
        self.text.append(html.escape(f"<!{decl}>"))

    def handle_pi(self, data):
        self.text.append(html.escape(f"<?{data}>"))


def harmless_html(text: str) -> str:
    """HTML of tables and plain text as it is; every other tag or attribute shown as text."""
    parser = _Harmless()
    parser.feed(text)
    parser.close()
    return "".join(parser.text)


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
    data = output.get("data")
    if data is None:
        return output
    kept = {}
    for kind, value in data.items():
        value = "".join(value) if isinstance(value, list) else value
        if kind == "text/html":
            kept[kind] = harmless_html(value)
        elif kind == "text/markdown":
            kept[kind] = harmless_markdown(value)
        elif kind in ("text/plain", "image/png", "image/jpeg"):
            kept[kind] = value
    output["data"] = kept
    return output

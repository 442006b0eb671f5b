"""The lab deck: an editable PowerPoint file in Korean or English, from the ledger, in seconds.

    python -m tsattn slides --lang ko --lab "FAIR Lab" --out talk.pptx

``story`` reads and fills the words, ``drawn`` and ``drawn_series`` draw, ``page`` lays out.
"""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.pyplot as plt

from ..claims.facts import Facts
from ..ledger import Ledger, write
from ..settings import ROOT
from . import drawn, drawn_series, story

__all__ = ["build", "drawn", "drawn_series", "save_figures", "slides", "story"]


def build(lang: str = "ko", out=None, ledger: Ledger | Facts | None = None,
          lab: str = "") -> Path:
    """Write the deck in ``lang`` to ``out`` (``build/slides-<lang>.pptx``); returns the
    file. It is written whole or not at all. Decks given the same ``Facts`` judge each claim once.

    Raises ``ValueError`` for an unknown language, a file that cannot be written or is anything but
    an unchanged deck of this function, or where python-pptx is not installed;
    ``LedgerError`` for a damaged ledger.
    """
    if lang not in story.LANGUAGES:
        raise ValueError(f"--lang {lang}: choose one of {', '.join(story.LANGUAGES)}.")
    try:
        from . import page
    except ModuleNotFoundError as error:
        if error.name != "pptx":
            raise
        raise ValueError("slides: python-pptx is not installed; pip install python-pptx.") from None
    out = Path(out or ROOT / "build" / f"slides-{lang}.pptx")
    if out.is_file() and not page.untouched(out):
        raise ValueError(f"--out {out}: is there, and not as this command wrote it; move it away, "
                         "or give another file.")
    facts = ledger if isinstance(ledger, Facts) else Facts(ledger or Ledger())
    words, told = story.slides(facts, lang)
    deck = page.presentation(told[0].title, lab)
    for slide in told:
        fig = drawn.draw(slide.figure, facts) if slide.figure else None
        page.add(deck, slide, words, lang, fig, lab)
        plt.close("all")
    content = io.BytesIO()
    deck.save(content)
    try:
        if out.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        write(out, content.getvalue())
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"--out {out}: cannot be written ({why}); give another file.") from None
    return out


def save_figures(folder=ROOT / "figures" / "slides", ledger: Ledger | None = None) -> list[Path]:
    """Write the deck's figures to ``folder`` as SVG; returns the files."""
    return drawn.save(Facts(ledger or Ledger()), folder)


def slides(lang: str = "ko", lab: str = "", out=None, ledger: Ledger | None = None) -> int:
    """The command: build the deck, and say where it is. Raises as ``build``."""
    print(build(lang, out, ledger, lab))
    return 0

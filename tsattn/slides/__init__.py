"""The lab deck: an editable PowerPoint file in Korean or English, from the report's numbers.

    python -m tsattn slides --lang ko --lab "FAIR Lab" --presenter NAME --date 2026-12-07

``story`` reads and fills the words, ``pictures`` draws, ``page`` fills the placeholders of
``template.pptx``.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib.pyplot as plt

from ..claims import Facts
from ..ledger import Ledger, write
from ..settings import ROOT
from . import pictures, story

__all__ = ["build", "pictures", "save_figures", "story"]
SIZE = (12.3, 4.06)  # inches of the saved figures
IN_README = ("patchtst", "recall_errors")  # pictures of README.ko.md


def build(lang: str = "ko", out=None, ledger: Ledger | Facts | None = None, lab: str = "",
          presenter: str = "", date: str = "") -> Path:
    """Write the deck in ``lang`` to ``out`` (``build/slides-<lang>.pptx``); returns the
    file. It is written whole or not at all, and whatever hinders that is said before anything is
    computed. ``lab``, ``presenter`` and ``date`` stand on the first slide.

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
    here = next((p for p in out.parents if p.exists()), out)
    why = ("it is a folder" if out.is_dir() else "Not a directory" if not here.is_dir()
           else "Permission denied" if not os.access(here, os.W_OK) else "")
    if why:
        raise ValueError(f"--out {out}: cannot be written ({why}); give another file.")
    if out.is_file() and not page.untouched(out):
        raise ValueError(f"--out {out}: is there, and not as this command wrote it; move it away, "
                         "or give another file.")
    facts = ledger if isinstance(ledger, Facts) else Facts(ledger or Ledger())
    told = story.Story(facts, lang)
    subject, author = told.words["subject"], presenter or lab
    deck = page.presentation(dict(title=told.slides[0].title, subject=subject, author=author,
                                  last_modified_by=author))
    for slide in told.slides:
        page.add(deck, slide, told, [subject, " · ".join(filter(None, (lab, presenter, date)))])
    content = io.BytesIO()
    deck.save(content)
    write(out, content.getvalue())
    return out


def save_figures() -> None:
    """Write the deck's figures to ``figures/slides/`` in English, as SVG, and those of README.ko.md
    in Korean, too (``<name>.ko.svg``)."""
    facts, folder = Facts(Ledger(record=True)), ROOT / "figures" / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    for lang, end in (("en", ".svg"), ("ko", ".ko.svg")):
        told = story.Story(facts, lang)
        for slide, picture in [(s, p) for s in told.slides for p in s.pictures]:
            name = slide.name if picture.name == "forest" else picture.name
            if lang == "ko" and name not in IN_README:
                continue
            if fig := pictures.draw(picture, told, SIZE):
                with pictures.look():
                    fig.savefig(folder / f"{name}{end}", metadata={"Date": None},
                                bbox_inches="tight", pad_inches=0.3)  # a reader's font is wider
                plt.close(fig)

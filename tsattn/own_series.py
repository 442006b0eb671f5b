"""What the report says of one series of a reader's own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from .claims.rules import CANNOT_TELL, Found
from .statistics import MIN_SEEDS
from .text import figure, with_interval


def short(file: Path) -> str:
    """A name for what is made of ``file``: its own in plain characters, and six that tell its path
    from every other."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.")[:40] or "series"
    return f"{plain}-{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:6]}"


def seeds_in_words(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def seen(found: Found) -> str:
    """The smallest loss that would have been seen, where it is known."""
    return figure(found.detectable, "share") if np.isfinite(found.detectable) else ""


def line(found: Found | None, shown: str) -> str:
    """The verdict on a claim with its number, which measures ``shown``."""
    if found is None or found.number is None:
        return "Not run yet."
    least = f" (could have seen ≥ {seen(found)})" \
        if found.verdict == CANNOT_TELL and seen(found) else ""
    few = f" From {seeds_in_words(found.seeds)}; a verdict needs {MIN_SEEDS}." \
        if found.seeds < MIN_SEEDS else ""
    return f"{found.verdict.capitalize()}{least}: {shown}, {with_interval(found.number)}.{few}"

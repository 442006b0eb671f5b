"""Numbers that stand in prose without an anchor."""

import re

from tsattn import text

# Settings and names, not results: learning rates, margins, levels.
SETTINGS = ("1e-3", "1e-4", "1e-5", "±1 %", "1 %", "2 %", "95 %", "0.5", "80 %", "100 %",
            "70/10/20 %", "3.11", "BY-ND 4.0")
SKIPPED = r"```.*?```|`[^`]*`|\]\([^)]*\)|https?://\S+|arXiv:[\d.]+|<!--.*?-->|\d+\.\d+\.\d+"


def unanchored(written: str) -> list[str]:
    """Decimal numbers and percentages in prose that carry no anchor and are no setting. Code,
    links and blocks are left out."""
    without = text.NUMBER.sub(" ", text.BLOCK.sub(" ", written))
    bare = re.sub(SKIPPED, " ", text.HOLDS.sub(r"\2", without), flags=re.S)
    for setting in (*SETTINGS, *(s.replace(" %", "%") for s in SETTINGS)):
        bare = re.sub(rf"(?<![\d.]){re.escape(setting)}(?![\d.]*\d)", " ", bare)
    return re.findall(r"[+−-]?\d+\.\d+ ?%?|[+−-]?\d+ ?%|×\d+", bare)

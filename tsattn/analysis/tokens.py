"""What tokens know of their order, and how many of them it takes (chapters 3 and 4)."""

from __future__ import annotations

import pandas as pd

from .. import runs
from ..ledger import Ledger
from ..settings import Settings, make
from .compare import against, one_family

HEADS = ("flatten", "mean")
PATCH_LENGTHS = (4, 8, 12, 16, 24, 48, 84, 168, 336)
KINDS = ("softmax", "zero")


def without_encoding(profile: str = "paper", seeds=runs.FEW_SEEDS, **data) -> dict[tuple, list]:
    """Softmax with each head, with positional encoding and without: (head, encoding) -> runs."""
    return {(head, encoding): [make(profile, head=head, positional_encoding=encoding, seed=seed,
                                    **data) for seed in seeds]
            for head in HEADS for encoding in ("learned", "none")}


def cost_of_none(ledger: Ledger, named: dict[tuple, list[Settings]]) -> pd.DataFrame:
    """Trained without encoding against trained with it, a row per head, as one family."""
    return one_family({head: against(ledger, named[head, "learned"], {head: named[head, "none"]})
                       for head in HEADS})


def by_length(profile: str = "paper", seeds=runs.FEW_SEEDS, lengths=PATCH_LENGTHS,
              most_tokens: int = 48, **data) -> dict[tuple, list[Settings]]:
    """(attention, patch length) -> runs whose stride is the patch length, without padding; softmax
    with ``most_tokens`` at most."""
    window = data.get("seq_len", 336)
    lengths = [n for n in lengths if n <= window]
    return {(a, n): [make(profile, attention=a, seed=seed, patch_len=n, stride=n, pad_end=False,
                          **data) for seed in seeds]
            for a in KINDS for n in lengths if a == "zero" or window // n <= most_tokens}

"""What tokens know of their order, and how many of them it takes (chapters 3 and 4)."""

from __future__ import annotations

import pandas as pd

from .. import runs
from ..ledger import Ledger
from ..settings import Settings, make
from .compare import against, one_family
from .trained import on_most_windows

HEADS = ("flatten", "mean")
PATCH_LENGTHS = (4, 8, 12, 16, 24, 48, 84, 168, 336)
TOY_LENGTHS = (16, 48, 112, 336)
KINDS = ("softmax", "zero")
USUAL = 16  # patch length of the other chapters, whose models repeat the last value at the end


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


def usual(named: dict[tuple, list[Settings]]) -> int:
    """The patch length of ``named`` that is closest to ``USUAL``, with several tokens and with
    softmax."""
    lengths = [n for a, n in named if a == "softmax" and named[a, n][0].n_tokens > 1]
    return min(lengths, key=lambda n: abs(n - USUAL))


def same_size(named: dict[tuple, list[Settings]], shortest: int = 84) -> dict[tuple, list]:
    """Those of ``by_length`` from patch length ``shortest`` on, with the ``d_ff`` at which they use
    as many parameters as those of the usual length. (Below 12 even ``d_ff`` = 1 is too much.)"""
    return {(a, n): [runs.matched(run, named[a, usual(named)][0]) for run in of]
            for (a, n), of in named.items() if n >= shortest and n != usual(named)}


def fewer_tokens(ledger: Ledger, start: dict, end: dict, lengths: dict[str, tuple]) -> pd.DataFrame:
    """``end[a, to]`` against ``start[a, from]``, a row per attention, as one family;
    ``lengths`` is attention -> (from, to)."""
    return one_family({a: against(ledger, start.get((a, n), []), {a: end.get((a, to), [])})
                       for a, (n, to) in lengths.items() if start.get((a, n))})


def lead(ledger: Ledger, named: dict[tuple, list[Settings]]) -> pd.DataFrame:
    """Zero attention against softmax at every length with both and more than one token, as one
    family; ``tokens`` is their number."""
    both = [n for a, n in named if a == "softmax" and ("zero", n) in named
            and named[a, n][0].n_tokens > 1]
    of = {str(n): against(ledger, named["softmax", n], {"zero": named["zero", n]}) for n in both}
    table = one_family(of)
    tokens = {str(n): named["softmax", n][0].n_tokens for n in both}
    return table.assign(tokens=table.label.map(tokens).astype(int))


def toy_by_length(profile: str = "paper", seeds=runs.FEW_SEEDS, lengths=TOY_LENGTHS,
                  **changes) -> dict[tuple, list[Settings]]:
    """(attention, patch length) -> runs on the state machine; at the usual length as chapter 5
    trains them."""
    def own(n):
        return {} if n == USUAL else dict(patch_len=n, stride=n, pad_end=False)

    return {(a, n): [runs.toy("state-machine", profile, attention=a, seed=seed, **changes, **own(n))
                     for seed in seeds] for a in KINDS for n in lengths}


def event_multiples_by_length(rows: pd.DataFrame, named: dict[tuple, list]) -> pd.DataFrame:
    """Undisturbed rows of "toy_errors" with attention, ``tokens``, seed, and ``multiple``: the
    error on events in multiples of the best possible, on the most windows."""
    asked = pd.DataFrame([dict(run_id=s.run_id, attention=a, tokens=s.n_tokens, seed=s.seed)
                          for (a, _), of in named.items() for s in of])
    if not len(rows):
        return asked.assign(multiple=float("nan"))[:0]
    rows = on_most_windows(rows[rows.intervention == "none"].merge(asked, on="run_id"))
    return rows.assign(multiple=rows.event_mse / rows.best_event_mse)


def one_token_on_events(ledger: Ledger, attention: str = "softmax") -> pd.Series:
    """Error on events with one token over that with the usual tokens, by seed."""
    rows = event_multiples_by_length(ledger.read("toy_errors"), toy_by_length())
    rows = rows[rows.attention == attention]
    by = rows.pivot(index="seed", columns="tokens", values="multiple")
    return (by[by.columns.min()] / by[by.columns.max()]).dropna()

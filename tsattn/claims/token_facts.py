"""Numbers and statements of chapters 3 and 4; ``facts`` takes them in."""

from __future__ import annotations

import pandas as pd

from .. import runs
from ..analysis import tokens
from ..statistics import MARGIN, interval

RATES = {"": runs.LOW_RATE, "-talk-rate": 1e-3}
MOVED = "tokens permuted with their W_pos"


def _both(facts, name: str) -> list[tuple]:
    return [interval(facts.after_training(name, rate)) for rate in RATES.values()]


def _relative(table: pd.DataFrame, label: str, part: str = "difference") -> float:
    row = table[table["label"] == label].iloc[0]
    return row[part] / row.reference


def none(facts) -> pd.DataFrame:
    return tokens.cost_of_none(facts.ledger, tokens.without_encoding())


def lead(facts) -> pd.DataFrame:
    return tokens.lead(facts.ledger, tokens.by_length())


def most_to_one(facts) -> pd.DataFrame:
    named = tokens.by_length()
    return tokens.fewer_tokens(facts.ledger, named, named,
                               {"softmax": (8, 336), "zero": (4, 336)})


def held_to_one(facts) -> pd.DataFrame:
    named = tokens.by_length()
    return tokens.fewer_tokens(facts.ledger, named, tokens.same_size(named),
                               {a: (tokens.USUAL, 336) for a in tokens.KINDS})


def given_back(facts) -> pd.DataFrame:
    named = tokens.by_length()
    return tokens.fewer_tokens(facts.ledger, named, tokens.same_size(named),
                               {a: (336, 336) for a in tokens.KINDS})


ENDS = {"": 0, "-low": 1, "-high": 2}
PART = {"": "difference", "-low": "low", "-high": "high"}
_TABLES = {"most-to-one": most_to_one, "held-to-one": held_to_one, "given-back": given_back}

def _none(table: pd.DataFrame, verdict: str) -> bool:
    """Whether no row has ``verdict``; of no rows nothing holds."""
    return len(table) > 0 and not (table.verdict == verdict).any()


NUMBERS = {
    **{f"position.{short}{at}{end}": (
        "change", lambda f, n=name, r=rate, i=i: interval(f.after_training(n, r))[i])
       for short, name in (("zeroed", "W_pos = 0"), ("set-to-half", "W_pos = 0.5"),
                           ("rows-permuted", "W_pos rows permuted"), ("moved", MOVED))
       for at, rate in RATES.items() for end, i in ENDS.items()},
    **{f"no-encoding.{head}{end}": (
        "change", lambda f, h=head, p=part: _relative(none(f), h, p))
       for head in tokens.HEADS for end, part in PART.items()},
    "no-encoding.flatten-detectable": (
        "share", lambda f: _relative(none(f), "flatten", "detectable")),
    "position.share": ("share", lambda f: f.ledger.read("positions").groupby(
        "run_id").share.first().mean()),
    **{f"{name}.{a}{end}": (
        "change", lambda f, t=table, a=a, p=part: _relative(t(f), a, p))
       for name, table in _TABLES.items() for a in tokens.KINDS for end, part in PART.items()},
    **{f"one-token.zero{end}": ("change", lambda f, p=part: f.compared("one-token", "zero", p))
       for end, part in PART.items()},
    "token-lead.detectable": ("share", lambda f: (lead(f).detectable / lead(f).reference).max()),
    **{f"one-token-on-events{end}": (
        "times", lambda f, i=i: interval(tokens.one_token_on_events(f.ledger))[i])
       for end, i in ENDS.items()},
    "one-token-on-events.zero": (
        "times", lambda f: interval(tokens.one_token_on_events(f.ledger, "zero"))[0]),
}


def _within(ends) -> bool:
    return all(-MARGIN < low and high < MARGIN for _, low, high in ends)


STATEMENTS = {
    "position-within-margin-at-both-rates": lambda f: _within(_both(f, "W_pos = 0")),
    "rows-permuted-within-margin-at-both-rates": (
        lambda f: _within(_both(f, "W_pos rows permuted"))),
    "moved-tokens-double-the-error-at-both-rates": (
        lambda f: all(m > 0.9 and low > 0.5 for m, low, _ in _both(f, MOVED))),
    "half-costs-more-than-zero-at-1e-4": (
        lambda f: interval(f.after_training("W_pos = 0.5"))[1]
        > interval(f.after_training("W_pos = 0"))[2]),
    "half-undecided-at-1e-3": lambda f: interval(f.after_training("W_pos = 0.5", 1e-3))[1] < 0,
    "neighbours-not-shown-alike": lambda f: interval(
        f.ledger.read("positions").query("distance == 1").cosine)[1] < 0,
    "no-encoding-flatten-cannot-tell": (
        lambda f: none(f).set_index("label").verdict["flatten"] == "undecided"),
    "no-encoding-mean-worse": lambda f: none(f).set_index("label").verdict["mean"] == "worse",
    "attention-leads-at-no-length": lambda f: _none(lead(f), "worse"),
    "zero-leads-at-no-length": lambda f: _none(lead(f), "better"),
    "given-back-changes-nothing-shown": (
        lambda f: set(given_back(f).verdict) in (
            {"undecided"}, {"equivalent"}, {"undecided", "equivalent"})),
    "one-token-on-events-worse": (
        lambda f: interval(tokens.one_token_on_events(f.ledger))[1] > 1),
}

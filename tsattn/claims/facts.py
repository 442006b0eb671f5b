"""Numbers and statements that the prose uses, by name: what chapters have written (``numbers``),
and what no chapter writes yet, computed from the ledger when asked for.

``<claim>`` is a claim's number; ``<claim>.low``, ``.high``, ``.detectable``, ``.provable`` and
``.seeds`` are beside it. What no claim shows is in ``NUMBERS``; a statement without a number is
in ``STATEMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

import numpy as np
import pandas as pd

from .. import analysis, numbers, runs
from ..analysis import sensitivity
from ..ledger import Ledger
from ..numbers import NotRun
from ..settings import ATTENTIONS
from ..statistics import interval
from . import (
    Outcome,
    exploratory,
    judge,
    registered,
    replaced,
    talk,
)

# Of ``analysis.talk_table``: what the talk showed, and ours of each family of ``analysis.TALK``.
COLUMNS = ("talk-paper", "talk-own",
           "patchtst-talk-rate", "patchtst", "itransformer", "itransformer-small-steps")
LOW = dict(learning_rate=runs.LOW_RATE)
PARTS = ("", "low", "high", "detectable", "provable", "seeds")


def _absent(error: Exception) -> bool:
    """Whether it comes from rows or columns that nothing has recorded, and not from a mistake."""
    if isinstance(error, AttributeError):  # a column of a table without rows
        return isinstance(error.obj, pd.DataFrame) and error.obj.empty
    return isinstance(error, KeyError | IndexError | pd.errors.UndefinedVariableError)


class Facts:
    """Numbers and statements of one ledger; each claim is judged once. ``said``: what is read
    instead of the ledger's ``numbers``."""

    def __init__(self, ledger: Ledger, said: pd.DataFrame | None = None):
        self.ledger = ledger
        self.said = numbers.read(ledger) if said is None else said
        # A page, a deck and their statements ask for the same ones again and again.
        self.number, self.holds = cache(self.number), cache(self.holds)
        self.errors_by_window = cache(self.errors_by_window)

    @cached_property
    def outcomes(self) -> dict[str, Outcome]:
        return judge(self.ledger, said=self.said)

    def number(self, name: str) -> tuple[float, str]:
        """Value and form of a name. Raises ``UnknownName``."""
        if found := numbers.number(self.said, name):
            return found
        if name in NUMBERS:
            form, compute = NUMBERS[name]
            return float(self._computed(name, compute)), form
        claim, _, part = name.partition(".")
        if claim not in self.outcomes or part not in PARTS:
            raise numbers.lacking(name)
        found = self.outcomes[claim].found
        if found.number is None:
            raise NotRun(f"{name}: not run yet")
        if part in ("detectable", "provable", "seeds"):
            return getattr(found, part), "count" if part == "seeds" else "share"
        return getattr(found.number, part or "value"), found.number.form

    def holds(self, name: str) -> bool:
        """Whether a statement holds: one of ``STATEMENTS``, or ``<claim>.<verdict>`` (spaces as
        hyphens).

        Raises ``UnknownName``.
        """
        if (found := numbers.holds(self.said, name)) is not None:
            return found
        if name in STATEMENTS:
            return bool(self._computed(name, STATEMENTS[name]))
        claim, _, word = name.partition(".")
        if claim in self.outcomes and word:
            return self.outcomes[claim].verdict == word.replace("-", " ")
        raise numbers.lacking(name)

    def _computed(self, name: str, compute: Callable[[Facts], float | bool]) -> float | bool:
        try:
            return compute(self)
        except Exception as error:
            if not _absent(error):
                raise
            raise NotRun(f"{name}: not in this ledger ({error!r})") from error

    # -- what the names below are made of

    def row(self, claim: str, model: str, cell: str = "") -> pd.Series:
        """The comparison of ``model`` on which a claim rests, in the first cell that begins so."""
        rows = self.outcomes[claim].found.comparisons
        rows = rows[rows["model"] == model]
        return rows[rows["cell"].str.startswith(cell)].iloc[0] if cell else rows.iloc[0]

    def compared(self, claim: str, model: str, part: str = "difference", cell: str = "") -> float:
        """A part of that row, in units of the reference's error."""
        row = self.row(claim, model, cell)
        return row[part] / row.reference

    def errors_by_window(self, months: str) -> dict[str, np.ndarray]:
        """MSE [S, W] of the registered models on ETTh1: months "unseen" or "standard"."""
        found = sensitivity.by_window if months == "unseen" else sensitivity.standard
        if not (errors := found(self.ledger, "PatchTST ETTh1-96")):
            raise KeyError(months)
        return errors

    @cached_property
    def changed(self) -> pd.DataFrame:
        return analysis.what_changes(self.ledger).set_index("what")

    def relative(self, split: str = "test", **changes) -> pd.DataFrame:
        """MSE of the replacements against softmax, minus 1 [seed, attention]. ``NotRun``."""
        named = analysis.by_attention(runs.attentions(seeds=runs.MORE_SEEDS, **changes))
        table = analysis.relative_mse(self.ledger, named, split)
        if table.empty:  # of nothing, everything could be said
            raise NotRun("no seed has all of these runs")
        return table

    def best_epochs(self, attention: str, **changes) -> pd.Series:
        of = analysis.by_attention(runs.attentions(**changes))[attention]
        return self.ledger.runs(self.ledger.complete(of)).best_epoch

    @cached_property
    def errors(self) -> dict[tuple[str, str], float]:
        """Test MSE on ETTh1, 96 hours ahead, by attention: ``COLUMNS``, and the authors' rows."""
        table = analysis.talk_table(self.ledger)
        named = zip(COLUMNS, [c for c in table if not c.endswith(": verdict")], strict=True)
        found = {(short, a): v for short, c in named for a, v in table[c].dropna().items()}
        authors = analysis.published_by_authors().query(
            "dataset == 'ETTh1' and pred_len == 96 and metric == 'MSE'"
        )
        return found | {
            (f"authors-{r.model.lower()}", r.attention): r.mean for r in authors.itertuples()
        }

    def event_multiple(self, attention: str, intervention: str = "none") -> float:
        """Error on events in multiples of the best possible."""
        return analysis.event_multiples_of(self.ledger, attention, intervention).mean()


NUMBERS = {
    "runs": ("count", lambda f: (f.ledger.read("runs").status == "complete").sum()),
    "runs.graphics-card": ("count", lambda f: (
        (t := f.ledger.read("runs"))[t.status == "complete"].device != "cpu").sum()),
    "seeds-range": ("share", lambda f: f.changed.high["seeds"] - f.changed.low["seeds"]),
    **{
        f"authors.{model}-zero": (
            "change",
            lambda f, c=f"authors-{model}": f.errors[c, "zero"] / f.errors[c, "softmax"] - 1,
        )
        for model in ("patchtst", "itransformer")
    },
    **{
        f"mse.{column}.{a}": ("weight", lambda f, column=column, a=a: f.errors[column, a])
        for column in (*COLUMNS, "authors-patchtst", "authors-itransformer")
        for a in ("softmax", "identity", "zero", "mean")
    },
    "validation.softmax-prefers-low-rate": ("change", lambda f: _validation_gain(f, "softmax")),
    "validation.zero-prefers-low-rate": ("change", lambda f: _validation_gain(f, "zero")),
}


def _validation_gain(facts: Facts, attention: str) -> float:
    """Validation error at 1e-4 against 1e-3."""
    small, large = (
        facts.ledger.runs(facts.ledger.complete(analysis.patchtst(rate)[attention])).val_mse.mean()
        for rate in (1e-4, 1e-3)
    )
    return small / large - 1


def _ahead(facts: Facts, split: str, rate: float) -> bool:
    """Whether zero attention is ahead of softmax on these months, by an interval over the seeds."""
    return interval(facts.relative(split, learning_rate=rate)["zero"])[2] < 0


STATEMENTS = {
    "softmax-lowest-mse-every-seed": lambda f: (f.relative(**LOW) > 0).all(axis=None),
    "itransformer-softmax-first-epoch": lambda f: (
        set(f.best_epochs("softmax", model="iTransformer")) == {1}
    ),
    "itransformer-identity-zero-better-everywhere": lambda f: all(
        set(t[t.model.isin(["identity", "zero"])].verdict) == {"better"}
        for _, t in f.outcomes["itransformer-better"].found.comparisons.groupby("cell")
    ),
    "small-steps-no-lead-on-validation": lambda f: (
        interval(f.relative("val", **runs.SMALL_STEPS)["zero"])[2] >= 0
    ),
    "validation-zero-ahead-at-1e-3-behind-at-1e-4": lambda f: (
        _ahead(f, "val", 1e-3) and interval(f.relative("val", **LOW)["zero"])[1] > 0
    ),
    "split-worse-all-four": lambda f: bool(
        ((t := f.outcomes["patchtst-without"].found.comparisons).p_split < 0.05).all()
        and (t.difference > 0).all()
    ),
    "etth2-softmax-highest-every-seed": lambda f: (f.relative(dataset="ETTh2", **LOW) < 0).all(
        axis=None
    ),
    "validation-prefers-1e-4-for-all": lambda f: all(
        _validation_gain(f, a) < 0 for a in ATTENTIONS
    ),
    "authors-inside": lambda f: bool(
        analysis.family(f.ledger, "PatchTST, learning rate 1e-4", "paper", runs.MORE_SEEDS)
        .dropna(subset="authors")
        .inside.all()
    ),
}

for part in (replaced, registered, exploratory, talk):
    for mine, more in ((NUMBERS, part.NUMBERS), (STATEMENTS, part.STATEMENTS)):
        assert not mine.keys() & more.keys(), f"{part.__name__}: {mine.keys() & more.keys()} again"
        mine.update(more)

"""Measurements on the synthetic series, as chapters 5 and 6 compare them."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from .. import runs
from ..ledger import Ledger
from ..settings import ATTENTIONS, Settings
from ..statistics import interval
from .trained import event_errors, event_multiples, share_of_zero, toy_rows

BESIDE = ("dataset", "attention", "seed", "n_tokens")


def beside(rows: pd.DataFrame, asked: Iterable[Settings]) -> pd.DataFrame:
    """``rows`` of a table of measurements with data set, attention, seed and tokens of their run;
    an empty table has these columns too.
    """
    named = pd.DataFrame(
        [{"run_id": s.run_id} | {name: getattr(s, name) for name in BESIDE} for s in asked],
        columns=["run_id", *BESIDE],
    ).drop_duplicates("run_id")
    return rows.merge(named, on="run_id") if len(rows) else named[:0]


def behind_repeats(rows: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """Where the replacements lose: in windows whose last two events, or the two before, showed the
    same state.

    ``rows`` are those of ``toy_continued`` with attention and seed. Returns the share of event
    samples in such windows, and by seed and attention the share of all that is lost against
    softmax; ``KeyError`` without softmax.
    """
    repeated = rows[rows.ago < 2]
    lost = [
        (t.error - t.best).groupby([t.seed, t.attention]).sum().unstack() for t in (rows, repeated)
    ]
    whole, part = (t.sub(t["softmax"], axis=0).drop(columns="softmax") for t in lost)
    return repeated.samples.sum() / rows.samples.sum(), part / whole


def heads(rows: pd.DataFrame) -> pd.DataFrame:
    """The head that gives the informative patches most, by run: rows of ``attention_by_head``."""
    return rows.loc[rows.groupby("run_id").lift.idxmax()]


def dial_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Error of zero minus error of softmax as a share of that of predicting zero: share, seed, gap.

    ``rows`` are those of ``toy_errors`` on the dial, with dataset, attention and seed.
    """
    share = rows.dataset.str.removeprefix("dial-").astype(float).rename("share")
    left = (rows.mse / rows.zero_mse).groupby([share, rows.seed, rows.attention]).mean().unstack()
    return (left["zero"] - left["softmax"]).dropna().rename("gap").reset_index()


# -- the same from the ledger, for the numbers in the text


class Synthetic:
    """What the text of chapters 5 and 6 says of the recorded runs of ``profile``.

    Raises ``KeyError`` or ``AttributeError`` where the ledger has no such rows.
    """

    def __init__(self, ledger: Ledger, profile: str = "paper"):
        self.ledger, self.profile = ledger, profile

    def on_events(self, **changes) -> pd.DataFrame:
        """Rows of ``toy_continued``; ``changes`` as ``max_steps=200``."""
        asked = [
            runs.toy("state-machine", self.profile, attention=a, seed=seed, **changes)
            for a in ATTENTIONS
            for seed in runs.FEW_SEEDS
        ]
        return beside(self.ledger.read("toy_continued"), asked)

    def multiple(self, attention: str, **changes) -> float:
        """Error on events in multiples of the best possible, mean over seeds."""
        table = event_multiples(self.on_events(**changes))
        return table[table.attention == attention].multiple.mean()

    def against_softmax(self, attention: str, column: str = "difference") -> float:
        """Error on events of a replacement trained anew, relative to softmax."""
        row = event_errors(self.on_events()).set_index("model").loc[attention]
        return row[column] / row.reference

    def worse(self, **changes) -> set[str]:
        """The replacements that err more on events than softmax (Holm); ``changes`` as above."""
        table = event_errors(self.on_events(**changes))
        return set(table[table.verdict == "worse"].model)

    def by_head(self) -> pd.DataFrame:
        """Rows of ``attention_by_head`` on the state machine, softmax, all queries."""
        return toy_rows(self.ledger, "attention_by_head", "state-machine", self.profile)

    def cue_weight(self) -> pd.Series:
        """Largest share of its weight that a head gives the cue asked for (recall, 4 pairs), by
        run.
        """
        rows = toy_rows(self.ledger, "attention_by_head", "recall-4", self.profile)
        tokens = runs.toy("recall-4", self.profile).n_tokens
        return heads(rows[rows["query"].notna()]).lift / tokens

    def with_revin(self, attention: str) -> float:
        """Error on recall (4 pairs) as a share of predicting zero, trained with RevIN."""
        asked = [
            runs.toy("recall-4", self.profile, attention=attention, seed=seed, revin=True)
            for seed in runs.FEW_SEEDS
        ]
        rows = beside(self.ledger.read("toy_errors"), asked)
        return (rows.mse / rows.zero_mse).mean()

    def recall(self, pairs: int, attention: str) -> float:
        return share_of_zero(self.ledger, f"recall-{pairs}", self.profile)[attention].mean()

    def dial(self) -> pd.DataFrame:
        """Of each share on the dial: value, low and high of what attention recovers."""
        shares = (0, 0.05, 0.1, 0.25, 0.5, 1)
        rows = pd.concat(
            toy_rows(self.ledger, "toy_errors", f"dial-{w:g}", self.profile).assign(
                dataset=f"dial-{w:g}"
            )
            for w in shares
        )
        gaps = dial_gaps(rows).groupby("share").gap
        return pd.DataFrame({w: interval(g) for w, g in gaps}, index=["value", "low", "high"]).T

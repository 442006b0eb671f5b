"""Tables that a figure or a table of slides shows as they are: a row per model, seed or cell."""

from __future__ import annotations

import pandas as pd

from .. import runs
from ..ledger import Ledger
from ..settings import make
from .cells import EVERYWHERE, TALK, everywhere, published_by_authors, talk_table
from .compare import against, by_attention, joined
from .trained import toy_rows

EMBEDDINGS = ("linear", "mlp", "conv", "residual")


def errors_by_column(ledger: Ledger) -> dict[tuple[str, str], float]:
    """Test MSE on ETTh1, 96 hours ahead, by column and attention: the talk's two columns, the
    authors' two rows, and ours of each family of ``TALK``.
    """
    table = talk_table(ledger)
    columns = dict(
        zip(
            ["talk-paper", "talk-own", *(f"ours, {title}" for title in TALK)],
            [c for c in table if not c.endswith(": verdict")],
            strict=True,
        )
    )
    found = {(new, a): v for new, old in columns.items() for a, v in table[old].dropna().items()}
    authors = published_by_authors().query(
        "dataset == 'ETTh1' and pred_len == 96 and metric == 'MSE'"
    )
    return found | {(f"authors, {r.model}", r.attention): r.mean for r in authors.itertuples()}


def without_positions(ledger: Ledger, profile: str = "paper") -> dict[str, pd.DataFrame]:
    """Softmax trained without positional encoding against with it, at 1e-3, by head."""
    found = {}
    for head in ("flatten", "mean"):
        with_, without = (
            [
                make(profile, head=head, positional_encoding=encoding, seed=seed)
                for seed in runs.FEW_SEEDS
            ]
            for encoding in ("learned", "none")
        )
        table = against(ledger, with_, {head: without})
        if len(table):
            found[head] = table
    return found


def patch_lengths(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """Test MSE at 1e-3 by attention, patch length (which is the stride) and seed."""
    named = [
        s
        for n in (4, 8, 12, 16, 24, 48, 84, 168, 336)
        for a in ("softmax", "zero")
        for s in by_attention(runs.attentions(profile, patch_len=n, stride=n, pad_end=False))[a]
    ]
    done = ledger.complete(named)
    return ledger.runs(done) if done else pd.DataFrame()


def embedding_gaps(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """1 - error of softmax / error of zero attention, a row per series, embedding and seed.

    The error is that of events on the state machine, and of the whole horizon elsewhere.
    """
    measured, recorded = ledger.read("toy_errors"), ledger.read("runs")
    rows = []
    for dataset in ("recall-4", "state-machine", "ETTh1"):
        for embedding in EMBEDDINGS:
            for seed in runs.FEW_SEEDS:
                error = {}
                for attention in ("softmax", "zero"):
                    changes = dict(attention=attention, seed=seed, embedding=embedding)
                    if dataset == "ETTh1":
                        s = make(profile, **changes)
                        found, column = recorded, "test_mse"
                    else:
                        s, found = runs.toy(dataset, profile, **changes), measured
                        column = "event_mse" if dataset == "state-machine" else "mse"
                    if len(found) and "intervention" in found:
                        found = found[found.intervention == "none"]
                    row = found[found.run_id == s.run_id] if len(found) else found
                    if len(row):
                        error[attention] = row[column].iloc[-1]
                if len(error) == 2:
                    gap = 1 - error["softmax"] / error["zero"]
                    rows.append(dict(dataset=dataset, embedding=embedding, seed=seed, gap=gap))
    return pd.DataFrame(rows, columns=["dataset", "embedding", "seed", "gap"])


def event_multiples_of(ledger: Ledger, attention: str, intervention: str = "none") -> pd.Series:
    """Error on events of the toy series in multiples of the best possible, by seed."""
    rows = toy_rows(ledger, "toy_errors", "state-machine", intervention=intervention)
    rows = rows[rows.attention == attention]
    if rows.empty:
        return pd.Series(dtype=float)
    return (rows.event_mse / rows.best_event_mse).groupby(rows.seed).mean()


def every_cell(ledger: Ledger, attention: str = "zero") -> pd.DataFrame:
    """One replacement against softmax in every cell, in PatchTST and the wide iTransformer."""
    tables = [everywhere(ledger, title).assign(title=title) for title in EVERYWHERE[:2]]
    table = joined(tables)
    return table[table.model == attention] if len(table) else table

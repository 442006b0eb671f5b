"""How far a disturbance moves the error of trained models, each against itself undisturbed."""

from __future__ import annotations

import pandas as pd


def against_undisturbed(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Relative change of the test MSE, mean over draws: [run_id, value of ``by``].

    ``rows`` are of a table that has ``undisturbed`` beside ``test_mse``; empty without rows.
    """
    if rows.empty:
        return pd.DataFrame()
    return (rows.test_mse / rows.undisturbed - 1).groupby([rows.run_id, rows[by]]).mean().unstack()


def against_own(rows: pd.DataFrame, **at) -> pd.DataFrame:
    """``rows`` with ``change``: relative to the row of the same model and sublayer at strengths
    ``at`` (column=value), which is the undisturbed one; empty where there are none.
    """
    if rows.empty:
        return rows
    key = ["run_id", "sublayer", *(["layers"] if "layers" in rows else [])]
    still = rows[(rows[list(at)] == pd.Series(at)).all(axis=1)]
    base = still.groupby(key).test_mse.first().rename("base")
    return rows.join(base, on=key).assign(change=lambda t: t.test_mse / t.base - 1)

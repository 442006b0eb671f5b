"""A small hourly series as a file of one's own, and how its reading is checked."""

import warnings

import numpy as np
import pandas as pd
import pytest

from tsattn.data import DataError, DataWarning, load

N = 1500
HOURS = pd.date_range("2016-07-01", periods=N, freq="h")
RNG = np.random.default_rng(0)
OT = (30 + 5 * np.sin(np.arange(N) * 2 * np.pi / 24) + RNG.normal(size=N)).round(4)
BASE = pd.DataFrame({"date": HOURS, "OT": OT, "HUFL": (OT / 5 + RNG.normal(size=N)).round(4)})
AT = np.arange(N)


def loaded(path, *words, seq_len=48, pred_len=24, **how):
    """Splits of a file that must be read with exactly one warning, which holds ``words``;
    without any, with none."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", DataWarning)
        splits = load(path, seq_len, pred_len, **how)
    said = [str(w.message) for w in seen if w.category is DataWarning]
    assert len(said) == bool(words) and all(w in said[0] for w in words), said
    assert set(said) <= set(splits.findings.notes)
    return splits


def refused(path, *words, seq_len=48, pred_len=24, **how):
    with pytest.raises(DataError) as error:
        load(path, seq_len, pred_len, **how)
    message = str(error.value)
    assert all(w in message for w in ("mine.csv", *words)) and "\n" not in message, message
    return message


def mended(path, *words, **how):
    """The table of a file that is refused, after the pandas lines with which the refusal ends;
    the file is written anew from it. A warning of pandas is an error."""
    names = {"pandas": pd, "table": pd.read_csv(path)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(refused(path, *words, **how).partition("in pandas: ")[2], names)
    names["table"].to_csv(path, index=False)
    return names["table"]

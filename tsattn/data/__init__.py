"""Data: find, read, split. The model sees windows [B, C, seq_len] and nothing of where they came from."""

from __future__ import annotations

from pathlib import Path

from .files import ETT, ETT_COLUMNS, DataError, DataUnavailable, find, read_csv
from .toy import state_machine
from .windows import CALENDAR, Splits, Windows, calendar_features, split

__all__ = ["CALENDAR", "DataError", "DataUnavailable", "Splits", "Windows", "available", "load", "state_machine"]

SYNTHETIC = "state-machine"


def load(dataset: str, seq_len: int, pred_len: int, data_dir=None, *, calendar: bool = False) -> Splits:
    """Splits of a named data set or of the CSV file at path ``dataset``; with ``calendar`` its features join the inputs.

    ETT: 12/4/4 months of 30 days. Any other CSV and the synthetic series: 70/10/20 %. Raises ``DataError`` (with one
    sentence that says what to do) for everything that is wrong with a file.
    """
    if calendar and dataset not in ETT and not dataset.lower().endswith(".csv"):
        raise DataError(f"{dataset}: a synthetic series has no dates; set calendar to false.")
    if dataset == SYNTHETIC:
        series = state_machine(20_000).x[:, None]
        return split(series, (14_000, 16_000, 20_000), seq_len, pred_len, name=dataset, scale=False)
    if dataset in ETT:
        table = read_csv(find(dataset, data_dir))[ETT_COLUMNS]
        month = 30 * 24 * (4 if dataset.startswith("ETTm") else 1)
        borders = (12 * month, 16 * month, 20 * month)
    else:
        table = read_csv(Path(dataset).expanduser())
        n = len(table)
        borders = (int(n * 0.7), n - int(n * 0.2), n)
    return split(table.to_numpy(), borders, seq_len, pred_len, name=Path(dataset).name, channels=table.columns,
                 calendar=calendar_features(table.index) if calendar else None)


def available(dataset: str, data_dir=None) -> str:
    """``dataset`` if its file is here or can be had, else the name of the embedded synthetic series.

    Only absence is forgiven: a file that is here but damaged still raises ``DataError``.
    """
    if dataset in ETT:
        try:
            find(dataset, data_dir)
        except DataUnavailable:
            return SYNTHETIC
    return dataset

"""The published series, as ``catalogue.toml`` states them, and how each is split."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Published:
    """One published series; ``catalogue.toml`` says what its fields are."""

    file: str
    sha256: str
    url: str
    source: str
    licence: str
    step: str
    rows: int
    first: str
    channels: int
    columns: list[str] | tuple = ()
    months: bool = False
    defects: str = "none known"
    as_published: bool = False

    @property
    def per_day(self) -> float:
        """Rows of one day."""
        return pd.Timedelta("1D") / pd.Timedelta(self.step)


CATALOGUE = {name: Published(**of) for name, of in tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text("utf-8")).items()}
ETT_COLUMNS = CATALOGUE["ETTh1"].columns


def adjoining(*borders: int) -> list[tuple[int, int]]:
    """(first, end) of parts that follow one another from row 0 and end at ``borders``."""
    return list(zip((0, *borders), borders, strict=False))


def ett_rows(split: str, n: int, per_hour: int = 1) -> list[tuple[int, int]]:
    """(first, end) of the training, validation and test targets of an ETT series of ``n`` rows.

    standard  12/4/4 months of 30 days
    tail      training and validation as standard, test on the rows after the standard test
    fold-k    12 months for training, 2 for validation, 2 for the test, 2 (k - 1) months later
    """
    month = 30 * 24 * per_hour
    standard = adjoining(12 * month, 16 * month, 20 * month)
    if split == "standard":
        return standard
    if split == "tail":
        return [*standard[:2], (20 * month, n)]
    late = 2 * month * (int(split.removeprefix("fold-")) - 1)
    parts = adjoining(12 * month, 14 * month, 16 * month)
    return [(late + first, late + end) for first, end in parts]


def split_rows(n: int, published: Published | None = None,
               split: str = "standard") -> list[tuple[int, int]]:
    """(first, end) of the training, validation and test targets of a series of ``n`` rows."""
    if published and published.months:
        return ett_rows(split, n, round(published.per_day / 24))
    return adjoining(int(n * 0.7), n - int(n * 0.2), n)


def card(name: str) -> dict:
    """One row of the report's table of data."""
    p = CATALOGUE[name]
    first, end = split_rows(p.rows, p)[2]
    return {"name": name, "file": p.file, "source": p.source, "licence": p.licence,
            "SHA-256 (LF)": p.sha256, "rows": p.rows, "channels": p.channels, "step": p.step,
            "from": p.first, "split": "12/4/4 months of 30 days" if p.months else "70/10/20 %",
            "test rows": end - first, "test days": round((end - first) / p.per_day),
            "defects": p.defects}

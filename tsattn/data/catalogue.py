"""The published series: where each comes from, what it must be to the byte, and its defects.

A file is verified by the SHA-256 of its text with LF line ends, so that a copy with CRLF is the
same data.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

ETT_COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
_ETT = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/"
_AUTOFORMER = ("https://raw.githubusercontent.com/aspire-zero/long_term_forecast_data/"
               "e9ac8b3ea5521219ece2b5d1baa7c09d4b6fd24a/")


@dataclass(frozen=True)
class Published:
    """One published series, split by ``months`` (``ett_rows``) or else 70/10/20 %. ``columns`` are
    its channels in order; empty: every column but the time."""

    file: str
    sha256: str  # of the text with LF line ends
    url: str  # of the file, or of a zip that holds it
    source: str
    licence: str
    step: str
    rows: int
    first: str  # time of the first row
    columns: tuple[str, ...] = ()
    channels: int = 7
    months: bool = False
    defects: str = "none known"
    as_published: bool = False  # its times are not regular; it is used as everyone uses it

    @property
    def per_day(self) -> float:
        """Rows of one day."""
        return pd.Timedelta("1D") / pd.Timedelta(self.step)


def _ett(name: str, sha256: str, step: str, rows: int, defects: str) -> Published:
    return Published(f"{name}.csv", sha256, f"{_ETT}{name}.csv",
                     "Zhou et al., AAAI 2021 (Informer)", "CC BY-ND 4.0", step, rows,
                     "2016-07-01 00:00", ETT_COLUMNS, months=True, defects=defects)


CATALOGUE: dict[str, Published] = {
    "ETTh1": _ett(
        "ETTh1", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066", "1h", 17_420,
        "every fourth row of ETTm1; the standard split leaves its last 3,020 rows unused"),
    "ETTh2": _ett(
        "ETTh2", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b", "1h", 17_420,
        "every fourth row of ETTm2; the standard split leaves its last 3,020 rows unused"),
    "ETTm1": _ett(
        "ETTm1", "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e", "15min",
        69_680, "the months of ETTh1 again, at four times its resolution"),
    "ETTm2": _ett(
        "ETTm2", "db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd", "15min",
        69_680, "the months of ETTh2 again, at four times its resolution"),
    "exchange": Published(
        "exchange_rate.csv", "d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
        _AUTOFORMER + "exchange_rate.zip", "Lai et al., SIGIR 2018 (LSTNet)", "none stated", "1D",
        7_588, "1990-01-01 00:00", channels=8,
        defects="its dates are consecutive days; they cannot be the real ones, as no rate is "
        "quoted at weekends"),
    "illness": Published(
        "national_illness.csv", "8594cecb98c6f2f9dc014eca11c4d5d1e38ad5ce6ed0592d4abe65b146fce395",
        _AUTOFORMER + "illness.zip", "CDC, as in Wu et al., NeurIPS 2021 (Autoformer)",
        "none stated", "7D", 966, "2002-01-01 00:00",
        defects="short: give seq_len 104 and pred_len 24, as its users do"),
    "weather": Published(
        "weather.csv", "9b2b19b13e342d9c9b9c51620d42b4be232df7fba30e7f5c4968b7c79ab138ad",
        _AUTOFORMER + "weather.zip", "MPI Jena, as in Wu et al., NeurIPS 2021 (Autoformer)",
        "none stated", "10min", 52_696, "2020-01-01 00:10", channels=21, as_published=True,
        defects="81 cells of -9999, all in the training part, stretch the scale of three channels "
        "(set missing to -9999 to hold the value of the row before instead); 2020-05-12 06:00 "
        "stands twice; one gap of 100 minutes, which windows cross unless gaps is split; damaged "
        "characters in the header"),
    "EPF-NP": Published(
        "EPF_NP.csv", "c491ff79995e39520e85796d6e5392ee097f3b50279b35709a4ff759d2eef6c6",
        "https://zenodo.org/records/4624805/files/NP.csv",
        "Nord Pool, as in Lago et al., Applied Energy 2021 (epftoolbox)",
        "none stated here; see its Zenodo page", "1h", 52_416, "2013-01-01 00:00",
        ("Price", "Grid load forecast", "Wind power forecast"), 3,
        defects="two channels are forecasts made the day before; names in the header begin with "
        "spaces"),
    "vic": Published(
        "vic_electricity.csv", "6fa81bc3552f8822e984900f727584b82b3f10f41d78a1a0cdda2879a29a122e",
        "https://raw.githubusercontent.com/skforecast/skforecast-datasets/main/data/"
        "vic_electricity.csv",
        "tsibbledata, as in skforecast-datasets", "BSD-3-Clause", "30min", 52_608,
        "2011-12-31 13:00", ("Demand", "Temperature"), 2,
        defects="times are UTC, not Melbourne's; Date and Holiday are left out"),
}


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

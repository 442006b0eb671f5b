"""Files of one's own, their form: situations that users of such tools have met."""

import pandas as pd
import pytest
from own_csv import AT, BASE, HOURS, OT, loaded, refused


def test_a_row_number_is_left_out_and_said(save):
    assert loaded(
        save(BASE.reset_index(names="")), "column 1 (without a name) counts the rows"
    ).channels == ("OT", "HUFL")
    assert loaded(save(BASE.assign(n=AT + 7)), "n counts the rows (7, 8, ...)").channels == (
        "OT",
        "HUFL",
    )
    refused(save(BASE[["date"]].assign(n=AT)), "at least one numeric channel", "counts the rows")


def test_an_empty_column_without_a_name_is_left_out(save):
    assert loaded(
        save(BASE.assign(empty="").rename(columns={"empty": ""})), "column 4 is empty"
    ).channels == ("OT", "HUFL")


def test_names_and_cells_lose_their_spaces(save, tmp_path):
    assert loaded(save(BASE.rename(columns=lambda c: f" {c}\n "))).channels == ("OT", "HUFL")
    (tmp_path / "mine.csv").write_text(BASE.to_csv(index=False).replace(",", ", "))
    assert loaded(str(tmp_path / "mine.csv")).sha256 == loaded(save(BASE)).sha256
    for name in ("OT ", "OT"):
        refused(save(BASE.rename(columns={"HUFL": name})), "two columns are named OT")


def test_the_time_is_found_by_content(save):
    last = BASE[["OT", "HUFL", "date"]].rename(columns={"date": "Timestamp (UTC)"})
    assert loaded(save(last)).sha256 == loaded(save(BASE)).sha256
    utc = BASE.assign(date=HOURS.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert (loaded(save(utc)).time == HOURS).all()


@pytest.mark.parametrize(
    "table, words",
    [
        (
            BASE.rename(columns={"date": "id"}).assign(id=1000 + AT),
            ("column id: '1000' is not a time", "counts the rows"),
        ),
        (
            BASE.assign(date=HOURS.strftime("%Y%m%d%H")),
            ("'2016070100' is not a time", "hour without separators", "%Y%m%d%H"),
        ),
        (
            BASE.assign(date=HOURS.strftime("%Y%m%d")),
            ("'20160701' is not a time", "year, month and day without separators"),
        ),
        (
            BASE.assign(date=(HOURS - pd.Timestamp(0)) // pd.Timedelta("1s")),
            ("'1467331200' is", "from 1970", "unit='s'"),
        ),
        (
            BASE.assign(date=(HOURS - pd.Timestamp(0)) // pd.Timedelta("1ms")),
            ("from 1970", "unit='ms'"),
        ),
        (BASE.assign(date=AT / 7), ("'0.0' is not a time", "numbers are not times")),
        (
            BASE.drop(columns="date").assign(
                year=HOURS.year, month=HOURS.month, day=HOURS.day, hour=HOURS.hour
            ),
            ("no single time column: year, month, day, hour", "pandas.to_datetime"),
        ),
        (
            BASE.assign(date=HOURS.strftime("%Y-%m-%d"), Time=HOURS.strftime("%H:%M:%S")),
            ("no single time column: date holds the day and Time the time of day",),
        ),
    ],
)
def test_what_is_no_time_is_named_as_what_it_looks_like(save, table, words):
    refused(save(table), *words)


@pytest.mark.parametrize(
    "how, words",
    [
        (dict(sep=";"), ("separated by commas", "semicolons instead")),
        (dict(sep="\t"), ("tabs instead",)),
        (dict(sep=";", decimal=","), ("semicolons instead", "points in the numbers")),
        (dict(header=False), ("first line holds values (2016-07-01", "put a line with a name")),
        (dict(encoding="utf-16"), ("UTF-16", "save it as comma-separated UTF-8")),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_form_that_was_seen(save, how, words):
    refused(save(BASE, **how), *words)


def test_other_encodings(save):
    refused(
        save(BASE.rename(columns={"HUFL": "Öltemperatur"}), encoding="cp1252"),
        "not UTF-8",
        "save it as",
    )
    assert loaded(save(BASE, encoding="utf-8-sig")).sha256 == loaded(save(BASE)).sha256


def test_rows_longer_than_the_header_are_refused_not_cut(tmp_path):
    path = tmp_path / "mine.csv"
    head, *rows = BASE.to_csv(index=False).splitlines()
    path.write_text("\n".join([head, *(f"{row},{i}" for i, row in enumerate(rows))]))
    refused(str(path), "more cells than the first line has names")


@pytest.mark.parametrize(
    "values, words",
    [
        (OT * 1e300, ("row 1, column OT", "cannot be squared", "power of ten")),
        (OT * 1e-300, ("column OT", "multiply the column")),
        (
            2**63 - 1 - AT * 3,
            (
                "row 1, column OT: the value is 9223372036854775807",
                "last digits",
                "subtract an offset",
            ),
        ),
        (-(2**62) - AT * 3, ("lose their last digits",)),
        ([10**30 + int(i) for i in AT * 3], ("last digits",)),
    ],
)
def test_values_that_a_double_cannot_work_with_are_refused(save, values, words):
    refused(save(BASE.assign(OT=values)), *words)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a|b`c`$d$", "$\\frac{a$", "기름 온도"]
)
def test_a_name_is_text(save, name):
    assert loaded(save(BASE.rename(columns={"HUFL": name}))).channels == ("OT", name)

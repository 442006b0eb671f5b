"""Files of one's own, their form: situations that users of such tools have met."""

import time

import pandas as pd
import pytest
from own_csv import AT, BASE, HOURS, OT, RNG, N, loaded, mended, refused

from tsattn.data.catalogue import borders, rows_needed
from tsattn.data.files import DataError
from tsattn.data.windows import adjoining, check_lengths


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


HOURLY = [HOURS.year, HOURS.month, HOURS.day, HOURS.hour]
VALUES, SINCE = BASE[["OT", "HUFL"]], HOURS - pd.Timestamp(0)
LONG = BASE.melt("date", var_name="sensor", value_name="value")
CROSSED = BASE.set_index("date").T


@pytest.mark.parametrize("table, words", [
    (BASE.assign(date=HOURS.strftime("%Y%m%d%H").astype(int)),
     ("'2016070100' is not a time", "hour without separators")),
    (BASE.assign(date=pd.date_range("2016-07-01", periods=N).strftime("%Y%m%d").astype(int)),
     ("'20160701' is not a time", "year, month and day without separators")),
    (BASE.assign(date=SINCE // pd.Timedelta("1s")), ("'1467331200' is", "from 1970", "unit='s'")),
    (BASE.assign(date=SINCE // pd.Timedelta("1ms")), ("from 1970", "unit='ms'")),
    (BASE.assign(date=42552 + AT / 24), ("days that a spreadsheet counts",)),
    (BASE[:500].assign(date=1600 + AT[:500]).rename(columns={"date": "Year"}),
     ("'1600' is not a time", "looks like a year")),
    (VALUES.assign(**dict(zip(["Year", "Month", "day", "hour"], HOURLY, strict=True))),
     ("no single time column: Year, Month, day, hour",)),
    (VALUES.assign(year=1900 + AT // 12, month=1 + AT % 12), ("column: year, month hold",)),
    (BASE.assign(date=HOURS.strftime("%Y-%m-%d"), Time=HOURS.strftime("%H:%M:%S")),
     ("no single time column: date holds the day and Time the time of day",)),
    (BASE.assign(date=HOURS.strftime("%d/%m/%Y %H:%M")), ("year first", "dayfirst=False")),
    (BASE.assign(date=HOURS.tz_localize("Asia/Seoul")), ("without a UTC offset",)),
    (BASE.assign(date=HOURS.strftime("%Y-%m-%d"), hour=HOURS.hour),
     ("row 2", "several rows share a time, and hour tells them apart")),
    (BASE.assign(date=HOURS.strftime("%Y-%m-%d"), Hour=HOURS.hour + 1),
     ("and Hour tells them apart",)),
    (BASE.assign(date=pd.date_range("2016-07-01", periods=N, freq="30min").strftime("%Y-%m-%d"),
                 period=AT % 48 + 1), ("and period tells them apart", "30 * table['period']")),
    (BASE.sample(frac=1, random_state=0), ("sort the rows by time",)),
    (pd.concat([BASE, BASE[700:710]]), ("row 1501", "some rows stand twice")),
    (BASE.assign(date=pd.bdate_range("2015-01-01", periods=N)),
     ("longest stretch without one has 5 rows, a window 72", "trading days", "season 5")),
    (VALUES.set_axis([7, 8], axis=1), ("column 7", "numbers are not times")),
    (CROSSED.reset_index(names="id"), ("column id: 'OT'", "series seem to stand in rows")),
    (CROSSED.reset_index(names="date"), ("series seem to stand in rows",)),
    (CROSSED.set_axis([f"V{i + 2}" for i in AT], axis=1).reset_index(names="V1"),
     ("column V1: 'OT'", "as V1500 and V1501 look like steps", "transpose")),
])
def test_a_file_in_another_form_is_the_same_series_after_what_its_refusal_advises(
        save, table, words):
    whole = loaded(save(BASE[:len(table)] if len(table) > 2 else BASE, "b.csv"))
    path = save(table)
    mended(path, *words)
    assert loaded(path).sha256 == whole.sha256


def test_a_year_is_no_time_unless_it_is_called_one(save):
    counted = BASE.rename(columns={"date": "id"}).assign(id=1000 + AT)
    mended(save(counted), "column id: '1000' is not a time", "counts the rows")
    loaded(save(mended(save(counted))), "id counts the rows (1000, 1001, ...)")
    refused(save(BASE.assign(date=AT / 7)), "'0.0' is not a time", "numbers are not times")


def test_series_below_one_another_get_columns_of_their_own(save):
    """Long format: by one column, or by two; sorting and dropping would lose all but one."""
    path, channels = save(LONG.sort_values(["date", "sensor"])), ("HUFL", "OT")
    mended(path, "row 2", "several rows share a time, and sensor tells them apart")
    whole = loaded(save(BASE[["date", *channels]], "b.csv"))
    assert loaded(path).channels == channels and loaded(path).sha256 == whole.sha256
    mended(save(LONG), "row 1501", "sensor tells them apart")  # one below the other
    assert loaded(path).sha256 == whole.sha256
    days = pd.date_range("2019-01-01", periods=300)
    table = pd.MultiIndex.from_product([days, [1, 2], ["x", "y"]], names=["day", "store", "item"])
    table = table.to_frame(index=False)
    table["sales"] = RNG.integers(50, 99, len(table))
    mended(save(table), "store with item tells them apart")
    splits = loaded(path, seq_len=24, pred_len=12)
    assert splits.channels == ("1 x", "1 y", "2 x", "2 y") and len(splits.time) == 300


def test_an_hour_that_stands_twice_is_not_dropped_unsaid(save):
    back = BASE.assign(date=HOURS - pd.to_timedelta(1 * (AT >= 600), unit="h"))
    told = "2 rows share", "if clocks were put back there, write the times in UTC"
    assert len(mended(save(back), "row 601", *told)) == N - 1
    assert loaded(save(BASE.assign(date=HOURS.tz_localize("UTC")))).time[0] == HOURS[0]


@pytest.mark.parametrize("part, values", [
    ("year", HOURS.year), ("hour", HOURS.hour), ("hour", HOURS.hour + 1),
    ("day of the week", HOURS.day_of_week + 1), ("day", HOURS.day)])
def test_a_column_that_repeats_a_part_of_the_time_is_left_out_and_said(save, part, values):
    dates = pd.date_range("2016-07-01", periods=N) if part == "year" else HOURS
    table = BASE.assign(date=dates, known=dates.year if part == "year" else values)
    assert loaded(save(table), f"known is the {part} of the time; it is left out").channels == (
        "OT", "HUFL")
    table.loc[1000, "known"] += 1
    assert loaded(save(table)).channels == ("OT", "HUFL", "known")


def test_a_yearly_table_keeps_its_years_as_times(save):
    years = pd.date_range("1700-01-01", periods=400, freq="YS")
    splits = loaded(save(BASE[:400].assign(date=years, year=years.year)), "year is the year")
    assert splits.channels == ("OT", "HUFL")


def test_whole_numbers_above_decimals_are_names(save):
    path = save(BASE.set_axis(["", "773869", "767541"], axis=1))
    assert loaded(path).channels == ("773869", "767541")
    whole = BASE.set_axis(["date", "3", "4"], axis=1).drop(columns="date")
    refused(save((whole * 1000).astype(int)), "first line holds values (3, ...)",
            "begin each with a letter", "different whole numbers above decimals")
    refused(save(whole.set_axis(["30", "30"], axis=1)), "first line holds values")


@pytest.mark.parametrize("cell, words", [
    ("?", "leave the cell empty"), ("1,234.5", "without separators of thousands"),
    ("30,13", "with a decimal point")])
def test_a_cell_that_is_no_number_is_named_with_what_to_do(save, cell, words):
    refused(save(BASE.assign(OT=BASE.OT.astype(str).where(AT != 1200, cell))),
            f"row 1201, column OT: {cell!r} is not a number", words)


@pytest.mark.parametrize("change, words", [
    (dict(sky=["sun", "rain"] * (N // 2)), "row 1, column sky: 'sun' is not a number"),
    (dict(OT=BASE.OT.astype(str).where(AT != 7, "x")), "row 8, column OT: 'x' is not a number"),
    (dict(date=HOURS.strftime("%d/%m/%Y")), "row 1, column date: '01/07/2016' is not a time")])
def test_what_is_wrong_at_the_top_of_a_large_file_is_said_before_all_of_it_is_read(
        save, change, words):
    path = save(BASE.assign(**change))
    with open(path, "ab") as f:
        f.write(b"2016-07-01 00:00:00,1.5,1.5,sun\n" * 10**6 + b"\xff")
    start = time.perf_counter()
    refused(path, words)
    assert time.perf_counter() - start < 3


def test_a_text_that_is_the_same_in_the_first_thousand_rows_may_tell_series_apart(save):
    mended(save(LONG.assign(value=LONG.value.round(3))), "row 1501", "sensor tells them apart")
    refused(save(BASE.assign(station="Seoul")), "row 1, column station: 'Seoul' is not a number")


def test_a_file_too_short_is_told_how_many_rows_or_which_window_would_do(save):
    days = BASE[:900]
    refused(save(days), "training, validation and test have 630, 90 and 180 rows",
            "too few for one window of seq_len=336 and pred_len=96", "at least 951 rows",
            "pred_len at most 90 and seq_len + pred_len at most 630", seq_len=336, pred_len=96)
    assert len(loaded(save(days), seq_len=336, pred_len=90).val) == 1
    assert len(loaded(save(days), seq_len=540, pred_len=90).train) == 1
    assert len(loaded(save(BASE[:951]), seq_len=336, pred_len=96).val) == 1
    message = refused(save(BASE[:4]), "at least 231 rows")
    assert "at most" not in message, "no window fits in four rows"


@pytest.mark.parametrize("seq_len, pred_len", [(336, 96), (48, 24), (90, 10), (39, 10), (1, 1)])
def test_the_rows_that_a_window_needs_are_enough_and_one_less_is_not(seq_len, pred_len):
    enough = rows_needed(seq_len, pred_len)
    for n in range(enough, enough + 300):
        check_lengths(adjoining(*borders(n)), seq_len, pred_len, "mine")
    with pytest.raises(DataError):
        check_lengths(adjoining(*borders(enough - 1)), seq_len, pred_len, "mine")


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

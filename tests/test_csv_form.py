"""Files of one's own, their form: situations that users of such tools have met."""

import time

import numpy as np
import pandas as pd
import pytest
import torch
from own_csv import AT, BASE, HOURS, OT, RNG, N, loaded, mended, refused

CHANNELS = ("OT", "HUFL")


@pytest.mark.parametrize("table, words", [
    (BASE.reset_index(names=""), "column 1 counts the rows (0, 1, ...); it is left out"),
    (BASE.assign(empty="").rename(columns={"empty": ""}), "column 4 is empty; it is left out")])
def test_a_column_that_says_nothing_is_left_out_and_said(save, table, words):
    assert loaded(save(table), words).channels == CHANNELS
    refused(save(table.drop(columns=list(CHANNELS))), "at least one numeric channel", words[9:])


def test_names_are_text_and_lose_their_spaces_as_cells_do(save, tmp_path):
    assert loaded(save(BASE.rename(columns=lambda c: f" {c}\n "))).channels == CHANNELS
    (tmp_path / "mine.csv").write_text(BASE.to_csv(index=False).replace(",", ", "))
    assert loaded(str(tmp_path / "mine.csv")).sha256 == loaded(save(BASE)).sha256
    for name in ("<script>alert(1)</script>", "a|b`c`$d$", "$\\frac{a$", "기름 온도"):
        assert loaded(save(BASE.rename(columns={"HUFL": name}))).channels == ("OT", name)
    for name in ("OT ", "OT"):
        refused(save(BASE.rename(columns={"HUFL": name})), "two columns are named OT")


def test_the_time_is_found_by_content_and_read_year_first(save):
    last = BASE[["OT", "HUFL", "date"]].rename(columns={"date": "Timestamp (UTC)"})
    assert loaded(save(last)).sha256 == loaded(save(BASE)).sha256
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M", "%Y/%m/%d %H:%M"):
        assert (loaded(save(BASE.assign(date=HOURS.strftime(form)))).time == HOURS).all()
    assert (loaded(save(BASE.assign(date=HOURS.tz_localize("UTC")))).time == HOURS).all()


VALUES, SINCE = BASE[["OT", "HUFL"]], HOURS - pd.Timestamp(0)
DAY = HOURS.strftime("%Y-%m-%d")
LONG = BASE.melt("date", var_name="sensor", value_name="value")
CROSSED = BASE.set_index("date").T


@pytest.mark.parametrize("table, words", [
    (BASE.assign(date=HOURS.strftime("%Y%m%d%H").astype(int)),
     ("'2016070100' is not a time", "without separators")),
    (BASE.assign(date=SINCE // pd.Timedelta("1s")), ("'1467331200' is", "from 1970", "unit='s'")),
    (BASE.assign(date=SINCE // pd.Timedelta("1ms")), ("from 1970", "unit='ms'")),
    (VALUES.assign(Year=HOURS.year, Month=HOURS.month, day=HOURS.day, hour=HOURS.hour),
     ("no single time column: Year, Month, day, hour",)),
    (VALUES.assign(year=1900 + AT // 12, month=1 + AT % 12), ("column: year, month hold",)),
    (BASE.assign(date=DAY, Time=HOURS.strftime("%H:%M:%S")),
     ("no single time column: date holds the day and Time the time of day",)),
    (BASE.assign(date=HOURS.strftime("%d/%m/%Y %H:%M")), ("year first", "dayfirst=False")),
    (BASE.assign(date=HOURS.tz_localize("Asia/Seoul")), ("without a UTC offset",)),
    (BASE.assign(date=DAY, Hour=HOURS.hour + 1),
     ("row 2", "several rows share a time, and Hour tells them apart")),
    (BASE.sample(frac=1, random_state=0), ("sort the rows by time",)),
    (pd.concat([BASE, BASE[700:710]]), ("row 1501", "rows that stand twice")),
    (BASE.assign(date=pd.bdate_range("2015-01-01", periods=N)),
     ("longest stretch without one has 5 rows, a window 72", "trading days", "season is 5")),
    (VALUES.set_axis([8, 7], axis=1), ("column 8", "numbers are not times")),
    (CROSSED.reset_index(names="id"), ("column id: 'OT'", "look like steps; transpose")),
    (LONG.sort_values(["date", "sensor"]),
     ("row 2", "several rows share a time, and sensor tells them apart")),
    (LONG, ("row 1501", "sensor tells them apart"))])  # the first thousand rows are of one sensor
def test_a_file_in_another_form_is_the_same_series_after_what_its_refusal_advises(
        save, table, words):
    path = save(table)
    mended(path, *words)
    found, whole = loaded(path), loaded(save(BASE))
    assert torch.equal(found.train.series[np.argsort(found.channels)],
                       whole.train.series[np.argsort(whole.channels)])


def test_series_in_rows_without_times_and_a_row_number_get_times(save):
    steps = CROSSED.set_axis([f"V{i + 2}" for i in AT], axis=1).reset_index(names="V1")
    path = save(steps)
    mended(path, "column V1: 'OT'", "as V1500 and V1501 look like steps", "transpose")
    mended(path, "'V2' is not a time", "add times with their own start")
    assert loaded(path).channels == CHANNELS
    path = save(BASE.rename(columns={"date": "id"}).assign(id=1000 + AT))
    mended(path, "column id: '1000' is not a time", "numbers are not times")
    loaded(path, "id counts the rows (1000, 1001, ...)")


def test_two_columns_may_tell_series_apart(save):
    days = pd.date_range("2019-01-01", periods=300)
    table = pd.MultiIndex.from_product([days, [1, 2], ["x", "y"]], names=["day", "store", "item"])
    table = table.to_frame(index=False)
    path = save(table.assign(sales=RNG.integers(50, 99, len(table))))
    mended(path, "store with item tells them apart")
    splits = loaded(path, seq_len=24, pred_len=12)
    assert splits.channels == ("1 x", "1 y", "2 x", "2 y") and len(splits.time) == 300


def test_an_hour_that_stands_twice_is_not_dropped_unsaid(save):
    back = BASE.assign(date=HOURS - pd.to_timedelta(1 * (AT >= 600), unit="h"))
    told = "2 rows share", "if clocks were put back there, write the times in UTC"
    assert len(mended(save(back), "row 601", *told)) == N - 1


def test_whole_numbers_above_decimals_are_names(save):
    path = save(BASE.set_axis(["", "773869", "767541"], axis=1))
    assert loaded(path).channels == ("773869", "767541")
    whole = BASE.set_axis(["date", "3", "4"], axis=1).drop(columns="date")
    refused(save((whole * 1000).astype(int)), "first line holds values (3, ...)",
            "begin each with a letter", "different whole numbers above decimals")
    refused(save(whole.set_axis(["30", "30"], axis=1)), "first line holds values")


@pytest.mark.parametrize("cell", ["x", "1,234.5"])
def test_a_cell_that_is_no_number_is_named_with_what_to_do(save, cell):
    refused(save(BASE.assign(OT=BASE.OT.astype(str).where(AT != 1200, cell))),
            f"row 1201, column OT: {cell!r} is not a number", "with a decimal point",
            "without separators of thousands", "leave the cell empty")


def test_what_is_wrong_at_the_top_of_a_large_file_is_said_before_all_of_it_is_read(save):
    path = save(BASE.assign(sky=["sun", "rain"] * (N // 2)))
    with open(path, "ab") as f:
        f.write(b"2016-07-01 00:00:00,1.5,1.5,sun\n" * 10**6 + b"\xff")
    start = time.perf_counter()
    refused(path, "row 1, column sky: 'sun' is not a number")
    assert time.perf_counter() - start < 3


def test_a_file_too_short_is_told_which_window_would_do(save):
    path = save(BASE[:900])
    refused(path, "training, validation and test have 630, 90 and 180 rows",
            "too few for one window of seq_len=336 and pred_len=96",
            "pred_len at most 90 and seq_len + pred_len at most 630", seq_len=336, pred_len=96)
    assert len(loaded(path, seq_len=540, pred_len=90).train) == 1
    for seq_len, pred_len in ((541, 90), (336, 91)):
        refused(path, "too few", seq_len=seq_len, pred_len=pred_len)
    assert "at most" not in refused(save(BASE[:4]), "longer series"), "no window fits in four rows"
    refused(save(BASE[:0]), "no rows below the header")


@pytest.mark.parametrize("how, words", [
    (dict(sep=";"), ("separated by commas", "';' separates them")),
    (dict(sep=";", decimal=","), ("';' separates them", "points in the numbers")),
    (dict(header=False), ("first line holds values (2016-07-01", "put a line with a name")),
    (dict(encoding="utf-16"), ("can't decode", "save it as comma-separated UTF-8"))])
def test_a_file_of_another_form_is_refused_with_the_form_that_was_seen(save, how, words):
    refused(save(BASE, **how), *words)


def test_other_encodings_and_rows_longer_than_the_header(save, tmp_path):
    oil = BASE.rename(columns={"HUFL": "Öltemperatur"})
    refused(save(oil, encoding="cp1252"), "can't decode byte 0xd6", "save it as")
    path = save(BASE, encoding="utf-8-sig")
    assert loaded(path).sha256 == loaded(save(BASE)).sha256
    head, *rows = BASE.to_csv(index=False).splitlines()
    (tmp_path / "mine.csv").write_text("\n".join([head, *(f"{row},1" for row in rows)]))
    refused(path, "does not match length of data", "a name above every column")


@pytest.mark.parametrize("values, words", [
    (OT * 1e300, ("column OT", "square is no double", "power of ten")),
    (OT * 1e-300, ("column OT", "power of ten")),
    (2**63 - 1 - AT * 3, ("row 1, column OT: the largest value is 9223372036854775807",
                          "last digits", "subtract an offset")),
    ([-10**30 - int(i) for i in AT * 3], ("last digits",))])
def test_values_that_a_double_cannot_work_with_are_refused(save, values, words):
    refused(save(BASE.assign(OT=values)), *words)

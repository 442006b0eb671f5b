"""Files of one's own, what is in them: situations that users of such tools have met."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from own_csv import AT, BASE, HOURS, OT, RNG, N, loaded, refused

from tsattn.data import DataError, DataWarning, findings, load
from tsattn.settings import Settings, make
from tsattn.training import train


@pytest.mark.parametrize("values", [np.where(AT < 1100, 0.3, OT), 1e6 + AT * 1e-9, np.zeros(N)])
def test_a_channel_constant_in_training_is_named_and_left_out(save, values):
    splits = loaded(save(BASE.assign(stuck=values)), "channel stuck is constant",
                    "left out of data and error")
    assert splits.channels == ("OT", "HUFL") and splits.findings.dropped == ("stuck",)
    assert splits.sha256 == loaded(save(BASE)).sha256
    refused(save(BASE[["date"]].assign(stuck=values)), "every channel is constant")


@pytest.mark.parametrize("bad, cells, row", [
    (BASE.OT.where(AT % 400 != 7, -9999), 4, 8), (BASE.OT.where(AT != 700, 1e12), 1, 701),
    (BASE.OT.where(AT % 10 != 3, -999), 150, 4)])
def test_a_value_that_stands_for_another_is_reported_with_channel_rows_value_and_remedy(
        save, bad, cells, row):
    value = f"{bad[row - 1]:g}"
    path = save(BASE.assign(OT=bad))
    loaded(path, f"column OT: {cells} of 1500 values ({value})", f"first in row {row} ",
           f"set missing to {value}")
    held = loaded(path, f"{cells} missing cells ({value})", "OT",
                  "the longest stretch is 1 rows", missing=value)
    assert held.findings.held == cells and held.std[0] < 10
    before = held.test.series[0, row - 1] * held.std[0] + held.mean[0]
    assert np.isclose(before, BASE.OT[row - 2], atol=1e-4)


def test_ordinary_extremes_and_small_movements_are_not_reported(save):
    rain = np.where(AT % 50 == 0, RNG.gamma(0.3, 10, N), 0)
    loaded(save(BASE.assign(rain=rain, price=999 + 500 * np.sin(AT), switch=1.0 * (AT % 300 == 0),
                            pressure=101325 + np.sin(AT))))


def test_empty_cells_are_refused_or_held_by_name(save):
    path = save(BASE.assign(OT=BASE.OT.where((AT < 10) | (AT > 12))))
    refused(path, "row 11, column OT: the value is nan", "set missing to nan")
    held = loaded(path, "3 missing cells (nan)", "longest stretch is 3 rows", missing="nan")
    assert held.findings.held == 3
    refused(save(BASE.assign(OT=BASE.OT.where(AT != 1, np.inf))), "row 2, column OT: the value is")
    refused(save(BASE.assign(OT=BASE.OT.where(AT != 0, -9999))), "row 1, column OT",
            "no row is before it", missing="-9999")
    loaded(save(BASE), "no value is -9999", missing="-9999")


@pytest.mark.parametrize("table, first, seq_len", [
    (BASE.assign(date=BASE.date + pd.to_timedelta(1000 * (AT >= 700), unit="h")), 700, 48),
    (BASE.assign(date=BASE.date + pd.to_timedelta(1 * (AT >= 600), unit="h")), 600, 48),
    (BASE[BASE.date.dt.hour.between(8, 17)], 10, 4)])
def test_irregular_steps_are_counted_and_refused_or_split_so_that_no_window_crosses_one(
        save, table, first, seq_len):
    path, pred_len = save(table.assign(OT=np.arange(len(table)) * 1.0)), seq_len // 2
    how = dict(seq_len=seq_len, pred_len=pred_len)
    breaks = np.flatnonzero(np.diff(table.date) != pd.Timedelta("1h")) + 1
    many = f"{len(breaks)} of {len(table) - 1} steps"
    refused(path, many, "not 1 hour", f"from row {first} ", "set gaps to split", **how)
    splits = loaded(path, many, "no window crosses one", gaps="split", **how)
    assert splits.findings.gaps == len(breaks) and (splits.time == table.date).all()
    for windows in (splits.train, splits.val, splits.test):
        x, y = (v[:, 0].double() * splits.std[0] + splits.mean[0]
                for v in windows.batch(slice(None)))
        rows = np.concatenate([x, y], 1).round().astype(int)  # the value of a row is its number
        assert (np.diff(table.date.to_numpy()[rows], axis=1) == np.timedelta64(1, "h")).all()
    whole = load(save(BASE.assign(OT=AT * 1.0)[:len(table)]), seq_len, pred_len)
    if first >= 600:  # exactly the windows that hold the break are gone
        assert len(whole.train) - len(splits.train) == seq_len + pred_len - 1
        assert len(whole.test) == len(splits.test)
    else:
        with pytest.raises(DataError, match="every window of .* training split crosses a gap"), \
                warnings.catch_warnings(action="ignore", category=DataWarning):
            load(save(table), 48, 24, gaps="split")


@pytest.mark.parametrize("freq, season, words", [
    ("15min", 96, "15 minutes"), ("h", 24, "1 hour"), ("D", 7, "1 day"), ("7D", 52, "7 days"),
    ("MS", 12, "31 days"), ("QS", 4, "91 days"), ("YS", 1, "365 days")])
def test_the_season_is_that_of_the_step_and_calendar_steps_are_regular(save, freq, season, words):
    start = "1700-01-01" if freq[-1] == "S" else "2000-01-01"
    table = BASE[:600].assign(date=pd.date_range(start, periods=600, freq=freq))
    found = loaded(save(table), seq_len=96, pred_len=12).findings
    assert (found.season, findings.words(found.step), found.gaps) == (season, words, 0)
    assert found.spans["test"] == (table.date[480], table.date[599])
    assert found.spans["training"][0] == table.date[0]


def test_a_log_with_jitter_has_a_step_and_a_season_too_long_for_the_window_falls_back(save):
    time = HOURS[0] + pd.to_timedelta(AT * 10 + RNG.uniform(-0.4, 0.4, N), unit="ms")
    found = loaded(save(BASE.assign(date=time))).findings
    assert found.season == 1 and "repeats the last value" in found.notes[0]


def test_the_seasonal_rule_repeats_the_season_of_the_data_and_a_setting_wins(save, tmp_path):
    days = pd.date_range("2000-01-01", periods=N, freq="D")
    path = save(BASE.assign(date=days, OT=AT % 7 * 1.0, HUFL=AT % 7 * 2.0))
    s = make("smoke", dataset=path, model="seasonal-naive", seq_len=48, pred_len=24)
    quiet = dict(progress=False, n_threads=1)
    assert train(s, checkpoints=tmp_path / "a", **quiet).test_mse < 1e-10
    assert train(s.but(season=24), checkpoints=tmp_path / "b", **quiet).test_mse > 0.1


@pytest.mark.parametrize("name, short", [
    ("a  b.csv", "a-b"), ("a\nb.csv", "a-b"), ("한" * 80 + ".csv", "csv"),
    ("x" * 200 + ".csv", "x" * 40), ("mine_2.v1.csv", "mine_2.v1"),
    ("<img src=x onerror=alert(1)>.csv", "img-src-x-onerror-alert-1"),
    ("..csv", "."), ("$\\frac{a$.csv", "frac-a")])
def test_a_file_may_have_any_name_and_its_runs_have_a_short_and_plain_one(
        save, name, short, tmp_path):
    s = make("smoke", dataset=save(BASE, name), model="last-value", seq_len=48, pred_len=24)
    assert re.fullmatch(rf"last-value-{re.escape(short)}-48-24-none-[0-9a-f]{{10}}", s.run_id)
    assert s.dataset_name == " ".join(name.split()) == load(s.dataset, 48, 24).name
    assert train(s, checkpoints=tmp_path / "c", progress=False, n_threads=1).run_id == s.run_id
    moved = s.but(dataset=str((tmp_path / name).rename(tmp_path / "plain.csv")))
    assert moved.run_id[-10:] == s.run_id[-10:], "it tells what is in the file"


def test_a_file_that_cannot_be_read_gets_one_sentence(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name, words in (("no.csv", "no such file"), ("한" * 200 + ".csv", "too long"),
                        ("folder.csv", "(?i)is a directory")):
        with pytest.raises(FileNotFoundError, match=words):
            assert make(dataset=str(tmp_path / name)).run_id
        with pytest.raises(DataError, match=words):
            load(str(tmp_path / name), 48, 24)


def test_a_file_that_grows_is_never_recorded_under_the_name_of_what_it_was(save, tmp_path):
    options = dict(checkpoints=tmp_path / "c", progress=False, n_threads=1)
    path = save(BASE[:-1])
    s = make("smoke", dataset=path, model="last-value", seq_len=48, pred_len=24)
    result, before = train(s, **options), s.run_id
    save(BASE)
    assert result.run_id == before == s.run_id != Settings(**vars(s.but())).run_id
    with pytest.raises(DataError, match="the file has changed since this run was named"):
        train(s, **options)
    assert train(s.but(), **options).run_id != before

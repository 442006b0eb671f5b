import hashlib
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn.data import (
    CATALOGUE,
    SYNTHETIC,
    DataError,
    DataUnavailable,
    available,
    card,
    ett_rows,
    files,
    load,
)
from tsattn.data.reading import read_csv
from tsattn.data.windows import adjoining, calendar_features, cut
from tsattn.settings import DATASETS, SERIES, SPLITS, make


def csv(path, n=400, **columns):
    table = pd.DataFrame(
        {
            "date": pd.date_range("2020-01-01", periods=n, freq="h"),
            "a": np.arange(n) * 1.0,
            "b": np.sin(np.arange(n)),
        }
    )
    for name, values in columns.items():
        table[name] = values
    table.to_csv(path, index=False)
    return str(path)


def test_the_standard_split_of_etth1(etth1):
    s = load(etth1, 336, 96)
    assert [len(w) for w in (s.train, s.val, s.test)] == [8209, 2785, 2785] and s.channels[
        -1
    ] == "OT"
    rows = s.train.series[:, :8640].double()
    assert rows.mean(1).abs().max() < 1e-5 and (rows.std(1, unbiased=False) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("seq_len, pred_len", [(336, 96), (8, 3)])
def test_no_window_crosses_its_split(seq_len, pred_len):
    time = np.arange(1500.0)[:, None]  # the value of a step is its own time
    borders = (500, 1000, 1500)
    s = cut(time, adjoining(*borders), seq_len, pred_len, scale=False)
    for windows, begin, end in zip((s.train, s.val, s.test), (0, *borders), borders, strict=False):
        x, y = windows.batch(slice(None))
        assert y.min() >= (begin if begin else seq_len) and y.max() == end - 1
        assert x.min() >= max(0, begin - seq_len)
        assert torch.equal(y[:, 0, 0], x[:, 0, -1] + 1)
    assert s.train.batch(slice(None))[0].max() < borders[0]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seq_len, pred_len", [(336, 96), (336, 720)])
def test_no_target_of_any_split_leaves_its_part_and_no_input_reads_the_future(
    split, seq_len, pred_len
):
    n = 17_420
    rows = ett_rows(split, n)
    s = cut(np.arange(float(n))[:, None], rows, seq_len, pred_len, scale=False)
    for windows, (first, end) in zip((s.train, s.val, s.test), rows, strict=True):
        x, y = windows.batch(torch.tensor([0, len(windows) - 1]))
        assert (
            y[0].min() == (first if first > rows[0][0] else first + seq_len)
            and y[1].max() == end - 1 < n
        )
        assert x.min() >= rows[0][0] and torch.equal(y[:, 0, 0], x[:, 0, -1] + 1)
    assert all(a_end <= b_first for (_, a_end), (b_first, _) in zip(rows, rows[1:], strict=False))
    if split != "standard":
        assert rows != ett_rows("standard", n)


def test_the_tail_is_the_months_after_the_standard_test(etth1):
    standard, tail = (load(etth1, 336, 96, split=split) for split in ("standard", "tail"))
    assert len(tail.test) == 2925 and tail.rows == (*standard.rows[:2], (14_400, 17_420))
    assert torch.equal(tail.train.series, standard.train.series) and torch.equal(
        tail.val.starts, standard.val.starts
    )
    fold = load(etth1, 336, 96, split="fold-5")
    scaled = fold.train.series[:, slice(*fold.rows[0])].double()
    assert fold.rows[-1] == (15_840, 17_280) and scaled.mean(1).abs().max() < 1e-5
    with pytest.raises(DataError, match="split tail is a part of the ETT series"):
        load(SYNTHETIC, 336, 96, split="tail")


def test_scaling_knows_only_the_training_rows():
    values = np.random.default_rng(0).normal(size=(400, 2))
    changed = values.copy()
    changed[280:] *= 50
    a, b = (cut(v, adjoining(280, 320, 400), 24, 12) for v in (values, changed))
    assert np.array_equal(a.mean, b.mean) and np.array_equal(a.std, b.std)


def test_windows_are_views_of_one_array():
    s = cut(np.random.default_rng(0).normal(size=(400, 2)), adjoining(280, 320, 400), 24, 12)
    assert s.train.series.data_ptr() == s.test.series.data_ptr()


def test_calendar_features_stand_below_the_channels_of_their_own_times(tmp_path):
    name = csv(tmp_path / "mine.csv", n=800)
    plain, dated = (load(name, 48, 24, calendar=c).test[3:5] for c in (False, True))
    x, y = dated.batch(slice(None))
    assert torch.equal(x[:, :2], plain.batch(slice(None))[0]) and torch.equal(
        y, plain.batch(slice(None))[1]
    )
    time = pd.date_range("2020-01-01", periods=800, freq="h")
    for i, start in enumerate(dated.starts):
        seen = time[int(start) : int(start) + 48]
        np.testing.assert_allclose(x[i, 2], seen.hour / 23 - 0.5, atol=1e-6)
        np.testing.assert_allclose(x[i, 3], seen.day_of_week / 6 - 0.5, atol=1e-6)
    assert (
        np.abs(calendar_features(pd.DatetimeIndex(["2019-12-31 23:00", "2020-01-01"]))).max() <= 0.5
    )
    with pytest.raises(DataError, match="no dates"):
        load(SYNTHETIC, 48, 24, calendar=True)


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(a=["x"] + [0.0] * 399), "row 1, column a: 'x' is not a number"),
        (dict(a=[0.0, np.nan] + [0.0] * 398), "row 2, column a: the value is nan"),
        (dict(a=[0.0, np.inf] + [0.0] * 398), "row 2, column a: the value is inf"),
        (dict(date=["noon"] + ["2020-01-01"] * 399), "row 1, column date: 'noon' is not a time"),
        (
            dict(date=pd.date_range("2020-01-01", periods=400, freq="h", tz="Europe/Berlin")),
            "without a UTC offset",
        ),
        (
            dict(date=pd.date_range("2020-03-20", periods=400, freq="h", tz="Europe/Berlin")),
            "without a UTC offset",
        ),
        (
            dict(date=["2020-01-01 00:00:00", "2020-01-01T01:00:00Z"] * 200),
            "row 2, column date: '2020-01-01T01:00:00Z'",
        ),
        (
            dict(
                date=pd.date_range("2019-12-01", periods=400, freq="h").strftime("%d/%m/%Y %H:%M")
            ),
            "'01/12/2019 00:00' is",
        ),
        (
            dict(
                date=pd.date_range("2019-12-13", periods=400, freq="h").strftime("%d.%m.%Y %H:%M")
            ),
            "year first",
        ),
        (dict(date=np.arange(400)), "row 1, column date: '0' is not a time"),
        (dict(n=0), "no rows below the header"),
        (
            dict(date=pd.date_range("2020-01-01", periods=400, freq="h")[::-1]),
            "does not come after",
        ),
        (dict(n=60), "too few for one window"),
    ],
)
def test_a_bad_csv_gets_one_sentence_that_says_where(tmp_path, change, words):
    with pytest.raises(DataError) as error:
        load(csv(tmp_path / "mine.csv", **change), 96, 24)
    assert (
        words in str(error.value)
        and "mine.csv" in str(error.value)
        and "\n" not in str(error.value)
    )


@pytest.mark.parametrize("written", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y/%m/%d %H:%M"])
def test_times_are_read_year_first(tmp_path, written):
    time = pd.date_range("2019-12-01", periods=400, freq="h")
    table, _ = read_csv(csv(tmp_path / "mine.csv", date=time.strftime(written)))
    assert (table.index == time).all()


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TSATTN_DATA", str(tmp_path))
    csv(tmp_path / "ETTh1.csv")
    with pytest.raises(DataError, match="wrong SHA-256"):
        load("ETTh1", 96, 24)
    csv(tmp_path / "ETTm1.csv")
    with pytest.raises(DataError, match="wrong SHA-256"):
        load("ETTm1", 96, 24)


LENGTHS = {name: (104, 24) if name == "illness" else (336, 96) for name in CATALOGUE}


@pytest.fixture
def published(request):
    """A published series whose file is here; the test is skipped where it is not."""
    if not any(
        (folder / CATALOGUE[request.param].file).is_file() for folder in files.search_places()
    ):
        pytest.skip(f"{CATALOGUE[request.param].file} is not here")
    return request.param


@pytest.mark.parametrize("published", CATALOGUE, indirect=True)
def test_a_published_series_is_what_its_card_says(published):
    (seq_len, pred_len), p = LENGTHS[published], CATALOGUE[published]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # its defects are on its card and in its notes
        s = load(published, seq_len, pred_len)
    c, (train, val, test) = card(published), s.rows
    assert (
        train[0] == 0
        and train[1] == val[0]
        and val[1] == test[0]
        and test[1] <= len(s.time) == c["rows"]
    )
    assert test[1] - test[0] == c["test rows"] and (test[1] == len(s.time)) == (p.months is None)
    assert len(s.channels) == c["channels"] and (not p.columns or s.channels == p.columns)
    assert s.findings.step == pd.Timedelta(p.step) and str(s.time[0]).startswith(p.first)
    assert (
        c["test days"]
        == {"ETT": 120, "exc": 1517, "ill": 193 * 7, "wea": 73, "EPF": 437, "vic": 219}[
            published[:3]
        ]
    )
    assert (
        s.findings.season
        == {"1h": 24, "15min": 96, "1D": 7, "7D": 52, "10min": 144, "30min": 48}[p.step]
    )
    for windows, (first, end) in zip((s.train, s.val, s.test), s.rows, strict=True):
        begin = first - seq_len if first else 0
        assert len(windows) == end - begin - seq_len - pred_len + 1 and windows.starts[0] == begin
        assert windows.starts[-1] + seq_len + pred_len == end
    assert s.findings.spans["test"] == (s.time[test[0]], s.time[test[1] - 1])
    scaled = s.train.series[:, : train[1]].double()
    assert (
        scaled.mean(1).abs().max() < 1e-4 and (scaled.std(1, unbiased=False) - 1).abs().max() < 1e-3
    )


@pytest.mark.parametrize("published", ["weather"], indirect=True)
def test_weather_as_published_and_with_its_missing_values_held(published):
    plain, held, split = (
        load(published, 336, 96, **how) for how in ({}, {"missing": "-9999"}, {"gaps": "split"})
    )
    assert plain.findings.strange == {"wv (m/s)": 1, "max. PAR (\ufffdmol/m\ufffd/s)": 30, "OT": 50}
    assert plain.std[[11, 20]].round() == pytest.approx([52, 384]) and held.std[
        [11, 20]
    ] == pytest.approx([1.667, 18.196], abs=1e-3)
    assert held.findings.held == 81 and not held.findings.strange and plain.findings.gaps == 2
    lost = len(plain.train) - len(
        split.train
    )  # windows over the repeated time or over the gap, 0 to 431 rows apart
    assert 431 < lost <= 2 * 431 and len(split.test) == len(plain.test)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_copy_with_other_line_ends_is_the_same_series_and_one_changed_value_is_not(
    name, tmp_path, monkeypatch
):
    here = next(
        (
            f
            for f in (folder / CATALOGUE[name].file for folder in files.search_places())
            if f.is_file()
        ),
        None,
    )
    if here is None:
        pytest.skip(f"{CATALOGUE[name].file} is not here")
    text, copy = here.read_bytes().replace(b"\r\n", b"\n"), tmp_path / here.name
    monkeypatch.setenv("TSATTN_DATA", str(tmp_path))
    for content in (text, text.replace(b"\n", b"\r\n")):
        copy.write_bytes(content)
        assert files.find(name) == copy
    copy.write_bytes(text[:-4] + bytes([text[-4] ^ 1]) + text[-3:])
    with pytest.raises(DataError, match=f"wrong SHA-256 .* for {name}; remove the file"):
        load(name, *LENGTHS[name])


def test_every_published_series_is_a_data_set_of_the_settings_in_one_order():
    assert SERIES == tuple(CATALOGUE) and set(SERIES) < set(DATASETS)
    for name in SERIES:
        seq_len, pred_len = LENGTHS[name]
        s = make(dataset=name, seq_len=seq_len, pred_len=pred_len)
        assert (
            s.dated
            and f"-{name}-{seq_len}-" in s.run_id
            and s.n_tokens == (7 if name == "illness" else 22)
        )
        assert len(CATALOGUE[name].sha256) == 64 and card(name)["defects"]


def test_a_zip_is_read_not_unpacked_and_what_is_not_the_published_file_is_refused(
    tmp_path, monkeypatch
):
    content = b"date,a\r\n2020-01-01,1\r\n"
    sha256 = hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()

    def downloads(members):
        def write(url, target, pooch):
            with zipfile.ZipFile(target, "w") as archive:
                for name, text in members.items():
                    archive.writestr(name, text)

        monkeypatch.setattr("pooch.HTTPDownloader", lambda **k: write)

    monkeypatch.setattr(files, "search_places", lambda data_dir=None: [tmp_path])
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path)
    monkeypatch.setitem(CATALOGUE, "illness", replace(CATALOGUE["illness"], sha256=sha256))
    downloads({"../../evil.csv": b"x", "illness/national_illness.csv": content + b"more"})
    with pytest.raises(DataError, match="illness: the downloaded file is not the published one"):
        files.find("illness")
    downloads({"other.csv": b"x"})
    with pytest.raises(DataError, match="not the published one .no national_illness.csv in http"):
        files.find("illness")
    assert list(tmp_path.iterdir()) == []
    downloads({"../../evil.csv": b"x", "illness/national_illness.csv": content})
    assert files.find("illness").read_bytes() == content and [
        f.name for f in tmp_path.iterdir()
    ] == ["national_illness.csv"]
    assert not (tmp_path.parent.parent / "evil.csv").exists()


def test_without_file_and_network_only_absence_is_forgiven(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "search_places", lambda data_dir=None: [tmp_path])
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr("pooch.HTTPDownloader", lambda **k: 1 / 0)  # as good as no network
    with pytest.raises(DataUnavailable, match="TSATTN_DATA"):
        load("ETTh1", 96, 24)
    assert {available(name) for name in CATALOGUE} == {SYNTHETIC}


def test_a_half_finished_download_is_not_data(tmp_path, monkeypatch):
    def breaks(url, target, pooch):
        with open(target, "w") as f:
            f.write("date,HUFL\n")
        raise ConnectionError("broken off")

    monkeypatch.setattr(files, "search_places", lambda data_dir=None: [tmp_path])
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path)
    monkeypatch.setattr("pooch.HTTPDownloader", lambda **k: breaks)
    with pytest.raises(DataUnavailable, match="ConnectionError"):
        load("ETTh1", 96, 24)
    assert not (tmp_path / "ETTh1.csv").exists()

import hashlib
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from own_csv import BASE, HOURS

from tsattn.data import CATALOGUE, SYNTHETIC, DataError, DataUnavailable, available, files, load
from tsattn.data.files import adjoining, card, ett_rows
from tsattn.data.windows import calendar_features, cut
from tsattn.settings import SERIES, SPLITS, make


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seq_len, pred_len", [(336, 96), (336, 720)])
def test_no_target_of_any_split_leaves_its_part_and_no_input_reads_the_future(
        split, seq_len, pred_len):
    n, rows = 17_420, ett_rows(split, 17_420)
    s = cut(np.arange(float(n))[:, None], rows, seq_len, pred_len, scale=False)
    for windows, (first, end) in zip((s.train, s.val, s.test), rows, strict=True):
        x, y = windows.batch(torch.tensor([0, len(windows) - 1]))  # a value is its own time
        assert y[0].min() == (first if first > rows[0][0] else first + seq_len)
        assert y[1].max() == end - 1 < n and (windows.starts.diff() == 1).all()
        assert x.min() >= rows[0][0] and torch.equal(y[:, 0, 0], x[:, 0, -1] + 1)
    assert all(a_end <= b_first for (_, a_end), (b_first, _) in zip(rows, rows[1:], strict=False))
    assert (rows == ett_rows("standard", n)) == (split == "standard")


def test_the_tail_is_the_months_after_the_standard_test(etth1):
    standard, tail = (load(etth1, 336, 96, split=split) for split in ("standard", "tail"))
    assert [len(w) for w in (standard.train, standard.val, standard.test)] == [8209, 2785, 2785]
    assert len(tail.test) == 2925 and tail.rows == (*standard.rows[:2], (14_400, 17_420))
    assert torch.equal(tail.train.series, standard.train.series)
    assert torch.equal(tail.val.starts, standard.val.starts)
    fold = load(etth1, 336, 96, split="fold-5")
    scaled = fold.train.series[:, slice(*fold.rows[0])].double()
    assert fold.rows[-1] == (15_840, 17_280) and scaled.mean(1).abs().max() < 1e-5
    with pytest.raises(DataError, match="split tail is a part of the ETT series"):
        load(SYNTHETIC, 336, 96, split="tail")
    with pytest.raises(ValueError, match="split='tail'"):
        make(dataset="vic", split="tail")


def test_scaling_knows_only_the_training_rows():
    values = np.random.default_rng(0).normal(size=(400, 2))
    changed = values.copy()
    changed[280:] *= 50
    a, b = (cut(v, [(0, 280), (280, 320), (320, 400)], 24, 12) for v in (values, changed))
    assert np.array_equal(a.mean, b.mean) and np.array_equal(a.std, b.std)


def test_windows_of_a_long_series_are_views_and_a_batch_alone_is_copied():
    """200,000 rows: windows made one by one would fill 2.4 GB."""
    values = np.random.default_rng(0).normal(size=(200_000, 7))
    s = cut(values, adjoining(140_000, 160_000, 200_000), 336, 96)
    parts = s.train, s.val, s.test
    assert len({w.series.data_ptr() for w in parts}) == 1 and len(s.train) == 139_569
    assert sum(t.nbytes for w in parts for t in (w.series, w.starts)) < 20e6
    assert s.train[torch.arange(0, 139_569, 2)].series.data_ptr() == s.train.series.data_ptr()
    x, y = s.train.batch(torch.tensor([5, 9]))
    assert x.untyped_storage().nbytes() == 2 * 7 * 432 * 4


def test_calendar_features_stand_below_the_channels_of_their_own_times(save):
    plain, dated = (load(save(BASE), 48, 24, calendar=c).test[3:4] for c in (False, True))
    (x, y), (x0, y0) = dated.batch(slice(None)), plain.batch(slice(None))
    assert torch.equal(x[:, :2], x0) and torch.equal(y, y0)
    seen = HOURS[int(dated.starts[0]):][:48]
    np.testing.assert_allclose(x[0, 2], seen.hour / 23 - 0.5, atol=1e-6)
    np.testing.assert_allclose(x[0, 3], seen.day_of_week / 6 - 0.5, atol=1e-6)
    ends = pd.DatetimeIndex(["2019-12-31 23:00", "2020-01-01"])
    assert np.abs(calendar_features(ends)).max() <= 0.5


# -- published series

LENGTHS = {name: (104, 24) if name == "illness" else (336, 96) for name in CATALOGUE}


@pytest.fixture
def published(request):
    """A published series whose file is here; the test is skipped where it is not."""
    file = CATALOGUE[request.param].file
    if not any((folder / file).is_file() for folder in files.search_places()):
        pytest.skip(f"{file} is not here")
    return request.param


@pytest.mark.parametrize("published", SERIES, indirect=True)
def test_a_published_series_is_what_its_card_says(published):
    (seq_len, pred_len), p = LENGTHS[published], CATALOGUE[published]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # its defects are on its card and in its notes
        s = load(published, seq_len, pred_len)
    c, (train, val, test) = card(published), s.rows
    assert (train[0], train[1], val[1]) == (0, val[0], test[0])
    assert test[1] - test[0] == c["test rows"] and len(s.time) == c["rows"]
    assert test[1] < len(s.time) if p.months else test[1] == len(s.time)
    assert len(s.channels) == c["channels"] and (not p.columns or list(s.channels) == p.columns)
    assert s.findings.step == pd.Timedelta(p.step) and str(s.time[0]).startswith(p.first)
    assert c["test days"] == {"ETT": 120, "exc": 1517, "ill": 193 * 7, "wea": 73, "EPF": 437,
                              "vic": 219}[published[:3]]
    assert s.findings.spans["test"] == (s.time[test[0]], s.time[test[1] - 1])
    scaled = s.train.series[:, :train[1]].double()
    assert scaled.mean(1).abs().max() < 1e-4
    assert (scaled.std(1, unbiased=False) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("published", ["weather"], indirect=True)
def test_weather_as_published_and_with_its_missing_values_held(published):
    plain, held, split = (load(published, 336, 96, **how)
                          for how in ({}, {"missing": "-9999"}, {"gaps": "split"}))
    strange = [note for note in plain.findings.notes if "(-9999)" in note]
    assert [note.split(": ")[1].split()[0] for note in strange] == ["1", "30", "50"]
    assert plain.std[[11, 20]].round() == pytest.approx([52, 384])
    assert held.std[[11, 20]] == pytest.approx([1.667, 18.196], abs=1e-3)
    assert held.findings.held == 81 and plain.findings.gaps == 2
    assert not any("far outside" in note for note in held.findings.notes)
    # Windows over the repeated time or over the gap, 0 to 431 rows apart.
    assert 431 < len(plain.train) - len(split.train) <= 2 * 431
    assert len(split.test) == len(plain.test)


@pytest.mark.parametrize("published", ["ETTh1", "illness"], indirect=True)
def test_a_copy_with_other_line_ends_is_the_same_series_and_one_changed_value_is_not(
        published, tmp_path, monkeypatch):
    here = files.find(published)
    text, copy = here.read_bytes().replace(b"\r\n", b"\n"), tmp_path / here.name
    monkeypatch.setenv("TSATTN_DATA", str(tmp_path))
    for content in (text, text.replace(b"\n", b"\r\n")):
        copy.write_bytes(content)
        assert files.find(published) == copy
    copy.write_bytes(text[:-4] + bytes([text[-4] ^ 1]) + text[-3:])
    with pytest.raises(DataError, match=f"wrong SHA-256 .* for {published}; remove the file"):
        load(published, *LENGTHS[published])


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """Of the data there is only what a download, given as a function, leaves in an empty cache."""
    monkeypatch.setattr(files, "search_places", lambda data_dir=None: [tmp_path])
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path)
    return lambda write: monkeypatch.setattr("pooch.HTTPDownloader", lambda **k: write)


def test_a_zip_is_read_not_unpacked_and_what_is_not_the_published_file_is_refused(
        downloads, tmp_path, monkeypatch):
    content = b"date,a\r\n2020-01-01,1\r\n"
    sha256 = hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
    monkeypatch.setitem(CATALOGUE, "illness", replace(CATALOGUE["illness"], sha256=sha256))

    def zipped(members):
        def write(url, target, pooch):
            with zipfile.ZipFile(target, "w") as archive:
                for name, text in members.items():
                    archive.writestr(name, text)

        downloads(write)

    zipped({"../../evil.csv": b"x", "illness/national_illness.csv": content + b"more"})
    with pytest.raises(DataError, match="illness: the downloaded file is not the published one"):
        files.find("illness")
    zipped({"other.csv": b"x"})
    with pytest.raises(DataError, match="not the published one .no national_illness.csv in http"):
        files.find("illness")
    assert list(tmp_path.iterdir()) == []
    zipped({"../../evil.csv": b"x", "illness/national_illness.csv": content})
    assert files.find("illness").read_bytes() == content
    assert [f.name for f in tmp_path.iterdir()] == ["national_illness.csv"]
    assert not (tmp_path.parent.parent / "evil.csv").exists()


def test_only_absence_is_forgiven_and_a_half_finished_download_is_not_data(downloads, tmp_path):
    def breaks(url, target, pooch):
        with open(target, "w") as f:
            f.write("date,HUFL\n")
        raise ConnectionError("broken off")

    downloads(breaks)
    with pytest.raises(DataUnavailable, match="ConnectionError.*TSATTN_DATA"):
        load("ETTh1", 96, 24)
    assert not (tmp_path / "ETTh1.csv").exists()
    assert {available(name) for name in CATALOGUE} == {SYNTHETIC}
    BASE.to_csv(tmp_path / "ETTh1.csv")
    with pytest.raises(DataError, match="wrong SHA-256"):
        available("ETTh1")

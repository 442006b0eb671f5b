"""The published series, as ``catalogue.toml`` states them: how each is split, and where its file
is found, else downloaded; a file is used only if it is the published one."""

from __future__ import annotations

import hashlib
import os
import tomllib
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from ..settings import ROOT


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
    Path(__file__).with_name("catalogue.toml").read_text("utf-8")).items()}
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


# -- their files


class DataError(ValueError):
    """The data cannot be used; the message says what is wrong, where, and what to do."""


class DataUnavailable(DataError):
    """The file is nowhere here and could not be downloaded."""


def _verify(path: Path, name: str) -> Path:
    """``path``, if it holds the published series with LF or CRLF; else raises ``DataError``."""
    found = hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    if found != CATALOGUE[name].sha256:
        raise DataError(f"{path}: wrong SHA-256 {found[:12]}..., expected "
                        f"{CATALOGUE[name].sha256[:12]}... for {name}; remove the file to have it "
                        f"downloaded again from {CATALOGUE[name].url}, or rename it to use it as a "
                        "series of your own.")
    return path


def search_places(data_dir=None) -> list[Path]:
    """Folders searched for a file, in order: given, $TSATTN_DATA, data/, ../shared/data, the user
    cache (pooch's; a machine that has its data elsewhere trains without pooch)."""
    given = [data_dir, os.environ.get("TSATTN_DATA")]
    places = [*(Path(p).expanduser() for p in given if p), ROOT / "data",
              ROOT.parent / "shared" / "data"]
    if find_spec("pooch"):
        import pooch

        places.append(Path(pooch.os_cache("tsattn")))
    return places


def find(name: str, data_dir=None) -> Path:
    """Path of the verified file of a published series, downloaded into the user cache if need be.

    Raises ``DataError`` if a file that is found is not the published one, ``DataUnavailable`` if
    there is none and the download fails. An incomplete or wrong download is never left under the
    final name.
    """
    file, url = CATALOGUE[name].file, CATALOGUE[name].url
    if data_dir is not None and not Path(data_dir).expanduser().is_dir():
        raise DataError(f"{data_dir}: no such folder; give a folder that holds {file}, or none to "
                        "have it found.")
    places = search_places(data_dir)
    for folder in places:
        if (folder / file).is_file():
            return _verify(folder / file, name)
    try:
        return _download(name)
    except DataError as error:
        raise DataError(f"{name}: the downloaded file is not the published one ({error}); try "
                        "again later.") from None
    except Exception as error:
        raise DataUnavailable(
            f"{file}: not found in {', '.join(map(str, places))}, and the download failed "
            f"({type(error).__name__}); put the file from {url} into one of these folders or set "
            "TSATTN_DATA to its folder.") from None


def _download(name: str) -> Path:
    """The file of ``name`` in the user cache, out of its zip where it comes in one; renamed into
    place once verified."""
    import pooch

    file, url, cache = CATALOGUE[name].file, CATALOGUE[name].url, Path(pooch.os_cache("tsattn"))
    pooch.get_logger().setLevel("WARNING")
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as folder:
        got = Path(pooch.retrieve(url, known_hash=None, fname="download", path=folder,
                                  progressbar=False, downloader=pooch.HTTPDownloader(timeout=15)))
        if url.endswith(".zip"):
            # One member is read, nothing is unpacked by its own name.
            with zipfile.ZipFile(got) as archive:
                members = [m for m in archive.namelist() if m.rpartition("/")[2] == file]
                if not members:
                    raise DataError(f"no {file} in {url}")
                content = archive.read(members[0])
            got.write_bytes(content)
        os.replace(_verify(got, name), cache / file)
    return cache / file

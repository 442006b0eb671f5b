"""Find the file of a published series, else download it; it is used only if it is that one."""

from __future__ import annotations

import hashlib
import os
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from ..settings import ROOT
from .catalogue import CATALOGUE


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

"""What a report may replace and remove where it is written, and that it touches nothing else."""

import os

import pytest

from tsattn import folders
from tsattn.folders import LOCK, MARKER, NEW, claim, put


def made(folder, **files):
    """A folder with ``files``; ``a__b`` is the file b in a folder a."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*")
            if p.is_file() and p.name not in (MARKER, LOCK)}


@pytest.fixture
def report(tmp_path):
    """A folder with a report of two files."""
    claim(tmp_path / "to" / "report")
    put(made(tmp_path / "made", index="1", notebooks__old="1"), tmp_path / "to" / "report")
    return tmp_path / "to" / "report"


def test_a_report_takes_the_place_of_a_report(report, tmp_path):
    (report / "mine").mkdir()
    claim(report)
    put(made(tmp_path / "new", index="2", pages__new="2"), report)
    assert tree(report) == {"index": "2", "pages/new": "2"} and not (report / "notebooks").exists()
    put(made(tmp_path / "more", index="3"), report, keep=True)
    assert tree(report) == {"index": "3", "pages/new": "2"}
    marker = report / MARKER  # as reports before this one wrote it
    marker.write_text("".join(f"0a1b  {line}\n" for line in marker.read_text().splitlines()))
    put(made(tmp_path / "last", index="4"), report)
    assert tree(report) == {"index": "4"} and (report / "mine").is_dir()


@pytest.mark.parametrize("name", ["notes.txt", "notebooks/mine", ".git"])
def test_a_file_that_is_no_reports_is_left_alone(report, tmp_path, name):
    (report / name).write_text("my own words")
    before = tree(report)
    for attempt in (lambda: claim(report), lambda: put(made(tmp_path / "new", index="2"), report)):
        with pytest.raises(ValueError, match=f"{name} in it was not written by a report"):
            attempt()
    assert tree(report) == before


def test_no_link_is_followed(report, tmp_path):
    outside = made(tmp_path / "outside", old="precious")
    (report / "notebooks" / "old").unlink()
    (report / "notebooks").rmdir()
    (report / "notebooks").symlink_to(outside)
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    for attempt, why in ((lambda: put(made(tmp_path / "new", notebooks__old="2"), report),
                          "notebooks in it was not written by a report"),
                         (lambda: claim(report / "notebooks"), "is a link"),
                         (lambda: claim(tmp_path / "nowhere"), "is a link")):
        with pytest.raises(ValueError, match=why):
            attempt()
    assert tree(outside) == {"old": "precious"} and not (tmp_path / "absent").exists()


def test_a_folder_of_others_or_a_file_is_left_alone(tmp_path):
    folder = made(tmp_path / "theirs", a="1")
    for at, why in ((folder, "is not empty, and no report has written"),
                    (folder / "a", "is not a folder"),
                    (folder / "a" / "b", "cannot be written there .Not a directory")):
        with pytest.raises(ValueError, match=f"{why}.* another folder with --output"):
            claim(at)
    assert tree(folder) == {"a": "1"}


def test_a_marker_does_not_reach_out_of_its_folder(report, tmp_path):
    beside = made(report.parent, precious="1") / "precious"
    with open(report / MARKER, "a") as marker:
        marker.write("\n../precious\n")
    put(made(tmp_path / "new", index="2"), report)
    assert beside.read_text() == "1" and tree(report) == {"index": "2"}


def test_what_a_killed_report_left_is_completed(report, tmp_path):
    new = made(tmp_path / "new", index="2", notebooks__old="2", pages__new="2")

    def once(source, goal, real=os.replace):
        real(source, goal)
        if goal.name == "index":
            os._exit(9)

    pid = os.fork()
    if pid == 0:
        os.replace = once
        try:
            put(new, report)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert (report / "index").read_text() == "2" and (report / "notebooks/old").read_text() == "1"
    assert (report / NEW).is_dir()
    put(new, report)
    assert tree(report) == {"index": "2", "notebooks/old": "2", "pages/new": "2"}


def test_a_full_disk_leaves_the_old_files(report, tmp_path, monkeypatch):
    def full(source, goal, real=folders.shutil.copyfile):
        if os.path.basename(source) == "old":
            raise OSError(28, "No space left on device")
        return real(source, goal)

    monkeypatch.setattr(folders.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        put(made(tmp_path / "new", index="2", notebooks__old="2"), report)
    assert tree(report) == {"index": "1", "notebooks/old": "1"}


def test_the_parent_need_not_be_writable_copies_are_and_no_right_to_write_is_said(
        report, tmp_path, monkeypatch):
    source = made(tmp_path / "new", index="2")
    (source / "index").chmod(0o444)
    report.parent.chmod(0o555)
    claim(report)
    put(source, report)
    report.parent.chmod(0o755)
    assert tree(report) == {"index": "2"} and (report / "index").stat().st_mode & 0o200

    def refused(*_, **__):  # also the superuser, who may write into any folder
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders.tempfile, "TemporaryFile", refused)
    with pytest.raises(ValueError, match="cannot be written there .Permission denied.; give anoth"):
        claim(tmp_path / "there" / "in" / "it")

"""Files of the ledger: damage of every kind, repair, the reader's own folder, kills, size."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from own_csv import BASE

from tsattn import ledger_files, ledger_repair
from tsattn.ledger import OWN, RESULTS, ROOT, Ledger, LedgerError
from tsattn.settings import make
from tsattn.sweep import sweep
from tsattn.training import Result

RUNS = [
    make("smoke", dataset="state-machine", attention=a, seed=s)
    for s in (1, 2)
    for a in ("zero", "mean")
]


def result(s, epochs=3):
    return Result(
        s,
        best_epoch=1,
        test_mse=0.5,
        val_mse=0.4,
        test_errors=np.linspace(0, 1, 64),
        how={"device": "cpu", "threads": 1},
        curves=[{"epoch": i, "val_mse": 1 / i, "test_mse": 0.5} for i in range(1, epochs + 1)],
    )


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "r")
    for s in RUNS:
        ledger.record_run(result(s))
    return Ledger(tmp_path / "r")


def lines(*numbers):
    """A damage that takes lines out of the file, counted from 1."""
    return lambda b: b"".join(
        line for n, line in enumerate(b.splitlines(True), 1) if n not in numbers
    )


DAMAGE = {  # what happens to runs.csv: the line named, how it is called, good rows left
    "byte-order mark": (
        lambda b: b"\xef\xbb\xbf" + b,
        1,
        "a byte-order mark in front of the header",
        4,
    ),
    "CRLF": (lambda b: b.replace(b"\n", b"\r\n"), 1, "line ends of Windows", 4),
    "conflict": (
        lambda b: b.replace(b"\nPatch", b"\n<<<<<<< HEAD\nPatch", 1) + b"=======\n>>>>>>> other\n",
        2,
        "a conflict marker of a merge",
        4,
    ),
    "byte 0xff": (lambda b: b[:-80] + b"\xff" + b[-79:], 5, "a byte that is not UTF-8", 3),
    "truncated": (lambda b: b[:-30], 5, "the file ends within this line", 3),
    "changed": (lambda b: b.replace(b",0.4,", b",0.3,", 1), 2, "truncated or changed by hand", 3),
    "doubled": (
        lambda b: b + b.splitlines(True)[1],
        6,
        "is in line 2 already, as after a merge",
        4,
    ),
    "header twice": (lambda b: b + b.splitlines(True)[0], 6, "the header again, after a merge", 4),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_file_line_and_command_and_repair_keeps_every_good_row(kind, ledger):
    damage, line, words, kept = DAMAGE[kind]
    path = ledger.folder / "runs.csv"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for touch in (ledger.read, lambda table: ledger.record(table, [{"run_id": "x"}], ["run_id"])):
        with pytest.raises(LedgerError) as error:
            touch("runs")
        said = str(error.value)
        assert said.startswith(f"{path}, line {line}: ") and words in said and "\n" not in said
        assert f"python -m tsattn ledger repair --results {ledger.folder}" in said
    assert path.read_bytes() == before
    assert any(words in said and f"line {line}:" in said for said in ledger_repair.check(ledger))
    said = ledger_repair.repair(ledger)
    assert any(words in sentence for sentence in said)
    assert len(Ledger(ledger.folder).read("runs")) == kept
    assert ledger_repair.check(ledger) == [] and ledger_repair.repair(ledger) == []
    aside = "".join(p.read_text() for p in (ledger.folder / "set-aside").rglob("*.csv"))
    assert kept == 4 or RUNS[0 if kind == "changed" else 3].run_id in aside


@pytest.mark.parametrize("content", [b"", b"alpha,beta\n1,2\n"])
def test_a_table_without_its_header_is_restored_not_repaired(content, ledger):
    path = ledger.folder / "runs.csv"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="line 1: .*restore it from version control"):
        ledger.read("runs")
    assert (
        "cannot be repaired; restore it" in ledger_repair.repair(ledger)[-1]
        and path.read_bytes() == content
    )


def test_rows_cut_off_the_end_are_noticed_before_anything_is_trained(ledger, tmp_path):
    path = ledger.folder / "runs.csv"
    path.write_bytes(lines(4, 5)(path.read_bytes()))
    with pytest.raises(
        LedgerError,
        match=f"runs.csv: 2 runs have their errors in .* no line .first: {RUNS[2].run_id}.",
    ):
        sweep(RUNS, ledger=ledger, checkpoints=tmp_path, progress=False)
    assert len(ledger_repair.check(ledger)) == 2
    ledger_repair.repair(ledger)
    assert ledger.orphans(RUNS) == [] and set(ledger.read("curves").run_id) == {
        s.run_id for s in RUNS[:2]
    }
    assert len(list((ledger.folder / "set-aside").rglob("*.npy"))) == 2
    ledger.record_run(result(RUNS[3]))
    assert len(ledger.curves(RUNS)) == 9


ERRORS = {
    "reversed": (lambda b: b[:128] + b[128:][::-1], "wrong checksum"),
    "truncated": (lambda b: b[:-5], "truncated or not an array"),
    "empty": (lambda b: b"", "empty"),
    "text": (lambda b: b"hello", "truncated or not an array"),
}


@pytest.mark.parametrize("kind", [*ERRORS, "deleted"])
def test_errors_by_window_that_are_not_the_runs_are_named(kind, ledger):
    path = ledger.folder / "window_errors" / f"{RUNS[0].run_id}.npy"
    if kind == "deleted":
        path.unlink()
        words = "the errors of this run are not there"
    else:
        path.write_bytes(ERRORS[kind][0](path.read_bytes()))
        words = ERRORS[kind][1]
    with pytest.raises(LedgerError, match=words) as error:
        ledger.window_errors(RUNS[0])
    assert str(error.value).startswith(f"{path}: ") and "ledger repair" in str(error.value)
    assert len(ledger_repair.check(ledger)) == 1
    ledger_repair.repair(ledger)
    assert (
        ledger_repair.check(ledger) == []
        and len(ledger.read("runs")) == 3
        and len(ledger.curves(RUNS)) == 9
    )


def test_nothing_is_unpickled(ledger):
    path = ledger.folder / "window_errors" / f"{RUNS[0].run_id}.npy"
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(LedgerError, match="not an array"):
        ledger.window_errors(RUNS[0])
    sources = "".join(p.read_text() for p in (ROOT / "tsattn").rglob("*.py"))
    ways = (
        r"allow_pickle=True|torch\.load\(|read_pickle"
        r"|(import|from) (c?pickle|cloudpickle|joblib|dill|shelve)"
    )
    assert not re.findall(ways, sources)


def test_names_cannot_leave_the_folder(ledger, tmp_path):
    for name in ("../x", "a/b", "", ".hidden"):
        for touch in (ledger.read, lambda t: ledger.record(t, [{"a": 1}], ["a"])):
            with pytest.raises(LedgerError, match="not the name of a table"):
                touch(name)
    row = ledger._base.rows("runs")[1][0] | {"run_id": "../../evil"}
    ledger.record("runs", [row], ["run_id"])
    for touch in (ledger.all_settings, lambda: ledger.settings("../../evil")):
        with pytest.raises(LedgerError, match="the settings in its row are those of"):
            touch()
    np.save(tmp_path / "evil.npy", np.full(4, 0.5))
    assert any("../../evil" in said for said in ledger_repair.check(ledger))
    ledger_repair.repair(ledger)
    assert (tmp_path / "evil.npy").is_file(), "repair sets aside what is in the folder alone"
    (tmp_path / "precious.csv").write_text("kept")
    (ledger.folder / ".writing").write_text(json.dumps({"../precious.csv": None}))
    (ledger.folder / "thesis.docx").write_text("kept")
    for name in ("../precious.csv", "thesis.docx", "window_errors/../../precious.csv"):
        (ledger.folder / ".writing").write_text(json.dumps({name: None}))
        with pytest.raises(LedgerError, match="names a file that is no table of its folder"):
            ledger.record("t", [{"a": 1}], ["a"])
    assert (tmp_path / "precious.csv").read_text() == "kept"
    assert (ledger.folder / "thesis.docx").read_text() == "kept"


def test_a_ledger_removes_what_its_own_writers_left_and_nothing_else(tmp_path):
    ours = [".runs.csv.1.tmp", ".runs.csv.before.tmp", "..writing.1.tmp",
            "window_errors/.a.npy.1.tmp"]
    others = [".probe.tmp", ".mine.tmp", "mine.csv.1.tmp", ".notes.1.tmp", ".tmp",
              "window_errors/.b.tmp"]
    (tmp_path / "window_errors").mkdir()
    for name in (*ours, *others):
        (tmp_path / name).write_text("")
    ledger = Ledger(tmp_path)
    ledger.target.check_writable()
    ledger.record("t", [{"a": 1}], ["a"])
    assert not [name for name in ours if (tmp_path / name).exists()]
    assert all((tmp_path / name).exists() for name in others)


# -- measurements and what made them


def test_rows_of_an_earlier_version_are_reported_and_made_again_when_asked(tmp_path):
    ledger, keys = Ledger(tmp_path), [{"run_id": "a", "alpha": alpha} for alpha in (0.1, 0.2)]
    ledger.measured("m", keys[:1], lambda run_id, alpha: [{"v": 1}])  # before there was a digest
    ledger.measured("m", keys[1:], lambda run_id, alpha: [{"v": 1}], digest="old")
    rows = ledger.measured("m", keys, None, digest="new")
    assert list(rows.v) == [1, 1] and ledger.lacking("m", keys, "new") == []
    assert (
        "2 of them measured by an earlier version (`python -m tsattn measure --stale`"
        in ledger.summary()
    )
    assert ledger.lacking("m", keys, "old", stale=True) == keys[:1]
    again = ledger.measured("m", keys, lambda run_id, alpha: [{"v": 2}], digest="new", stale=True)
    assert (
        list(again.v) == [2, 2] and set(again.measured_by) == {"new"} and len(ledger.read("m")) == 2
    )
    assert "earlier" not in Ledger(tmp_path).summary()


# -- the reader's own


def test_what_a_reader_makes_goes_to_a_folder_of_the_readers_and_is_read_with_the_rest(
    ledger, tmp_path
):
    keys = [{"run_id": "a", "alpha": alpha} for alpha in (0.1, 0.2)]
    ledger.measured("m", keys, lambda run_id, alpha: [{"v": 1}], digest="old")
    committed = {p.name: p.read_bytes() for p in ledger.folder.rglob("*") if p.is_file()}
    mine = Ledger(ledger.folder, own=tmp_path / "mine")
    more = RUNS[0].but(seed=7)
    mine.record_run(result(more, epochs=2))
    mine.record_run(result(RUNS[0], epochs=1))
    mine.measured("m", keys[:1], lambda run_id, alpha: [{"v": 2}], digest="new", stale=True)
    for reader in (mine, Ledger(ledger.folder, own=tmp_path / "mine")):
        assert len(reader.read("runs")) == 5 and reader.complete([more, *RUNS]) == [more, *RUNS]
        assert len(reader.curves([more, *RUNS])) == 14, "a run that is committed stays what it is"
        assert sorted(reader.read("m").v) == [1, 2] and list(
            reader.measured("m", keys, None).v
        ) == [2, 1]
        assert len(reader.window_errors(more)) == 64 and reader.settings(more.run_id) == more.but(
            device="cpu"
        )
    assert {p.name: p.read_bytes() for p in ledger.folder.rglob("*") if p.is_file()} == committed
    assert not ledger.complete([more])


def test_only_record_writes_to_the_committed_ledger():
    assert (
        Ledger().own
        == Ledger(RESULTS).own
        == Ledger(ROOT / "notebooks" / ".." / "results").own
        == OWN
    )
    assert (
        Ledger().target.path == OWN
        and Ledger(record=True).target.path == RESULTS
        and Ledger(record=True).own is None
    )
    ignored = subprocess.run(
        [
            "git",
            "-C",
            str(ROOT),
            "check-ignore",
            "my-results/runs.csv",
            "results/.runs.csv.1.tmp",
            "results/.writing",
            "results/set-aside/x",
            "results/.lock",
        ],
        capture_output=True,
        text=True,
    ).stdout.split()
    assert len(ignored) == 5


def test_the_committed_ledger_is_whole():
    assert ledger_repair.check(Ledger(record=True)) == []


# -- kills, writers, locks


def record_for_ever(folder, first):
    ledger = Ledger(folder)
    for i in range(first, first + 10_000):
        ledger.record_run(result(RUNS[0].but(seed=i)))


def test_a_kill_in_the_middle_of_a_record_leaves_nothing_by_half(tmp_path):
    """Kills at random moments: every run is there as a whole, or not at all."""
    ledger_repair.repair(Ledger(tmp_path))
    fork, chance = multiprocessing.get_context("fork"), np.random.default_rng(0)
    for i in range(15):
        process = fork.Process(target=record_for_ever, args=(tmp_path, 10_000 * i))
        process.start()
        time.sleep(0.15 + 0.4 * chance.random())
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    ledger = Ledger(tmp_path)
    ledger.record_run(result(RUNS[0]))
    runs = ledger.read("runs")
    assert len(runs) > 15 and runs.run_id.is_unique and ledger_repair.check(ledger) == []
    assert len(ledger.read("curves")) == 3 * len(runs) and len(
        list((tmp_path / "window_errors").iterdir())
    ) == len(runs)
    assert not [p for p in tmp_path.rglob(".*") if p.name != ".lock"]


def test_a_table_that_was_restored_after_a_kill_is_not_cut(ledger):
    path = ledger.folder / "runs.csv"
    (ledger.folder / ".writing").write_text(json.dumps({"runs.csv": [10, path.stat().st_ino + 1]}))
    ledger.record("t", [{"a": 1}], ["a"])
    assert len(ledger.read("runs")) == 4 and not (ledger.folder / ".writing").exists()


def test_an_error_in_the_middle_of_a_record_takes_it_back(ledger, monkeypatch):
    before = {p: p.read_bytes() for p in ledger.folder.rglob("*") if p.is_file()}
    calls = []

    def full(fd):
        calls.append(fd)
        if len(calls) == 6:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.record_run(result(RUNS[0].but(seed=9)))
    assert {p: p.read_bytes() for p in ledger.folder.rglob("*") if p.is_file()} == before
    ledger.record_run(result(RUNS[0].but(seed=9)))
    assert len(ledger.read("runs")) == 5 and ledger_repair.check(ledger) == []


def test_a_run_recorded_while_a_ledger_is_repaired_is_not_set_aside(ledger, monkeypatch):
    new, good, others = RUNS[0].but(seed=9), ledger_repair._good, []

    def and_then_a_run_arrives(folder, table):
        rows = good(folder, table)
        if table == "runs" and not others:
            record = Ledger(ledger.folder).record_run
            others.append(threading.Thread(target=record, args=(result(new),)))
            others[0].start()
            others[0].join(0.5)
        return rows

    monkeypatch.setattr(ledger_repair, "_good", and_then_a_run_arrives)
    assert ledger_repair.repair(ledger) == []
    others[0].join()
    assert len(ledger.window_errors(new)) == 64 and ledger_repair.check(ledger) == []


def test_a_lock_that_is_held_elsewhere_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ledger_files, "PATIENCE", 0.1)
    ledger, held = Ledger(tmp_path), threading.Event()

    def hold():
        with FileLock(tmp_path / ".lock"):
            held.set()
            time.sleep(1)

    threading.Thread(target=hold).start()
    held.wait()
    ledger.record("t", [{"a": 1}], ["a"])
    assert (
        "another process holds the lock of the ledger; waiting" in capsys.readouterr().err
        and len(ledger.read("t")) == 1
    )


# -- size


def test_a_ledger_of_100_000_runs_is_read_in_two_seconds_and_a_run_added_in_a_fifth(ledger):
    header, row = ledger._base.rows("runs")
    many = [{**row[0], "run_id": f"run-{i}", "seed": str(i)} for i in range(100_000)]
    (ledger.folder / "runs.csv").write_text(
        ",".join([*header, "check"]) + "\n" + ledger_files.lines_of(header, many)
    )
    header, row = ledger._base.rows("curves")
    some = ledger_files.lines_of(
        header, [{**row[0], "run_id": f"run-{i}", "epoch": e} for i in range(25_000) for e in "123"]
    )
    (ledger.folder / "curves.csv").write_text(",".join([*header, "check"]) + "\n" + some)

    def seconds(do):
        started = time.process_time()  # of this process: others use the machine as well
        do()
        return time.process_time() - started

    ledger = Ledger(ledger.folder)
    assert seconds(lambda: ledger.read("runs")) < 3  # 1.3 s on an idle machine
    first = seconds(lambda: ledger.record_run(result(RUNS[0].but(seed=50))))
    assert first < 1  # what has been read is known: 0.1 s on an idle machine
    size = (ledger.folder / "curves.csv").stat().st_size
    assert (
        min(
            seconds(lambda i=i: ledger.record_run(result(RUNS[0].but(seed=51 + i))))
            for i in range(3)
        )
        < 0.2
    )
    assert (ledger.folder / "curves.csv").stat().st_size - size < 2000
    assert ledger.read("runs").run_id.iloc[-1] == RUNS[0].but(seed=53).run_id


# -- the same numbers everywhere


def test_the_same_numbers_whatever_locale_time_zone_folder_and_hash_seed(tmp_path, save):
    """Of a file with dates, whose hours and weekdays the model sees."""
    command = [
        sys.executable,
        "-m",
        "tsattn",
        "run",
        "--profile",
        "smoke",
        "--dataset",
        save(BASE),
        "--model",
        "iTransformer",
        "--seq-len",
        "48",
        "--pred-len",
        "24",
    ]
    found = []
    for i, env in enumerate(
        [
            {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"},
            {
                "LC_ALL": "de_DE.UTF-8",
                "LANG": "de_DE.UTF-8",
                "TZ": "Asia/Seoul",
                "PYTHONHASHSEED": "2",
            },
        ]
    ):
        here = tmp_path / f"폴더 {i}"
        here.mkdir()
        subprocess.run(
            [*command, "--results", "ours"],
            cwd=here,
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        )
        found.append(
            (
                here / "ours" / "runs.csv",
                Ledger(here / "ours").read("runs").drop(columns=["seconds", "time"]),
            )
        )
    pd.testing.assert_frame_equal(
        found[0][1].drop(columns="check", errors="ignore"),
        found[1][1].drop(columns="check", errors="ignore"),
    )
    ours = [
        shutil.copy(path.parent / "curves.csv", tmp_path / f"{i}.csv")
        for i, (path, _) in enumerate(found)
    ]
    curves = [pd.read_csv(path).drop(columns=["seconds", "check"]) for path in ours]
    pd.testing.assert_frame_equal(*curves)

"""The ledger: what is read, joined and added; damage, merges, kills, several writers, size."""

import fcntl
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from own_csv import BASE

import tsattn.ledger as module
from tsattn.__main__ import main
from tsattn.ledger import OWN, RESULTS, ROOT, VERSIONS, Ledger, LedgerError, check
from tsattn.settings import make
from tsattn.training import Result

RUNS = [make("smoke", dataset="state-machine", attention=a, seed=s)
        for s in (1, 2) for a in ("zero", "mean")]


def result(s, epochs=3, mse=0.5):
    return Result(s, best_epoch=1, test_mse=mse, val_mse=0.4, test_errors=np.linspace(0, 2 * mse),
                  how={"device": "cpu", "threads": 1},
                  curves=[{"epoch": i, "val_mse": 1 / i} for i in range(1, epochs + 1)])


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "r")
    for s in RUNS:
        ledger.record_run(result(s))
    ledger.record("t", [{"k": i, "v": 0.5 + i} for i in range(4)], ["k"])
    assert check(ledger) == []
    return Ledger(tmp_path / "r")


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and p.name != ".lock"}


def remove(path, *lines):
    kept = [text for n, text in enumerate(path.read_text().splitlines(), 1) if n not in lines]
    path.write_text("\n".join(kept) + "\n")


def test_recording_replaces_rows_of_its_key_and_a_new_column_keeps_old_rows(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.record("t", [{"k": 1, "v": 0.1}, {"k": 2, "v": 1 / 3}], ["k"])
    ledger.record("t", [{"k": 1, "v": 0.2, "w": "a, b\n\"c\""}], ["k"])
    table = ledger.read("t").set_index("k")
    assert len(table) == 2 and table.v[1] == 0.2 and table.v[2] == 1 / 3 and pd.isna(table.w[2])
    assert table.w[1] == 'a, b "c"' and check(ledger) == []


@pytest.mark.parametrize("keys", [["None", "nan", None], ["1", "1.0", "01"], ["b", True, "c,\""]])
def test_a_key_is_what_is_written_not_what_a_reader_makes_of_it(keys, tmp_path):
    for _ in range(2):
        for i, key in enumerate(keys):
            Ledger(tmp_path).record("t", [{"k": key, "i": i, "v": 0.5}], ["k"])
    assert [row["i"] for row in Ledger(tmp_path).rows("t")] == ["0", "1", "2"]


def test_a_reader_sees_what_another_wrote_and_what_it_does_to_its_rows_stays_its_own(tmp_path):
    reader = Ledger(tmp_path)
    for a in (1, 2):
        Ledger(tmp_path).record("m", [dict(a=a)], ["a"])
        rows = reader.read("m")
        assert rows.a.tolist() == [1, 2][:a]
        rows.loc[0, "a"] = 9


def test_names_cannot_leave_the_folder(ledger, tmp_path):
    for name in ("../x", "a/b", "", ".hidden"):
        for touch in (ledger.read, lambda t: ledger.record(t, [{"a": 1}], ["a"])):
            with pytest.raises(LedgerError, match="not the name of a table"):
                touch(name)
    np.save(tmp_path / "evil.npy", np.full(4, 0.5))
    ledger.record("runs", [next(ledger.rows("runs")) | {"run_id": "../../evil"}], ["run_id"])
    for touch in (ledger.all_settings, lambda: ledger.settings("../../evil")):
        with pytest.raises(LedgerError, match="the settings in its row are those of"):
            touch()
    assert any("window_errors/evil.npy" in said for said in check(ledger))


# -- damage


CHANGED, HEADER = "truncated or changed, by hand", "not the header of a ledger table"
DAMAGE = {  # what happens to a table: the line named and how it is called
    "byte-order mark": (lambda b: b"\xef\xbb\xbf" + b, None, "by hand|an editor"),
    "CRLF": (lambda b: b.replace(b"\n", b"\r\n"), 1, HEADER),
    "conflict": (lambda b: b.replace(b"\n", b"\n<<<<<<< HEAD\n", 1), 2, CHANGED),
    "byte 0xff": (lambda b: b.replace(b".5", b"\xff5", 1), 2, CHANGED),
    "spreadsheet": (lambda b: b.replace(b".5", b",5"), 2, CHANGED),
    "check": (lambda b: b.replace(b"\n", b"\ncheck\n", 1), 2, CHANGED),
    "empty": (lambda b: b"", 1, HEADER),
    "no header": (lambda b: b.partition(b"\n")[2], 1, HEADER),
    "cut": (lambda b: b[:-5], 5, "the file ends within this line"),
}


@pytest.mark.parametrize("table", ["runs", "t"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_file_line_and_what_to_do_and_never_overwritten(kind, table, ledger):
    damage, line, words = DAMAGE[kind]
    path = ledger.folder / f"{table}.csv"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for touch in (ledger.read, lambda name: ledger.record(name, [{"k": 0}], ["k"])):
        with pytest.raises(LedgerError) as error:
            touch(table)
        said = str(error.value)
        assert re.match(rf"{path}, line {line or '.'}: .*({words}).*take the file from git", said)
        assert check(ledger)[0] in said
    assert path.read_bytes() == before


@pytest.mark.parametrize("lost, rows, runs", [([3], 2, "1 such run"),
                                              (range(2, 14), 0, "4 such runs")])
def test_curves_of_which_epochs_are_missing_are_reported(lost, rows, runs, ledger):
    remove(ledger.folder / "curves.csv", *lost)
    with pytest.raises(LedgerError, match=f"{rows} rows of {RUNS[0].run_id}, which ran 3 epochs"):
        ledger.curves(RUNS[:1])
    assert f"({runs}); take the file from git" in check(ledger)[0]


ERRORS = {"reversed": (lambda b: b[:128] + b[128:][::-1], "wrong checksum"),
          "truncated": (lambda b: b[:-5], "truncated or not an array"),
          "pickled": (lambda b: b.replace(b"<f4", b"|O8"), "not an array"),
          "deleted": (None, "absent, truncated or not an array"),
          "another's": (lambda b: b, "its mean is not the test_mse of the run")}


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_by_window_that_are_not_the_runs_are_named(kind, ledger):
    path = ledger.folder / "window_errors" / f"{RUNS[0].run_id}.npy"
    damage, words = ERRORS[kind]
    path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
    if kind == "another's":  # of a row from before there was a checksum
        row = next(ledger.rows("runs")) | {"errors_crc32": "", "test_mse": "0.6"}
        ledger.record("runs", [row], ["run_id"])
    with pytest.raises(LedgerError, match=f"{words}.*; take the file from git, or delete") as error:
        ledger.window_errors(RUNS[0])
    assert str(error.value).startswith(f"{path}: ") and check(ledger) == [str(error.value)]


def test_the_committed_ledger_is_whole():
    assert check(Ledger(record=True)) == []


@pytest.mark.parametrize("column", [{}, {"node": "x"}])
def test_branches_that_each_recorded_runs_are_merged_by_union_and_read(column, tmp_path, capsys):
    """Other runs, one run that both have, and a table that has gained a column in one of them."""
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e",
                        *words], check=True, capture_output=True)

    def commit(runs, **how):
        for s in runs:
            ledger.record_run(replace(result(s), how=how))
        ledger.record("t", [{"k": s.run_id} for s in runs], ["k"])
        git("add", ".")
        git("commit", "-m", "runs")

    git("init", "-b", "ours")
    (tmp_path / ".gitattributes").write_text("*.csv merge=union\n")
    (tmp_path / ".gitignore").write_text("*.lock\n*.tmp\n")
    ledger = Ledger(tmp_path)
    commit(RUNS[:1], threads=1)
    git("checkout", "-b", "theirs")
    commit(RUNS[1:3], threads=1)
    git("checkout", "ours")
    commit(RUNS[2:], threads=2, **column)
    git("merge", "theirs")
    merged = Ledger(tmp_path)
    runs, twice = merged.read("runs").set_index("run_id"), RUNS[0 if column else 2].run_id
    said = capsys.readouterr().err
    assert len(runs) == 4 and set(runs.index) == {s.run_id for s in RUNS}
    assert runs.threads[RUNS[2].run_id] == 2 and runs.threads[RUNS[1].run_id] == 1
    assert re.search(f"line .: {twice} is in a line above already, as after a merge; the f", said)
    assert len(merged.curves(RUNS)) == 12 and set(merged.read("t").k) == set(runs.index)
    assert len(check(merged)) > 0 and all("as after a merge" in line for line in check(merged))
    merged.record_run(result(RUNS[0].but(seed=9)))
    assert len(Ledger(tmp_path).complete([*RUNS, RUNS[0].but(seed=9)])) == 5


def test_a_ledger_removes_what_its_own_writers_left_and_nothing_else(tmp_path):
    ours = [".runs.csv.1.tmp", "window_errors/.a-0123456789.npy.1.tmp"]
    others = [".probe.tmp", ".mine.tmp", "mine.csv.1.tmp", ".notes.1.tmp", ".tmp",
              "window_errors/.b.tmp", "a-0123456789.npy", "thesis.docx"]
    (tmp_path / "window_errors").mkdir()
    for name in (*ours, *others):
        (tmp_path / name).write_text("")
    Ledger(tmp_path).target.check_writable()
    Ledger(tmp_path).record("t", [{"a": 1}], ["a"])
    assert set(files(tmp_path)) == {*others, "t.csv"}


# -- measurements


def test_a_measurement_is_made_once_and_rows_of_it_that_are_missing_are_reported(tmp_path):
    ledger, keys, calls = Ledger(tmp_path), [{"run_id": "a", "p": p} for p in (0.1, 0.2)], []

    def measure(run_id, p):
        calls.append(p)
        return [{"step": i, "mse": p * i / 3} for i in range(3)]

    ledger.measured("m", keys[:1], measure)
    whole = ledger.measured("m", keys, measure)
    assert calls == [0.1, 0.2] and list(whole.p) == [0.1] * 3 + [0.2] * 3
    assert whole.mse[4] == 0.2 / 3 and "2 measurements made, 1 measurements read" in \
        ledger.summary()
    remove(tmp_path / "m.csv", 3)
    with pytest.raises(LedgerError, match="m.csv, line 2: rows are missing of the measurement of a "
                                          "at 2.*; take the file from git, or delete") as error:
        ledger.lacking("m", keys)
    assert check(ledger) == [str(error.value)]
    remove(tmp_path / "m.csv", 2, 3)
    again = ledger.measured("m", keys, measure)
    pd.testing.assert_frame_equal(again.drop(columns="time"), whole.drop(columns="time"))
    assert calls[2:] == [0.1] and ledger.measured("m", [], None).empty


def test_rows_of_another_version_of_the_measure_are_missing_and_are_replaced(tmp_path, monkeypatch):
    ledger, keys = Ledger(tmp_path), [{"run_id": "a", "alpha": alpha} for alpha in (0.1, 0.2)]
    ledger.record("m", [{**keys[0], "v": 1, "rows": 1}], ["run_id", "alpha"])  # without a version
    ledger.measured("m", keys, lambda run_id, alpha: [{"v": 1}])
    assert ledger.lacking("m", keys) == [] and len(ledger.read("m")) == 2
    monkeypatch.setitem(VERSIONS, "m", 2)
    assert ledger.lacking("m", keys) == keys and Ledger(tmp_path).read("m").empty
    assert list(ledger.measured("m", keys, lambda run_id, alpha: [{"v": 2}]).v) == [2, 2]
    assert list(ledger.read("m").version) == [2, 2]


def test_two_that_measure_the_same_at_once_record_it_once(tmp_path):
    both = threading.Barrier(2)

    def measure(run_id):
        both.wait(30)  # neither has recorded yet
        return [{"step": i, "seconds": time.perf_counter()} for i in range(2)]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda of: Ledger(of).measured("m", [{"run_id": "a"}], measure),
                              [tmp_path] * 2))
    assert len(Ledger(tmp_path).read("m")) == 2
    pd.testing.assert_frame_equal(*found)


def test_measurements_side_by_side_are_the_same(tmp_path):
    keys = [{"x": i} for i in range(4)]
    tables = [Ledger(tmp_path / str(jobs)).measured("m", keys, lambda x: [{"y": x / 7}], jobs=jobs)
              for jobs in (1, 2)]
    assert list(tables[0].y) == list(tables[1].y) == [i / 7 for i in range(4)]


# -- the reader's own


def test_what_a_reader_makes_goes_to_a_folder_of_the_readers_and_is_read_with_the_rest(
        ledger, tmp_path, monkeypatch):
    keys = [{"run_id": "a", "alpha": alpha} for alpha in (0.1, 0.2)]
    ledger.measured("m", keys, lambda run_id, alpha: [{"v": 1}])
    committed, more = files(ledger.folder), RUNS[0].but(seed=7)
    monkeypatch.setattr(module, "RESULTS", ledger.folder)
    monkeypatch.setattr(module, "OWN", tmp_path / "mine")
    mine = Ledger(ledger.folder)
    mine.record_run(result(more, epochs=2))
    mine.record_run(result(RUNS[0], epochs=1))
    monkeypatch.setitem(VERSIONS, "m", 2)
    mine.measured("m", keys[:1], lambda run_id, alpha: [{"v": 2}])
    for reader in (mine, Ledger(ledger.folder)):
        assert len(reader.read("runs")) == 5 and reader.complete([more, *RUNS]) == [more, *RUNS]
        assert len(reader.curves([more, *RUNS])) == 14, "a run that is committed stays what it is"
        assert list(reader.read("m").v) == [2] and reader.lacking("m", keys) == keys[1:]
        assert list(reader.measured("m", keys[:1], None).v) == [2]
        assert len(reader.window_errors(more)) == 50 and check(reader) == []
        assert reader.settings(more.run_id) == more.but(device="cpu")
    assert files(ledger.folder) == committed and not ledger.complete([more])
    with monkeypatch.context() as before:
        before.setitem(VERSIONS, "m", 1)
        assert list(Ledger(ledger.folder).read("m").v) == [1, 1], "what is old replaces nothing"
    Ledger(tmp_path / "mine").record_run(result(RUNS[0], epochs=1, mse=0.7))
    ledger.record_run(result(more, epochs=1, mse=0.7))  # by others, later: in both folders
    assert list(mine.runs([RUNS[0], more]).test_mse) == [0.5, 0.7] and len(mine.read("runs")) == 5
    assert [mine.window_errors(s).mean().round(3) for s in (RUNS[0], more)] == [0.5, 0.7]
    assert len(mine.curves([RUNS[0], more])) == 4 and check(mine) == []


def test_only_record_writes_to_the_committed_ledger(monkeypatch):
    monkeypatch.setattr(module, "OWN", OWN)
    assert Ledger().own == Ledger(ROOT / "notebooks" / ".." / "results").own == OWN
    assert Ledger().target.path == OWN and Ledger(record=True).target.path == RESULTS
    ignored = ["my-results/runs.csv", "results/.runs.csv.1.tmp", "results/.lock"]
    found = subprocess.run(["git", "-C", str(ROOT), "check-ignore", *ignored], text=True,
                           capture_output=True).stdout.split()
    assert found == ignored


# -- kills, writers, locks


def test_a_complete_run_stays_and_a_failed_one_is_replaced(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.record_run(result(RUNS[0]))
    before = files(tmp_path)
    for again in (Result(RUNS[0], status="failed", reason="MSE nan"), result(RUNS[0], mse=0.7)):
        ledger.record_run(again)
        assert files(tmp_path) == before
    ledger.record_run(Result(RUNS[1], status="failed", curves=[{"epoch": i} for i in (1, 2)]))
    ledger.record_run(result(RUNS[1], epochs=1))
    assert list(ledger.read("runs").status) == ["complete"] * 2 and check(ledger) == []
    assert list(ledger.curves(RUNS[1:]).epoch) == [1]


def started(work, *arguments):
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def record_until(folder, step):
    """Record a run; killed before the ``step``-th time that something is to be on the disk."""
    left = [step]

    def then(do):
        def done(*a):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            do(*a)
        return done

    module.os.fsync, module.os.replace = then(os.fsync), then(os.replace)
    Ledger(folder).record_run(result(RUNS[1]))


@pytest.mark.parametrize("step", range(1, 7))
def test_a_kill_at_any_step_of_recording_leaves_the_other_runs_and_can_be_repeated(step, tmp_path):
    Ledger(tmp_path).record_run(result(RUNS[0]))
    process = started(record_until, tmp_path, step)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    ledger = Ledger(tmp_path)
    assert ledger.complete(RUNS) == RUNS[:1] and check(ledger) == []
    assert len(ledger.curves(RUNS)) == 3 and len(ledger.window_errors(RUNS[0])) == 50
    ledger.record_run(result(RUNS[1], epochs=2))
    assert len(ledger.complete(RUNS)) == 2 and check(Ledger(tmp_path)) == []
    assert not [name for name in files(tmp_path) if name.endswith(".tmp")]
    assert len(pd.read_csv(tmp_path / "curves.csv")) == 5


def record_for_ever(folder, first):
    ledger = Ledger(folder)
    for i in range(first, first + 10_000):
        ledger.record("t", [{"k": i}], ["k"])
        ledger.record_run(result(RUNS[0].but(seed=i)))


def test_three_writers_at_once_that_are_killed_lose_nothing(tmp_path):
    chance, seen = np.random.default_rng(0), set()
    for round_ in range(4):
        writers = [started(record_for_ever, tmp_path, 10_000 * (3 * round_ + i)) for i in range(3)]
        deadline = time.time() + 60
        while len(Ledger(tmp_path).read("runs")) < len(seen) + 6 and time.time() < deadline:
            time.sleep(0.02)
        time.sleep(0.1 * chance.random())
        for writer in writers:
            writer.kill()
            writer.join()
        runs = Ledger(tmp_path).read("runs")
        assert seen < set(runs.run_id) and runs.run_id.is_unique and check(Ledger(tmp_path)) == []
        seen, table = set(runs.run_id), Ledger(tmp_path).read("t")
        assert table.k.is_unique and set(runs.seed) <= set(table.k) and len(table) < len(runs) + 13


def test_a_full_disk_in_the_middle_of_a_record_leaves_the_others(ledger, monkeypatch):
    before, new = ledger.read("runs"), result(RUNS[0].but(seed=9))
    for step in (1, 2, 3):
        full = [None] * (step - 1) + [OSError(28, "No space left on device")]
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr(module.os, "fsync", Mock(side_effect=full))
            ledger.record_run(new)
        pd.testing.assert_frame_equal(Ledger(ledger.folder).read("runs"), before)
    ledger.record_run(new)
    assert len(ledger.read("runs")) == 5 and check(ledger) == []


def test_a_lock_that_is_held_elsewhere_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with open(tmp_path / ".lock", "w") as elsewhere:
        fcntl.flock(elsewhere, fcntl.LOCK_EX)
        threading.Timer(1, fcntl.flock, [elsewhere, fcntl.LOCK_UN]).start()
        Ledger(tmp_path).record("t", [{"a": 1}], ["a"])
    assert "another process holds the lock of the ledger; waiting" in capsys.readouterr().err
    assert len(Ledger(tmp_path).read("t")) == 1


def test_a_ledger_of_10_000_runs_is_read_in_a_second_and_takes_a_run_in_a_third(ledger):
    for table, epochs in (("runs", [""]), ("curves", range(5))):
        columns, row = ledger.target.lines(table)[0], next(ledger.rows(table))
        lines = [module.line_of(columns, {**row, "run_id": f"r{i}", "epoch": str(e)})
                 for i in range(10_000) for e in epochs]
        (ledger.folder / f"{table}.csv").write_bytes(module.content_of(columns, lines))

    def seconds(do):
        started = time.process_time()  # of this process: others use the machine as well
        do()
        return time.process_time() - started

    ledger = Ledger(ledger.folder)
    assert seconds(lambda: (ledger.read("runs"), ledger.read("curves"))) < 2
    assert min(seconds(lambda i=i: ledger.record_run(result(RUNS[0].but(seed=51 + i))))
               for i in range(3)) < 0.3
    assert ledger.read("runs").run_id.iloc[-1] == RUNS[0].but(seed=53).run_id


def test_the_same_numbers_whatever_locale_time_zone_folder_and_hash_seed(tmp_path, save):
    """Of a file with dates, whose hours and weekdays the model sees."""
    command = [*"run --profile smoke --model iTransformer --seq-len 48 --pred-len 24 --results "
               "ours --dataset".split(), save(BASE)]
    here = tmp_path / "폴더"
    here.mkdir()
    other = {"PYTHONPATH": str(ROOT), "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Seoul",
             "PYTHONHASHSEED": "2"}
    subprocess.run([sys.executable, "-m", "tsattn", *command], cwd=here, check=True,
                   capture_output=True, env={**os.environ, **other})
    assert main([*command, "--results", str(tmp_path / "ours")]) == 0
    one, other = (Ledger(folder / "ours") for folder in (here, tmp_path))
    for table in ("runs", "curves"):
        pd.testing.assert_frame_equal(*(
            of.read(table).drop(columns=["seconds", "time"], errors="ignore")
            for of in (one, other)))

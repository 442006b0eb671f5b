import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tsattn.ledger import ROOT, Ledger, LedgerError
from tsattn.progress import bar, duration
from tsattn.settings import Settings, make
from tsattn.sweep import missing, on_trained, outlook, seconds_expected, sweep, together, verify
from tsattn.training import Result, train

RUNS = [make("smoke", dataset="state-machine", attention=a, seed=1) for a in ("zero", "mean")]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    ledger = Ledger(folder / "results")
    table = sweep(RUNS, ledger=ledger, checkpoints=folder / "checkpoints", progress=False)
    return ledger, table, folder


def test_a_sweep_trains_what_is_missing_and_reads_the_rest(swept):
    ledger, table, folder = swept
    assert list(table.run_id) == [s.run_id for s in RUNS] and set(table.status) == {"complete"}
    assert {*vars(Settings()), "best_epoch", "val_mse", "test_mse", "test_mae", "seconds", "torch",
            "source", "threads", "device", "time"} <= set(table)
    before = (ledger.folder / "runs.csv").read_bytes()
    again = sweep(RUNS, ledger=ledger, checkpoints=folder / "checkpoints", progress=False)
    pd.testing.assert_frame_equal(again, table)
    assert (ledger.folder / "runs.csv").read_bytes() == before and not missing(RUNS, ledger)
    assert len(ledger.curves(RUNS)) == table.epochs_run.sum()
    assert ledger.window_errors(RUNS[0]).mean() == pytest.approx(table.test_mse[0], rel=1e-5)
    assert sum(seconds_expected(RUNS, ledger)) == pytest.approx((table.seconds
                                                                 * table.threads).sum())


def test_rows_of_the_ledger_come_out_the_same_when_they_are_trained_again(swept, tmp_path):
    ledger, table, _ = swept
    before = (ledger.folder / "runs.csv").read_bytes()
    found = verify(ledger, tmp_path / "c", sample=1)
    assert list(found.outcome) == ["identical"] and found.run_id[0] in set(table.run_id)
    assert found.same_sources.all()
    assert (ledger.folder / "runs.csv").read_bytes() == before
    with pytest.raises(ValueError, match="no complete run that takes less than 0 seconds here"):
        verify(ledger, tmp_path, cheaper_than=0)
    with pytest.raises(LedgerError, match="nothing: no such run"):
        verify(ledger, tmp_path, run_ids=["nothing"])


def test_another_draw_is_no_other_result_and_what_to_expect_is_said_before(
        swept, tmp_path, capsys):
    now = swept[0].runs(RUNS[:1]).test_mse[0]

    def verified(*others):
        ledger = Ledger(tmp_path / f"{others}")
        for seed, mse in enumerate((1.1 * now, *others), 1):
            ledger.record_run(Result(RUNS[0].but(seed=seed), test_mse=mse, seconds=1.0,
                                     how={"threads": 1, "device": "NVIDIA H200"}))
        found = verify(ledger, ledger.folder / "c", run_ids=[RUNS[0].run_id]).outcome[0]
        return found, capsys.readouterr().err, ledger

    assert verified()[0] == verified(1.101 * now, 1.102 * now)[0] == "different"
    found, said, ledger = verified(0.95 * now, 1.05 * now)
    assert found == "another draw"
    assert re.match(r"training 1 run again on .+: about \d+ s\. ", said)
    assert ("recorded on NVIDIA H200; the seeds of its cell lie 13.6 % apart" in
            said.replace("%", " %"))
    with pytest.MonkeyPatch.context() as patch:  # a second on the card, an hour here
        patch.setattr("tsattn.sweep.seconds_expected", lambda runs, _: [3600.0])
        with pytest.raises(ValueError, match="no complete run that takes less than 60 seconds"):
            verify(ledger, tmp_path, cheaper_than=60)


def test_what_cannot_be_run_is_reported_not_recorded_and_tried_again(tmp_path, monkeypatch):
    """No data, device, memory, or disk space: other runs go on, and the mended command trains."""
    ledger, options = Ledger(tmp_path / "r"), dict(checkpoints=tmp_path / "c", progress=False)
    blocked = RUNS[0].but(seed=2)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / blocked.run_id).write_text("in the way of its folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.device_count", lambda: 0)
        table = sweep([RUNS[0], RUNS[0].but(pred_len=11_000), RUNS[1].but(device="cuda"),
                       blocked], ledger=ledger, **options)
        assert list(table.status) == ["complete", *["not run"] * 3]
        assert blocked.run_id in table.reason[3]
        assert "too few for one window" in table.reason[1] and "0 CUDA dev" in table.reason[2]
        assert list(ledger.read("runs").run_id) == [RUNS[0].run_id]
        assert ledger.tally["runs trained"] == 1
    lost = make("smoke", dataset="ETTh1", attention="zero", seed=1)
    table = sweep([lost], ledger=ledger, data_dir=tmp_path / "mistyped", **options)
    assert "mistyped: no such folder" in table.reason[0] and missing([lost], ledger) == [lost]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tsattn.sweep.train", lambda s, **_: (_ for _ in ()).throw(MemoryError()))
        reason = sweep(RUNS[1:], ledger=ledger, **options).reason[0]
        assert reason == "not enough memory (MemoryError)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record_run",
                      lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        reason = sweep(RUNS[1:], ledger=ledger, **options).reason[0]
        assert "could not be recorded (No space left" in reason
    curves = []
    monkeypatch.setattr("tsattn.training._Run.epoch", lambda self, bar: curves.append(1))
    assert list(sweep(RUNS, ledger=ledger, **options).status) == ["complete"] * 2
    assert not curves, "the trained state was kept until it could be recorded"


def test_rows_that_failed_for_another_reason_than_divergence_do_not_count(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.record_run(Result(RUNS[0], status="failed", reason="DataError: ETTh1.csv: not found"))
    ledger.record_run(Result(RUNS[1], status="failed",
                             reason="training MSE nan in epoch 1: not finite"))
    assert missing(RUNS, ledger) == RUNS[:1]
    assert "1 of 2 runs are missing: about " in outlook({"all": RUNS}, ledger)


def test_weights_that_are_trained_again_leave_the_record_as_it_is(tmp_path, capsys):
    ledger = Ledger(tmp_path / "r")
    ledger.record_run(Result(RUNS[0], best_epoch=1, test_mse=9.0,
                             how={"threads": 1, "device": "cpu"}))
    before = (tmp_path / "r" / "runs.csv").read_bytes()
    assert not missing(RUNS[:1], ledger)
    assert missing(RUNS[:1], ledger, True, tmp_path / "c") == RUNS[:1]
    sweep(RUNS[:1], ledger=ledger, checkpoints=tmp_path / "c", weights=True, progress=False)
    assert "9.0000 is recorded; the row stays" in capsys.readouterr().err
    assert (tmp_path / "r" / "runs.csv").read_bytes() == before
    assert not missing(RUNS[:1], ledger, True, tmp_path / "c")
    assert [p.name for p in (tmp_path / "c" / RUNS[0].run_id).iterdir()] == ["best.safetensors"]


def test_errors_by_channel_are_added_to_a_run_recorded_without_them_if_it_comes_out_the_same(
        tmp_path):
    def kept(change: float):
        ledger = Ledger(tmp_path / f"r{change}")
        whole = train(RUNS[0], checkpoints=tmp_path / "c", progress=False, n_threads=1)
        old = dict(test_errors=None, test_mse=whole.test_mse * (1 + change))
        ledger.record_run(replace(whole, **old))  # as long ago: the mean of the channels, unsigned
        (ledger.folder / "window_errors").mkdir()
        np.save(ledger.folder / "window_errors" / f"{whole.run_id}.npy",
                whole.test_errors.mean(1) * (1 + change))
        sweep(RUNS[:1], ledger=ledger, checkpoints=tmp_path / f"c{change}", weights=True,
              progress=False)
        return ledger.channel_errors(RUNS[0]).shape

    assert kept(0.0) == (RUNS[0].max_windows, 1) and kept(0.01) == (RUNS[0].max_windows,)


def test_one_training_gives_the_rows_of_both_stretches_of_months(etth1, tmp_path):
    both = [make("smoke", dataset=etth1, split=split, seed=5) for split in ("standard", "tail")]
    together = Ledger(tmp_path / "together")
    table = sweep(both, ledger=together, checkpoints=tmp_path / "c", progress=False)
    assert together.tally["runs trained"] == 2 and table.seconds[1] < table.seconds[0]
    for s, row in zip(both, table.itertuples(), strict=True):
        alone = train(s, checkpoints=tmp_path / "alone", progress=False, n_threads=row.threads)
        assert (alone.val_mse, alone.test_mse) == (row.val_mse, row.test_mse)
        assert np.array_equal(alone.test_errors, together.channel_errors(s))
        assert len(together.curves([s])) == len(alone.curves)
        assert not missing([s], together, True, tmp_path / "c")
    assert table.test_mse[0] != table.test_mse[1]


def test_beyond_its_time_nothing_is_trained_and_what_does_it_is_said(swept, tmp_path, capsys,
                                                                     monkeypatch):
    ledger, table, folder = swept
    options = dict(checkpoints=folder / "checkpoints", within=10)
    sweep([RUNS[0].but(pred_len=11_000)], ledger=ledger, **options)
    assert "too few for one window" in capsys.readouterr().out, "a chapter keeps it"
    monkeypatch.setattr("tsattn.sweep.train", lambda *_, **__: pytest.fail("trained"))
    monkeypatch.setattr("tsattn.sweep.seconds_expected", lambda runs, *_: [3600.0] * len(runs))
    asked = [*RUNS, RUNS[0].but(seed=9)]
    found = sweep(asked, ledger=ledger, command="make it", **options)
    assert list(found.run_id) == list(table.run_id) and capsys.readouterr().out == (
        "1 of 3 runs are missing: about 60 min with 1 at a time. "
        "Nothing is trained; make it does it.\n")
    rows = on_trained("m", asked, [{}], lambda *_: [dict(v=1)], ledger=ledger, **options)
    assert list(rows.run_id) == list(table.run_id)
    other = Ledger(tmp_path)  # the weights are here, their rows are not
    assert on_trained("m", RUNS, [{}], lambda *_: [dict(v=1)], ledger=other, **options).empty
    assert not list(tmp_path.glob("*.csv"))


def test_without_any_row_the_time_is_unknown(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tsattn.sweep.RESULTS", tmp_path / "none")
    assert sweep(RUNS, ledger=Ledger(tmp_path), checkpoints=tmp_path, within=0).empty
    assert capsys.readouterr().out.startswith(
        "2 of 2 runs are missing: about an unknown time with 1 at a time. Nothing is")


def test_a_short_run_and_a_measurement_are_expected_to_take_what_they_took():
    """The first two epochs of recorded runs are a recorded quick run; the row itself, and all that
    were recorded with it, are left out."""
    committed, others = Ledger(record=True), Ledger(record=True)
    table, curves = committed.read("runs"), committed.read("curves")
    two = curves[curves.epoch <= 2].groupby("run_id").seconds.sum()
    of = dict(status="complete", dataset="ETTh1", seq_len=336, device="cpu", seed=2022)
    rows = table[(table[list(of)] == of).all(axis=1) & (table.epochs_run > 1)
                 & (table.split != "tail")]  # those may be the same training, tested twice
    ratios = []
    for row in rows.itertuples():
        beside = table.run_id.str.startswith(row.run_id.split("-s2022-")[0])
        others.read = lambda _, beside=beside: table[~beside]
        s = committed.settings(row.run_id).but(epochs=2)
        ratios += [seconds_expected([s], others)[0] / (two[row.run_id] * row.threads)]
    assert np.mean([0.5 < r < 2 for r in ratios]) >= 0.9, ratios
    assert 0.7 < np.median(ratios) < 1.4
    rows = committed.read("perturbation").drop_duplicates(["run_id", "sublayer"])
    of = [committed.settings(run_id) for run_id in rows.run_id]
    points = rows[["windows", "draws", "smoothings", "noises"]].to_dict("records")
    ratios = np.divide(seconds_expected(of, committed, points=points), rows.seconds)
    assert len(rows) >= 6 and ratios.between(0.5, 2).all(), ratios


def test_the_time_of_a_run_scales_with_its_epochs_steps_and_windows(tmp_path, monkeypatch, capsys):
    s, ledger = RUNS[0].but(epochs=100, max_steps=20, max_windows=1), Ledger(tmp_path)
    curves = [{"epoch": i, "val_mse": 1.0} for i in range(30)]
    ledger.record_run(Result(s, curves=curves, seconds=60.0, how={"threads": 1, "device": "cpu"}))

    def expected(**changes):
        return seconds_expected([s.but(seed=9, device="cpu", **changes)], ledger)[0]

    assert expected() == 60.0 and expected(epochs=10) == 20.0
    assert expected(max_steps=40) == pytest.approx(120, rel=0.01)
    assert expected(max_windows=481) == pytest.approx(120, rel=0.01), "a third of a step's work"
    assert 1.3 < expected(d_ff=8 * s.d_ff) / 60 < 8
    grid = dict(windows=1, draws=2, smoothings="0 1 2", noises="0 1")
    passes = seconds_expected([s, s], ledger, points=[grid, grid | dict(windows=0)])
    assert passes[0] == pytest.approx(2.0 * 24 / (3 * 20 * s.batch_size + 2)) == passes[1]
    twins = [make("quick", dataset="ETTh1", split=split) for split in ("standard", "tail")]
    assert seconds_expected(twins, ledger)[1] == 0.0, "one training serves both"
    line = outlook({"both": twins}, ledger, 2).splitlines()[0]
    assert line.startswith("both: 2 of 2 runs are missing: ") and line.endswith(" 1 at a time")
    sweep(twins, ledger=ledger, jobs=2, within=0)
    assert capsys.readouterr().out.startswith(line.removeprefix("both: ")), "said alike"
    assert [duration(t) for t in (0.2, 61, 600, 7200)] == ["1 s", "61 s", "10 min", "2.0 hours"]
    monkeypatch.setattr("tsattn.sweep.cores", lambda: 4)
    assert together([60, 60, 60], 4) == 60 and together([100, 1], 4) == 100
    assert together([60, 60, 60], 2) == 45  # two cores each
    assert together([60] * 8, 1) == together([60] * 8, 64) == 120


def test_a_run_is_expected_to_take_what_runs_on_its_kind_of_device_took(tmp_path, monkeypatch):
    s, ledger = RUNS[0], Ledger(tmp_path)
    for seed, (device, seconds) in enumerate((("H200", 6.0), ("A100", 4.0), ("cpu", 900.0)), 1):
        like = s.but(seed=seed, learning_rate=s.learning_rate * (1 + (device == "cpu")))
        ledger.record_run(Result(like, test_mse=0.5, curves=[{"epoch": 1}, {"epoch": 2}],
                                 seconds=seconds, how={"device": device, "threads": 2}))

    def expected(device, card):
        monkeypatch.setattr("torch.cuda.is_available", lambda: card)
        return seconds_expected([s.but(seed=9, device=device)], ledger)

    assert expected("auto", False) == expected("cpu", True) == [1800.0], (
        "closer rows of a card do not count")
    assert expected("auto", True) == expected("cuda", False) == [10.0], "the mean of both cards"


@pytest.mark.parametrize("folder, said", [
    ("file", "cannot be written there .*choose another folder with --results"),
    ("/proc/tsattn", "cannot be written there .*choose another folder with --results"),
    ("damaged", "curves.csv, line 2: truncated or changed")])
def test_a_folder_that_no_run_can_be_added_to_is_refused_before_training(folder, said, tmp_path,
                                                                         monkeypatch):
    (tmp_path / "file").write_text("")
    Ledger(tmp_path / "damaged").record_run(Result(RUNS[0], curves=[{"epoch": 1, "val_mse": 0.5}]))
    path = tmp_path / "damaged" / "curves.csv"
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.6"))
    monkeypatch.setattr("tsattn.sweep.train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(LedgerError, match=said):
        sweep(RUNS[1:], ledger=Ledger(tmp_path / folder), checkpoints=tmp_path, progress=False)


def test_one_number_counts_down_and_is_mended_by_what_is_done(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("tsattn.progress.time.monotonic", lambda: now[0])
    left, said = bar(1200, "runs", disable=True, expected=1200), []
    for minute in range(1, 9):
        now[0] = 60 * minute
        if minute % 4 == 0:
            left.update(120)  # twice as slow as expected
        said.append(int(left.left().split()[1]))
    assert said[:3] == [19, 18, 17] and said[4:7] == sorted(said[4:7], reverse=True)
    assert said[-1] == pytest.approx(32, abs=6)
    left.update(960)
    assert left.left() == "nearly done"


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr("tsattn.progress.EVERY", 0.2)
    monkeypatch.setattr("sys.modules", {k: v for k, v in sys.modules.items() if k != "ipykernel"})
    with bar(1000, "4 runs", expected=1000) as progress:
        for _ in range(10):
            time.sleep(0.1)
            progress.update()
    said = capsys.readouterr().err.splitlines()
    assert 2 <= len(said) <= 6 and re.fullmatch(r"4 runs: about \d+ (s|min) left", said[0])


def test_a_dry_run_says_what_is_missing_of_each_part_and_its_time(swept):
    more = RUNS[0].but(seed=7)
    said = outlook({"both": RUNS, "again": [RUNS[0], more]}, swept[0], jobs=2).splitlines()
    assert said[0] == "both: 0 of 2 runs are missing", "a run counts where it comes first"
    for line, of in zip(said[1:], ("again: 1 of 1", "together: 1 of 3"), strict=True):
        assert re.fullmatch(rf"{of} runs are missing: about \d+ s with 1 at a time", line)


def test_a_dask_cluster_loses_at_most_an_epoch_with_a_killed_worker(tmp_path):
    """Two worker processes, one killed in its run: the ledger ends complete, with the numbers of
    quiet runs."""
    distributed = pytest.importorskip("distributed")
    runs = [make("smoke", dataset="state-machine", attention="zero", seed=seed, epochs=12,
                 patience=12) for seed in (1, 2)]
    quiet = sweep(runs, ledger=Ledger(tmp_path / "quiet"), checkpoints=tmp_path / "c0",
                  progress=False)
    killed = []

    def kill(address):
        with distributed.Client(address) as client:
            while not killed:
                busy = [w for w, tasks in client.processing().items() if tasks]
                if busy and list((tmp_path / "c1").glob("*/resume.safetensors")):
                    killed.append(client.run(os.getpid, workers=busy[:1])[busy[0]])
                    os.kill(killed[0], signal.SIGKILL)
                time.sleep(0.01)

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                  dashboard_address=None) as cluster:
        killer = threading.Thread(target=kill, args=[cluster.scheduler_address])
        killer.start()
        table = sweep(runs, ledger=Ledger(tmp_path / "r"), checkpoints=tmp_path / "c1",
                      progress=False, cluster=cluster.scheduler_address)
        killer.join(30)
    assert killed and list(table.status) == ["complete"] * 2
    assert list(table.test_mse) == list(quiet.test_mse)
    assert list(table.epochs_run) == list(quiet.epochs_run)


def test_a_killed_sweep_leaves_no_worker_behind(tmp_path):
    psutil = pytest.importorskip("psutil")
    runs = [RUNS[0].but(seed=seed, epochs=1000, patience=1000) for seed in (1, 2)]
    killed = multiprocessing.get_context("fork").Process(target=sweep, args=[runs], kwargs=dict(
        ledger=Ledger(tmp_path), checkpoints=tmp_path, jobs=2, progress=False))
    killed.start()
    deadline = time.time() + 120
    while len(list(tmp_path.glob("*/resume.safetensors"))) < 2 and time.time() < deadline:
        time.sleep(0.05)
    children = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.join()
    assert children and not psutil.wait_procs(children, timeout=20)[1]


def test_a_cluster_that_is_absent_or_whose_workers_share_a_process_is_refused(tmp_path):
    distributed = pytest.importorskip("distributed")
    options = dict(ledger=Ledger(tmp_path), progress=False)
    with pytest.raises(ValueError, match="--cluster tcp://127.0.0.1:9: no Dask scheduler answers"):
        sweep(RUNS, cluster="tcp://127.0.0.1:9", **options)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False,
                                  dashboard_address=None) as cluster:
        with pytest.raises(ValueError, match="--nthreads 1"):
            sweep(RUNS, cluster=cluster.scheduler_address, **options)


def test_training_needs_little_beyond_torch_and_leaves_nothing_behind(tmp_path):
    """Training, sweep and ledger need no package of notebooks, figures or statistics."""
    code = ("import sys\n"
            "for name in 'scipy sklearn pooch matplotlib seaborn papermill nbformat distributed'"
            ".split():\n    sys.modules[name] = None\n"
            "from tsattn.__main__ import main\n"
            "sys.exit(main('sweep --profile smoke --dataset state-machine --attentions zero mean "
            f"--seeds 1 --results {tmp_path}'.split()))")
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT,
                          text=True).stderr
    assert len(Ledger(tmp_path).read("runs")) == 2
    assert "2 of 2 runs are missing: about" in said and said.count("\n") == 1, said  # no leaks

"""The command line and the report, as a user calls them."""

import errno
import json
import re
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import nbformat
import pytest
from conftest import defined
from own_csv import BASE

from tsattn.__main__ import main, options, value
from tsattn.data import SYNTHETIC, DataUnavailable
from tsattn.ledger import ROOT, VERSIONS, Ledger, LedgerError
from tsattn.models import count_multiply_adds
from tsattn.report import needed, read
from tsattn.settings import ATTENTIONS, SERIES, make
from tsattn.training import Result

SMOKE = ["--profile", "smoke", "--dataset", SYNTHETIC]


@pytest.mark.parametrize("arguments, words", [
    (["run", "--learning-rate", "fast"], "learning_rate='fast': expected a number, such as 0.001"),
    (["run", "--revin", "maybe"], "revin='maybe': expected True or False"),
    (["run", "--seed", "12345678901234567890"],
     "seed=12345678901234567890: must be less than 2**32"),
    (["run", "--colour", "red"], "unrecognized arguments: --colour red"),
    (["runn"], "invalid choice: 'runn'"),
    (["sweep", "--jobs", "0", *SMOKE], "argument --jobs: 0: write a whole number of at least 1"),
    (["sweep", "--seeds", "a", *SMOKE], "seed='a': expected a whole number"),
    (["verify", "--sample", "two"], "argument --sample: two: write a whole number"),
    (["verify", "--run-id", "../../x"], "../../x: no such run"),
    (["run", "--dataset", "nowhere.csv"], "nowhere.csv: no such file"),
    (["sweep", "--plan", "evidence", "--dataset", "ETTh2", "--batch-size", "8", "--seeds", "1",
      "--dry-run"], "leave out --seeds, --dataset, --batch-size, or --plan"),
    (["report", "--only", "77"], "--only 77: no such chapter")])
def test_bad_input_gets_one_sentence_and_a_non_zero_exit(arguments, words, tmp_path, capsys):
    results = ["--results", str(tmp_path)] if arguments[0] in ("run", "sweep") else []
    assert main(arguments + results) == 2
    error = capsys.readouterr().err.removeprefix(
        "reading the chapters and what is recorded ...\n" if arguments[0] == "report" else "")
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_values_are_read_as_they_are_meant():
    assert [value(t) for t in (".001", "1e-4", "False", "true", "None", "[1, 2]", "ETTh1")] == \
        [0.001, 1e-4, False, True, None, [1, 2], "ETTh1"]
    asked = options().parse_args(["report", "-p", "missing", "-9999,nan", "-p", "seq_len", "48"])
    assert asked.parameter == [["missing", "-9999,nan"], ["seq_len", "48"]]
    for given in (["--missing", "-9999,nan"], ["--missing=-9999,nan"], ["--missing", "-.5,-9"],
                  ["--missing", "-9999"]):
        asked = options().parse_args(["run", *given, "--gaps", "split"])
        assert asked.missing == given[-1].removeprefix("--missing=") and asked.gaps == "split"


def test_a_run_ends_with_one_line_of_json_that_says_what_was_run(tmp_path, capsys):
    assert main(["run", "--attention", "zero", *SMOKE, "--learning-rate", ".001",
                 "--revin", "False", "--seed", "7", "--results", str(tmp_path)]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    row = Ledger(tmp_path).read("runs").iloc[0]
    assert last.items() >= dict(profile="smoke", epochs=2, dataset=SYNTHETIC, seed=7,
                                status="complete", reason=None).items()
    assert all(last[k] == row[k] for k in ("run_id", "test_mse", "test_mae"))
    assert row.learning_rate == 0.001 and not row.revin


def test_measure_trains_nothing_unless_asked_and_goes_on_past_what_it_lacks(
        tmp_path, save, capsys, monkeypatch):
    """A model whose weights are here, from another ledger, and whose run is not recorded; and rows
    of another version, of which one has no run and one is on a file that has changed."""
    assert main(["run", *SMOKE, "--seed", "1", "--results", str(tmp_path / "other")]) == 0
    s, ledger = make("smoke", dataset=SYNTHETIC, seed=1), Ledger(tmp_path / "ours")
    point = dict(windows=8, intervention="none", draw=0)
    monkeypatch.setattr("tsattn.__main__.exchanged", lambda: [("toy_errors", [s], [point])])
    ours = ["measure", "--tables", "toy_errors", "--results", str(ledger.folder)]
    capsys.readouterr()
    assert main(ours) == 1 and not list(ledger.folder.glob("*.csv"))
    said = capsys.readouterr().err
    assert said.startswith("1 models have no weights here or no row in the ledger "
                           f"(first: {s.run_id})") and said.count("\n") == 1
    assert main([*ours, "--train"]) == 0
    assert ledger.complete([s]) and len(ledger.read("toy_errors")) == 1
    assert main(ours) == 0, "now nothing is missing"
    on_file = make("smoke", dataset=save(BASE), seq_len=48, pred_len=24)
    ledger.record_run(Result(on_file))
    keys = [dict(run_id=run_id, **point) for run_id in ("no-row", on_file.run_id)]
    ledger.measured("toy_errors", keys, lambda **_: [{"mse": 1.0}])
    monkeypatch.setitem(VERSIONS, "toy_errors", 2)
    assert ledger.known(on_file.run_id) is None, "not in the folder of the file"
    assert main(ours) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(
        "2 models have no weights here or no row in the ledger (first: "
        f"{min(on_file.run_id, 'no-row')}) and are not measured")
    kept = {row["run_id"]: row["version"] for row in ledger.rows("toy_errors")}
    assert kept == {s.run_id: "2", "no-row": "1", on_file.run_id: "1"}, "nothing is lost"
    assert list(ledger.read("toy_errors").run_id) == [s.run_id], "nor is what is old read"
    monkeypatch.chdir(tmp_path)
    assert ledger.known(on_file.run_id).run_id == on_file.run_id


def test_what_is_found_in_a_file_is_said_once_on_one_line(tmp_path, save, capsys):
    path = save(BASE.assign(OT=BASE.OT.where(BASE.index != 700, 1e12), off=0.1))
    assert main(["sweep", "--profile", "smoke", "--dataset", path, "--seq-len", "48",
                 "--pred-len", "24", "--seeds", "1", "2", "--attentions", "zero",
                 "--results", str(tmp_path / "r")]) == 0
    first, second, third, *progress = capsys.readouterr().err.splitlines()
    assert not any("warning" in line for line in progress)  # none from the workers
    assert first.startswith("warning: mine.csv: channel off is constant (0.1)")
    assert second.startswith("warning: mine.csv, column OT: 1 of 1500 values (1e+12), ")
    assert third.startswith("2 of 2 runs are missing")


@pytest.mark.parametrize("change, words, rows", [
    (["--d-model", "100000"], "GB of memory", 0),
    (["--learning-rate", "1e9", "--norm", "layer", "--revin", "false"], "not finite", 1)])
def test_what_cannot_be_trained_is_said_and_has_a_non_zero_exit(change, words, rows, tmp_path,
                                                                capsys):
    assert main(["run", *SMOKE, *change, "--results", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err and len(Ledger(tmp_path).read("runs")) == rows


@pytest.mark.parametrize("command, words", [
    (["measure", "--tables", "interventoins"], "choose from interventions, "),
    (["sweep", *SMOKE, "--cluster", "tcp://a:1", "--within", "0"], "leave out --within")])
def test_what_would_be_left_unheard_is_refused(command, words, tmp_path, capsys):
    assert main([*command, "--results", str(tmp_path)]) == 2 and words in capsys.readouterr().err


def test_the_ledger_is_shown_and_checked(tmp_path, capsys):
    results, path = ["--results", str(tmp_path)], tmp_path / "t.csv"
    Ledger(tmp_path).record("t", [{"k": i, "v": i + 0.5} for i in range(3)], ["k"])
    assert main(["ledger", "show", *results]) == main(["ledger", "check", *results]) == 0
    said = capsys.readouterr().out
    assert "3 rows, 2 columns" in said and "every row is whole" in said
    assert main(["ledger", "check", "--results", str(tmp_path / "typo")]) == 2
    assert "no such folder" in capsys.readouterr().err
    path.write_text(path.read_text().replace("1.5", "1.6"))
    assert main(["ledger", "check", *results]) == 1
    assert f"{path}, line 3: truncated or changed" in capsys.readouterr().out


def test_an_interrupted_sweep_continues(tmp_path, monkeypatch):
    """Ctrl-C, here at the moment at which the first run is recorded."""
    command = ["sweep", *SMOKE, "--model", "linear", "--seeds", "1", "2", "--jobs", "1",
               "--results", str(tmp_path)]
    record = Ledger.record_run

    def interrupted(*a):
        record(*a)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record_run", interrupted)
        assert main(command) == 130 and len(Ledger(tmp_path).read("runs")) == 1
    assert main(command) == 0
    table = Ledger(tmp_path).read("runs")
    assert list(table.status) == ["complete"] * 2 and set(table.attention) == {"none"}


def test_a_sweep_that_is_told_to_end_says_so_and_leaves_nothing_behind(tmp_path):
    """SIGTERM, as `kill`, `timeout` and a cluster send it, while two processes train."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tsattn", "sweep", "--dataset", SYNTHETIC, "--seeds", "9", "--jobs",
         "2", "--results", str(tmp_path)], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while "missing" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(3)  # in which its processes start
    process.terminate()
    assert process.communicate(timeout=60)[1].rstrip().endswith(
        "interrupted; the same command continues from here")
    assert process.returncode == 130


@pytest.mark.parametrize("command", ["report", "sweep", "verify"])
def test_without_the_rest_of_the_repository_it_is_said_in_one_sentence(
        command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tsattn.ledger.ROOT", tmp_path)  # of a package that pip has installed
    assert main([command]) == 2
    said = capsys.readouterr().err
    assert "clone the repository" in said and len(said.splitlines()) == 1
    with pytest.raises(LedgerError, match="clone the repository"):
        Ledger()
    assert Ledger(tmp_path / "mine").read("runs").empty and not list(tmp_path.iterdir())


def test_full_shared_memory_is_named_and_one_run_at_a_time_needs_none(
        tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tsattn.sweep.ProcessPoolExecutor", full)
    command = ["sweep", *SMOKE, "--seeds", "1", "--attentions", "zero", "mean",
               "--results", str(tmp_path)]
    assert main([*command, "--jobs", "2"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "/dev/shm is full" in said and "--jobs 1" in said
    assert main([*command, "--jobs", "1"]) == 0 and len(Ledger(tmp_path).read("runs")) == 2


SMALL = {  # chapter 1: on a series of one's own (test_own_series)
    "02_attention_perturbation": dict(seeds=[1, 2], smoothings=[0.0, 1.0], noises=[0.0, 2.0],
                                      sizes=[1.0], grid_windows=8),
    "03_positional_encoding": dict(seeds=[1, 2], permutations=2),
    "04_patch_length": dict(seeds=[1, 2], patch_lens=[84, 336]),
    "05_toy_dataset": dict(seeds=[1], attentions=["softmax", "zero"], patch_lens=[336],
                           windows=32, more_windows=400),
    "06_where_attention_works": dict(seeds=[1], attentions=["softmax", "zero"], pairs=[2],
                                     shares=[1], windows=32),
}


@pytest.mark.chapter
@pytest.mark.parametrize("name", SMALL)
def test_a_chapter_trains_and_measures_what_its_parameters_ask(name, etth1, tmp_path, monkeypatch):
    """Its code cells, run here; no figure is saved. A second time nothing is to be trained."""
    monkeypatch.setattr("tsattn.chapter.Chapter.show", lambda *_, **__: None)
    names: dict = {"display": lambda *_: None}
    path = ROOT / "notebooks" / f"{name}.ipynb"
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= dict(profile="smoke", results_dir=str(tmp_path), figures_dir=str(tmp_path))
            names |= SMALL[name]
    plt.close("all")
    tally, runs = names["c"].ledger.tally, Ledger(tmp_path).read("runs")
    assert set(runs.status) == {"complete"} and set(runs.seed) <= {1, 2, 2021} and len(runs) >= 4
    assert tally["runs trained"] == len(runs) and tally["measurements made"]
    chapter = read(path)
    chapter.values = SMALL[name] | {"profile": "smoke"}
    assert needed(chapter, Ledger(tmp_path)) == []


@pytest.mark.parametrize("profile", ["quick", "smoke"])
def test_without_the_data_every_chapter_asks_for_synthetic_series(profile, tmp_path, monkeypatch):
    def absent(name, data_dir=None):
        raise DataUnavailable(f"{name}: no network")

    monkeypatch.setattr("tsattn.data.find", absent)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        chapter = read(path)
        chapter.values = {"profile": profile}
        assert needed(chapter, Ledger(tmp_path)) is not None, path
        assert not {s.dataset for s in chapter.asked} & set(SERIES), path


def test_committed_notebooks_are_executed_small_and_free_of_local_paths():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert path.stat().st_size < 1e6, path
        assert all(c.execution_count for c in notebook.cells if c.cell_type == "code"), path
        outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
        assert not any(o.output_type == "error" for o in outputs), path
        assert not re.search(r"/(home|root|tmp|Users|work)/", json.dumps(outputs)), path
        parameters = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
        assert "paper" in parameters[0].source, path


def test_a_step_is_timed_beside_its_products_which_are_those_of_the_model():
    """By the functions of appendix B; work of the products against PyTorch's own counter."""
    B = defined(ROOT / "notebooks" / "B_cost.ipynb")
    runs = {a: make("smoke", attention=a) for a in ATTENTIONS}
    for attention, s in runs.items():
        listed = sum(m * k * n for m, k, n in B.products(s, 1)) / s.batch_size
        assert listed == pytest.approx(count_multiply_adds(s), rel=0.01), attention
    B.in_turns.__globals__["THREADS"] = 1  # other tests run beside this one
    times, floors = B.fresh(B.in_turns, runs)
    assert len(times) == 8 and (times[list(runs)] > 0).all(axis=None) and min(floors.values()) > 0
    assert all(v > 0 for v in B.fresh(B.peak, runs["zero"], B.stepper, 1).values())

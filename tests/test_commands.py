"""The command line and the report, as a user calls them."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from tsattn.data import SYNTHETIC
from tsattn.ledger import ROOT, Ledger
from tsattn.__main__ import main
from tsattn.report import clean, report

SMOKE = ["--profile", "smoke", "--dataset", SYNTHETIC]


def test_run_prints_one_json_line_last(tmp_path, capsys):
    assert main(["run", "--attention", "zero", *SMOKE, "--results", str(tmp_path)]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    row = Ledger(tmp_path).read("runs").iloc[0]
    assert last["run_id"] == row.run_id and last["test_mse"] == row.test_mse and last["test_mae"] == row.test_mae


@pytest.mark.parametrize("arguments, words", [
    (["run", "--pred-len", "0"], "pred_len=0"), (["run", "--d-model", "130"], "n_heads=16: must divide d_model=130"),
    (["run", "--patch-len", "999"], "patch_len=999"), (["run", "--attention", "linear"], "attention='linear'"),
    (["run", "--dataset", "nowhere.csv"], "nowhere.csv: no such file"),
    (["run", "--dataset", "ETTh1", "--data-dir", "/nowhere"], "/nowhere: no such folder"),
    (["report", "--only", "77"], "--only 77: no such chapter"),
    (["report", "-p", "colour", "red"], "-p colour: no chapter has this parameter")])
def test_bad_input_gets_one_sentence_and_a_non_zero_exit(arguments, words, tmp_path, capsys):
    results = ["--results", str(tmp_path)] if arguments[0] == "run" else []
    assert main(arguments + results) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_a_failed_run_has_a_non_zero_exit(tmp_path, capsys):
    assert main(["run", *SMOKE, "--learning-rate", "1e9", "--norm", "layer", "--revin", "false",
                 "--results", str(tmp_path)]) == 1
    assert "not finite" in capsys.readouterr().err


def test_an_interrupted_sweep_continues(tmp_path):
    command = [sys.executable, "-m", "tsattn", "sweep", *SMOKE, "--attentions", "zero", "mean", "identity", "--seeds", "1",
               "2", "--jobs", "2", "--epochs", "20", "--patience", "20", "--max-steps", "20", "--results", str(tmp_path)]
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.time() + 120
    while not (tmp_path / "runs.csv").exists() and first.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(60) != 0
    done = len(Ledger(tmp_path).read("runs"))
    assert 1 <= done < 6
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    table = Ledger(tmp_path).read("runs")
    assert len(table) == 6 and set(table.status) == {"complete"}


def executed(tmp_path, *only, **parameters):
    parameters = {"results_dir": str(tmp_path / "results"), "figures_dir": str(tmp_path / "figures"), **parameters}
    assert report(list(only), "smoke", parameters, in_place=False) == 0
    path = next((ROOT / "build" / "report").glob(f"{only[0]}_*.ipynb"))
    return nbformat.read(path, as_version=4)


def text(notebook):
    return json.dumps([c.get("outputs", []) for c in notebook.cells])


def test_chapter_1_executes_on_etth1_and_follows_its_parameters(etth1, tmp_path):
    notebook = executed(tmp_path, "01", attentions=["softmax", "zero"], pred_len=192)
    shown = text(notebook)
    assert "SMOKE PROFILE" in shown and "336 \\u2192 192" in shown and SYNTHETIC not in shown
    runs = Ledger(tmp_path / "results").read("runs")
    assert set(runs.attention) == {"softmax", "zero"} and set(runs.pred_len) == {192} and len(runs) == 4
    assert all(f"{v:.4f}" in shown for v in runs.test_mse)
    figures = {p.name for p in (tmp_path / "figures").iterdir()}
    assert {"01_mse_by_attention.png", "01_mse_by_attention.svg", "01_learning_curves.png"} <= figures
    again = text(executed(tmp_path, "01", attentions=["softmax", "zero"], pred_len=192))
    assert "4 runs read" in again and "runs trained" not in again


def test_chapter_4_executes_on_etth1(etth1, tmp_path):
    shown = text(executed(tmp_path, "04", patch_lens=[84, 336], seeds=[1, 2]))
    runs = Ledger(tmp_path / "results").read("runs")
    assert set(runs.n_tokens) == {4, 1} and len(runs) == 8 and "SMOKE PROFILE" in shown


def test_chapter_5_executes_and_trains_both_tasks(tmp_path):
    shown = text(executed(tmp_path, "05", seeds=[1], attentions=["softmax", "zero"], patch_lens=[336], pairs=[2], shares=[1],
                          windows=32))
    runs = Ledger(tmp_path / "results").read("runs")
    assert runs.groupby("dataset").attention.nunique().to_dict() == {"state-machine": 2, "recall-2": 2, "dial-1": 2}
    assert "SMOKE PROFILE" in shown and "SYNTHETIC DATA" not in shown and "8 runs trained" in shown


def test_chapter_6_executes_with_another_embedding(tmp_path):
    shown = text(executed(tmp_path, "06", seeds=[1], datasets=["state-machine"], embeddings=["linear", "mlp"], windows=32,
                          probe_windows=20))
    runs = Ledger(tmp_path / "results").read("runs")
    assert set(runs.embedding) == {"linear", "mlp"} and len(runs) == 4 and "SMOKE PROFILE" in shown


def test_committed_notebooks_are_executed_small_and_free_of_local_paths():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert path.stat().st_size < 2e6, path
        assert all(c.execution_count for c in notebook.cells if c.cell_type == "code"), path
        assert not any(o.output_type == "error" for c in notebook.cells for o in c.get("outputs", [])), path
        assert not re.search(r"/(home|root|tmp|Users|work)/", text(notebook)), path
        assert "paper" in [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])][0].source, path


def test_injected_parameters_are_shown_in_the_parameters_cell():
    cells = [nbformat.v4.new_code_cell("pred_len = 96  # steps\nseeds = None", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell("# Parameters\npred_len = 192\n", metadata={"tags": ["injected-parameters"]})]
    notebook = clean(nbformat.v4.new_notebook(cells=cells))
    assert [c.source for c in notebook.cells] == ["pred_len = 192  # steps\nseeds = None"]

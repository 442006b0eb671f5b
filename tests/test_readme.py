"""The commands of README and its Korean twin, typed as they stand there."""

import re
import shlex
import subprocess
import sys

import pytest
from own_csv import BASE

from tsattn import report as report_module
from tsattn import slides
from tsattn.__main__ import main, options
from tsattn.ledger import ROOT

PYTHON = ".venv/bin/python -m tsattn "


def lines():
    """Every line of a bash block, once, without its comment."""
    text = "".join((ROOT / name).read_text("utf-8") for name in ("README.md", "README.ko.md"))
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    found = (re.split(r"(?:^|\s)#", line)[0].strip() for line in "".join(blocks).splitlines())
    return sorted(set(filter(None, found)))


@pytest.mark.parametrize("line", lines())
def test_every_command_is_one_that_there_is(line):
    if line.startswith("make "):
        subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, check=True,
                       capture_output=True)
    else:
        assert line.startswith(PYTHON)
        asked = options().parse_args(shlex.split(line.removeprefix(PYTHON)))
        assert callable(asked.function)
        assert getattr(asked, "lang", "en") in slides.story.LANGUAGES


@pytest.fixture
def dry(monkeypatch, tmp_path):
    """What a report would train and execute; the working folder is empty."""
    done = {"trained": [], "executed": []}

    def execute(chapters, *_):
        done["executed"] += [c.label for c in chapters]
        for c in chapters:
            c.state = "done"

    monkeypatch.setattr(report_module, "sweep", lambda runs, **_: done["trained"].extend(runs))
    monkeypatch.setattr(report_module, "execute", execute)
    monkeypatch.setattr("tsattn.ledger.OWN", tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    return done


@pytest.mark.parametrize("arguments", [shlex.split(line.removeprefix(PYTHON)) for line in lines()
                                       if line.startswith(f"{PYTHON}report")])
def test_a_rerun_trains_what_it_says_in_minutes(arguments, dry, tmp_path, capsys):
    BASE.to_csv("log.csv", index=False)
    assert main([*arguments, "--notebooks-only", "--output", str(tmp_path / "out")]) == 0
    said = re.sub("report:.*", "", capsys.readouterr().err)  # a bar, where it can move
    n, minutes, unit = re.fullmatch(
        r"reading the chapters and what is recorded \.\.\.\n(\d+) models to train, 1 chapter to "
        r"execute: about (\d+) (s|min) on \d+ cores?\s*", said).groups()
    runs, args = dry["trained"], options().parse_args(arguments)
    asked = dict(args.parameter)
    assert int(n) == len(runs) > 0 and (unit == "s" or int(minutes) < 10)
    assert {(s.profile, s.pred_len) for s in runs} == {("quick", int(asked["pred_len"]))}
    assert {"softmax", "zero"} <= {s.attention for s in runs}
    if args.only:
        assert dry["executed"] == args.only
        assert {s.attention for s in runs} == {"softmax", "zero", "none"}
        assert {s.epochs for s in runs} == {2}
    else:
        assert {s.dataset_name for s in runs} == {asked["dataset"]} and "C" in dry["executed"]


def test_tables_of_two_branches_that_each_recorded_runs_are_joined():
    said = subprocess.run(["git", "check-attr", "merge", "results/runs.csv", "results/new.csv"],
                          cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.count("merge: union") == 2


def test_the_first_words_come_soon():
    """In seconds of work, which other processes do not stretch."""
    psutil = pytest.importorskip("psutil")
    with subprocess.Popen([sys.executable, "-m", "tsattn", "report", "--only", "77"], cwd=ROOT,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("reading the chapters")
        spent = psutil.Process(process.pid).cpu_times()
        process.kill()
    assert spent.user + spent.system < 5


def test_the_rows_behind_a_number_are_found_as_shown():
    blocks = [re.search(r"^```python\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.M | re.S)[1]
              for name in ("README.md", "README.ko.md")]
    assert re.sub("#.*", "", blocks[0]) == re.sub("#.*", "", blocks[1])
    code, last = blocks[0].split("runs.groupby", 1)
    names: dict = {}
    exec(code, names)
    standard = names["found"].query("split == 'standard'").set_index("variant")
    assert list(standard.index) == ["identity", "zero", "mean", "fixed", "attention only"]
    assert [len(ids.split()) for ids in standard.run_ids] == [10, 10, 10, 10, 6]  # of both seeds
    mse = eval(f"runs.groupby{last}", names)
    assert f"{mse['softmax']:.3f}" == re.search(r"softmax: (.*)", last)[1]
    assert mse["zero"] / mse["softmax"] - 1 == pytest.approx(standard.change["zero"], abs=1e-6)


def test_what_is_said_to_be_in_the_code_is_there():
    for name, head in (("README.md", "## Where is what"), ("README.ko.md", "## 코드에서")):
        table = (ROOT / name).read_text("utf-8").partition(head)[2].partition("\n## ")[0]
        paths = [path for cell in re.findall(r"^\| (`.*?) \|", table, re.M)
                 for path in re.findall("`(.*?)`", cell)]
        assert len(paths) > 10
        assert [path for path in paths if not (ROOT / "tsattn" / path).exists()] == []

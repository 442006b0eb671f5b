"""The report command: what it checks, says, executes side by side, and leaves behind."""

import re

import matplotlib.pyplot as plt
import nbformat
import pytest

from tsattn import numbers, site
from tsattn import report as report_module
from tsattn.__main__ import main
from tsattn.chapter import checked, start
from tsattn.ledger import OWN, RESULTS, Ledger, LedgerError
from tsattn.report import report
from tsattn.settings import ROOT, make

RUNS = """from tsattn.settings import make
runs = [make(profile, dataset="state-machine", pred_len=pred_len, seed=s) for s in seeds]"""
PARAMETERS = 'pred_len = 96  # steps\nseeds = [1]\nprofile = "paper"'
DRAWS = PARAMETERS + '\ntrain_minutes = 5\nfigures_dir = "../figures"'
SAVE = """import pathlib; p = pathlib.Path(figures_dir); p.mkdir(exist_ok=True)
(p / '01_a.png').write_text('new')"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that the report takes for its checkout."""
    for name in ("notebooks", "figures", "results"):
        (tmp_path / name).mkdir()
    for name in ("README.md", "README.ko.md"):
        (tmp_path / name).write_text("# Start\n\n[one](notebooks/01_one.ipynb)\n")
    for module in (report_module, site):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    here = [tmp_path / "results"]
    monkeypatch.setattr(report_module, "Ledger", lambda *a, **options: Ledger(*(a or here)))
    return tmp_path


def write(checkout, name, *code, parameters=PARAMETERS):
    """A chapter: a title, its parameters, and cells ``code``; a pair is (tag, source)."""
    cells = [nbformat.v4.new_markdown_cell(f"# {name}"),
             nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    for part in code:
        tag, source = part if isinstance(part, tuple) else ("", part)
        new = nbformat.v4.new_markdown_cell if tag == "reading" else nbformat.v4.new_code_cell
        cells.append(new(source, metadata={"tags": [tag] if tag else []}))
    metadata = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    path = checkout / "notebooks" / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def executed(checkout, name="01_one"):
    return nbformat.read(checkout / "build" / "notebooks" / f"{name}.ipynb", as_version=4)


def printed(checkout, name="01_one"):
    """What the last cell of an executed chapter says."""
    return executed(checkout, name).cells[-1].outputs[0].text


def call(checkout, only=(), profile=None, parameters=None, in_place=False, **options):
    options = {"with_site": False, "build": checkout / "build"} | options
    return report(list(only), profile, parameters or {}, in_place, **options)


@pytest.mark.parametrize("name, value, default, form", [
    ("seeds", [1, 1], None, "seeds = [1, 1]: must be a list of different"),
    ("seeds", [10**20], None, "whole numbers from 0 to 4294967295"),
    ("attentions", ["linear"], ["softmax"], "some of softmax, identity, zero, mean, fixed"),
    ("learning_rate", "fast", 1e-3, "learning_rate = 'fast': must be a number"),
    ("pred_len", 96.5, 96, "pred_len = 96.5: must be a whole number"),
    ("pred_len", True, 96, "pred_len = True: must be a whole number"),
    ("patch_lens", 16, [4, 8], "patch_lens = 16: must be a list, e.g. [4, 8]"),
    ("patch_lens", ["a"], [4, 8], "patch_lens = 'a': must be a whole number"),
    ("dataset", 7, "ETTh1", "dataset = 7: must be text"),
    ("reads", "yes", True, "reads = 'yes': must be true or false"),
    ("profile", "tiny", "paper", "profile = 'tiny': must be one of paper, quick, smoke"),
])
def test_a_wrong_parameter_gets_the_right_form(name, value, default, form):
    with pytest.raises(ValueError) as error:
        checked(name, value, default)
    assert form in str(error.value) and "\n" not in str(error.value)


def test_text_of_a_number_is_a_number():
    for value, default, right in (("1e-3", 1e-4, 0.001), ("192", 96, 192), (192.0, 96, 192),
                                  ([0, "0.5"], [0, 0.05, 1], [0, 0.5]), (["8"], [4], [8])):
        found = checked("any", value, default)
        assert found == right and type(found) is type(right)
    assert checked("seeds", [3, 1]) == [3, 1] and checked("seeds", None) is None


def test_parameters_are_checked_before_anything_runs(checkout):
    mark = checkout / "ran"
    write(checkout, "01_one", f"open({str(mark)!r}, 'w')")
    write(checkout, "02_two", ("runs", RUNS), f"open({str(mark)!r}, 'w')")
    for words, asked in [
            ("seeds = 3: must be a list", dict(parameters={"seeds": 3})),
            ("-p colour: no chapter has this parameter", dict(parameters={"colour": 1})),
            ("-p profile smoke: --profile says quick",
             dict(parameters={"profile": "smoke"}, profile="quick")),
            ("02_two: pred_len=-1", dict(parameters={"pred_len": -1})),
            ("is not empty, and no report has written what is in it", dict(build=checkout)),
            ("--only 09: no such chapter in notebooks/; there are 01, 02", dict(only=["09"]))]:
        with pytest.raises(ValueError, match=words):
            call(checkout, **asked)
    assert not mark.exists() and not (checkout / "build").exists()


def test_whatever_a_parameter_breaks_is_one_sentence(checkout):
    write(checkout, "01_one", ("runs", "runs = [{}['foo']]"))
    with pytest.raises(ValueError, match="01_one: KeyError 'foo'"):
        call(checkout)


def test_options_reach_the_chapters(checkout, monkeypatch):
    for name in ("01_one", "C_own"):
        write(checkout, name, "print(seeds, profile, dataset)",
              parameters=PARAMETERS + '\ndataset = "ETTh1"')
    (checkout / "mine").mkdir()
    (file := checkout / "mine" / "robot.csv").write_text("date,a\n")
    monkeypatch.chdir(file.parent)  # a data file belongs to the folder of the call
    assert main(["report", "-p", "seeds", "[4, 5]", "-p", "profile", "smoke", "--notebooks-only",
                 "-p", "dataset", "robot.csv", "--only", "01", "--output", "../build"]) == 0
    assert printed(checkout) == printed(checkout, "C_own") == f"[4, 5] smoke {file}\n"
    with pytest.raises(ValueError, match="-p dataset other.csv: no such file"):
        call(checkout, parameters={"dataset": "other.csv"})


def test_failed_killed_and_unreadable_chapters_do_not_stop_the_others(checkout, capsys):
    write(checkout, "01_empty", "raise ValueError()")
    write(checkout, "02_killed", "import os; os.kill(os.getpid(), 9)")
    (checkout / "notebooks" / "03_broken.ipynb").write_text("{")
    write(checkout, "A_fine", "print('well')")
    assert call(checkout) == 1
    lines = {line.split(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert re.search(r"FAILED in cell \d: ValueError, ", lines["01_empty"])
    assert "FAILED: Kernel died" in lines["02_killed"]
    assert "FAILED: the notebook cannot be read" in lines["03_broken"]
    assert "done" in lines["A_fine"] and printed(checkout, "A_fine") == "well\n"


@pytest.fixture
def limits(monkeypatch):
    """The minutes that each chapter may train, none of which is executed."""
    found = []

    def run(chapter, work, limit):
        chapter.state = "done"
        found.append(limit)

    monkeypatch.setattr(report_module, "run", run)
    return found


def test_what_takes_long_is_said_and_not_trained_unasked(checkout, capsys, monkeypatch, limits):
    trained = []
    monkeypatch.setattr(report_module, "sweep",
                        lambda runs, **_: trained.extend([len(runs)] * bool(runs)))
    monkeypatch.setattr(report_module, "seconds_expected",
                        lambda runs, *_, **__: [1800.0] * len(runs))
    monkeypatch.setattr(report_module, "cores", lambda: 1)
    for name in ("01_one", "02_two"):  # both need the same two runs
        write(checkout, name, ("runs", RUNS))
    asked = {"seeds": [1, 2]}
    assert call(checkout, parameters=asked) == 0 and trained == [] and limits == [0, 0]
    said = capsys.readouterr().err
    assert "01_one: 2 runs are not recorded" in said
    assert "Training 2 models takes about 60 min" in said and "add --train, or --within 60" in said
    assert "\n2 chapters to execute: about 30 s on 1 core\n" in said
    assert call(checkout, only=["01"], parameters=asked, within=60) == 0 and trained == [2]
    assert call(checkout, only=["01"], parameters=asked, train=True) == 0 and trained == [2, 2]

    def cannot(runs, **_):
        raise LedgerError("cannot be written")

    monkeypatch.setattr(report_module, "sweep", cannot)
    assert call(checkout, only=["01"], train=True) == 0
    assert "Nothing can be trained: cannot be written" in capsys.readouterr().err
    assert limits[2:] == [60, None, 0]


def test_a_page_says_what_of_it_is_not_run(tmp_path):
    chapter = report_module.Chapter(ROOT / "notebooks" / "01_x.ipynb", state="done",
                                    defaults={"pred_len": 96}, values={"pred_len": 192},
                                    todo=[make("quick", pred_len=192)])
    page = report_module.page_of(chapter, Ledger(tmp_path))
    other, left = page.notices
    assert "computed with pred_len = 192. The report itself has pred_len = 96." in other
    assert "1 of its runs are not recorded. To train them, add --train" in left and page.aside


def test_other_settings_set_the_reading_aside_and_leave_other_chapters(checkout, limits):
    write(checkout, "01_one", ("reading", "Softmax wins."), "1")
    write(checkout, "02_two", "1", parameters='profile = "paper"')
    assert call(checkout, parameters={"pred_len": 192}) == 0
    reading = executed(checkout).cells[2].source
    assert reading.startswith("*The reading that stands here was written for the report's own")
    assert not (checkout / "build" / "notebooks" / "02_two.ipynb").exists()
    assert call(checkout) == 0
    assert executed(checkout).cells[2].source == "Softmax wins."


def test_in_place_replaces_notebook_and_figures_together(checkout, monkeypatch):
    path = write(checkout, "01_one", ("reading", "Written."), SAVE,
                 "print(pred_len, train_minutes)", parameters=DRAWS)
    (figure := checkout / "figures" / "01_a.png").write_text("old")
    failed = write(checkout, "02_fails", "1/0")
    before, unchanged = path.read_bytes(), failed.read_bytes()
    with pytest.raises(ValueError, match="add --overwrite-committed"):
        call(checkout, profile="smoke", in_place=True)

    def full(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(report_module.nbformat, "write", full)
        with pytest.raises(OSError, match="disk full"):
            call(checkout, in_place=True)
    assert path.read_bytes() == before and figure.read_text() == "old"
    assert call(checkout, profile="smoke", in_place=True, overwrite=True) == 1
    assert failed.read_bytes() == unchanged
    new = nbformat.read(path, as_version=4)
    assert new.cells[2].source == "Written." and new.cells[-1].outputs[0].text == "96 10\n"
    assert "smoke" in new.cells[1].source and '"../figures"' in new.cells[1].source
    assert figure.read_text() == "new" and not list(checkout.rglob("*.tmp"))


def test_only_the_report_itself_replaces_what_the_report_says(checkout, monkeypatch):
    def run(chapter, work, limit):  # what a chapter leaves that ends with c.end()
        value = chapter.values.get("pred_len", 96)
        row = dict(name="hours", value=value, form="count", chapter="01_one")
        numbers.save([row], numbers.file(work / "figures", "01_one"))
        chapter.state = "done"

    monkeypatch.setattr(report_module, "run", run)
    write(checkout, "01_one", parameters=DRAWS)
    said, beside = (checkout / at / name for at, name in (
        ("results", "numbers.csv"), ("build/figures", "numbers-01_one.csv")))
    assert call(checkout) == 0 and not said.is_file()
    assert "hours,96,,,,count,,,01_one,," in beside.read_text()
    assert call(checkout, in_place=True) == 0 and "hours,96," in (first := said.read_text())
    for other in (dict(profile="smoke"), dict(parameters={"pred_len": 48})):
        assert call(checkout, in_place=True, overwrite=True, **other) == 0
        assert said.read_text() == first
    assert "hours,48," in beside.read_text() and not list((checkout / "figures").iterdir())


def test_a_site_that_cannot_be_built_leaves_the_executed_chapters(checkout, capsys, monkeypatch):
    write(checkout, "01_one", "print('well')")

    def fails(*_):
        raise SyntaxError("a package that does not fit this Python")

    monkeypatch.setattr(site, "sphinx", fails)
    monkeypatch.setattr(report_module, "decks", lambda *_: None)
    assert call(checkout, with_site=True) == 1
    said = capsys.readouterr().out
    assert "The site was not built (SyntaxError: a package that does not fit this Python)" in said
    assert f"read it: {checkout / 'build' / 'notebooks'}" in said
    assert printed(checkout) == "well\n"


def test_a_chapter_begins_with_one_call(tmp_path, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("tsattn.chapter.display",
                        lambda words, metadata=None: shown.append(metadata or words.data))
    c = start("smoke", dataset="state-machine", results_dir=tmp_path, train_minutes=0)
    table = c.sweep([make("smoke", dataset=c.dataset, seed=s) for s in c.seeds])
    c.end()
    assert "SMOKE PROFILE" in shown[0] and shown[1].startswith("**Not run yet:** 2 models.")
    assert table.empty and "test_mse" in table
    said = capsys.readouterr().out
    assert said.startswith("2 of 2 runs are missing: about ")
    assert "Nothing is trained; the command that made this page, with --train, does it." in said
    assert "\nProvenance: nothing trained" in said

    c.figures_dir = tmp_path / "figures"
    c.show(plt.figure(), "01_bars", "What *it* means.", "Two bars, equally high.")
    assert shown[2:] == [{"image/png": {"alt": "Two bars, equally high."}},
                         {"text/markdown": {"caption": True}}]
    assert (tmp_path / "figures" / "01_bars.png").is_file()


def test_folders_left_empty_are_those_of_the_checkout_wherever_a_notebook_is_called(
        tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tsattn.ledger.OWN", OWN)
    c = start("smoke", dataset="state-machine")
    drawn = ROOT / "build" / "figures"  # figures/ is what report --in-place replaces, and it alone
    assert (c.ledger.folder, c.ledger.own, c.figures_dir) == (RESULTS, OWN, drawn)
    assert c.ledger.folder.is_absolute() and not list(tmp_path.iterdir())

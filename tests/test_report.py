"""The report command: what it checks, says, executes side by side, and leaves behind."""

import html
import os
import re
import shlex
import subprocess
import sys
import time

import nbformat
import pytest

from tsattn import execution, site
from tsattn import report as report_module
from tsattn.__main__ import main, options
from tsattn.chapter import checked, start
from tsattn.checkpoints import alive
from tsattn.ledger import OWN, RESULTS, Ledger, LedgerError
from tsattn.report import report
from tsattn.settings import ROOT, make

RUNS = (
    "from tsattn.settings import make\n"
    'runs = [make(profile, dataset="state-machine", pred_len=pred_len, seed=s) for s in seeds]'
)


def notebook(path, *code, parameters='pred_len = 96  # steps\nseeds = [1]\nprofile = "paper"'):
    """A chapter: a title, its parameters, and cells ``code``; a pair is (tag, source)."""
    cells = [
        nbformat.v4.new_markdown_cell(f"# {path.stem}"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
    ]
    for part in code:
        tag, source = part if isinstance(part, tuple) else ("", part)
        new = nbformat.v4.new_markdown_cell if tag == "reading" else nbformat.v4.new_code_cell
        cells.append(new(source, metadata={"tags": [tag] if tag else []}))
    metadata = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that the report takes for its checkout."""
    for name in ("notebooks", "figures", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("# Start\n\n[one](notebooks/01_one.ipynb)\n")
    for module in (report_module, execution, site):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    here = [tmp_path / "results"]
    monkeypatch.setattr(report_module, "Ledger", lambda *a, **options: Ledger(*(a or here)))
    return tmp_path


def executed(checkout, name):
    return nbformat.read(checkout / "build" / "notebooks" / f"{name}.ipynb", as_version=4)


def call(checkout, only=(), profile="paper", parameters=None, in_place=False, **options):
    options = {"with_site": False} | options
    return report(
        list(only), profile, parameters or {}, in_place, build=checkout / "build", **options
    )


@pytest.mark.parametrize(
    "name, value, default, form",
    [
        ("seeds", 2021, None, "seeds = 2021: must be a list of different whole numbers"),
        ("seeds", [], None, "seeds = []: must be a list"),
        ("seeds", [1, 1], None, "seeds = [1, 1]: must be a list of different"),
        ("seeds", [10**20], None, "whole numbers from 0 to 4294967295"),
        ("attentions", "softmax", ["softmax"], "attentions = 'softmax': must be a list of some of"),
        ("attentions", ["linear"], ["softmax"], "softmax, identity, zero, mean, fixed"),
        ("learning_rate", "fast", 1e-3, "learning_rate = 'fast': must be a number"),
        ("learning_rate", float("nan"), 1e-3, "must be a number"),
        ("pred_len", 96.5, 96, "pred_len = 96.5: must be a whole number"),
        ("pred_len", True, 96, "must be a whole number"),
        ("patch_lens", 16, [4, 8], "patch_lens = 16: must be a list, e.g. [4, 8]"),
        ("patch_lens", ["a"], [4, 8], "patch_lens = 'a': must be a whole number"),
        ("dataset", 7, "ETTh1", "dataset = 7: must be text"),
        ("profile", "tiny", "paper", "profile = 'tiny': must be one of paper, quick, smoke"),
    ],
)
def test_a_wrong_parameter_gets_the_right_form(name, value, default, form):
    with pytest.raises(ValueError) as error:
        checked(name, value, default)
    assert form in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, value, default, right",
    [
        ("learning_rate", "1e-3", 1e-4, 0.001),
        ("pred_len", "192", 96, 192),
        ("pred_len", 192.0, 96, 192),
        ("seeds", [3, 1], None, [3, 1]),
        ("seeds", None, None, None),
        ("shares", [0, "0.5"], [0, 0.05, 1], [0, 0.5]),
    ],
)
def test_text_of_a_number_is_a_number(name, value, default, right):
    found = checked(name, value, default)
    assert found == right and type(found) is type(right)


def test_parameters_are_checked_before_anything_runs(checkout, capsys):
    mark = checkout / "ran"
    notebook(checkout / "notebooks" / "01_one.ipynb", f"open({str(mark)!r}, 'w')")
    notebook(checkout / "notebooks" / "02_two.ipynb", ("runs", RUNS), f"open({str(mark)!r}, 'w')")
    for parameters, words in [
        ({"seeds": 3}, "seeds = 3: must be a list"),
        ({"colour": 1}, "-p colour: no chapter has this parameter"),
        ({"pred_len": -1}, "02_two: pred_len=-1"),
    ]:
        with pytest.raises(ValueError, match=words):
            call(checkout, parameters=parameters)
    with pytest.raises(
        ValueError, match="--only 09: no such chapter in notebooks/; there are 01, 02"
    ):
        call(checkout, only=["09"])
    assert not mark.exists() and not list(checkout.glob(".build*"))


def test_the_profile_may_be_given_as_a_parameter(checkout):
    notebook(checkout / "notebooks" / "01_one.ipynb", "print(profile)")
    assert call(checkout, parameters={"profile": "smoke"}) == 0
    assert executed(checkout, "01_one").cells[-1].outputs[0].text == "smoke\n"
    with pytest.raises(ValueError, match="--profile quick and -p profile differ"):
        call(checkout, profile="quick", parameters={"profile": "smoke"})


def test_a_data_file_belongs_to_the_folder_of_the_call(checkout, tmp_path, monkeypatch):
    notebook(
        checkout / "notebooks" / "01_one.ipynb", "print(dataset)", parameters='dataset = "ETTh1"'
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "robot.csv").write_text("date,a\n")
    monkeypatch.chdir(tmp_path / "mine")
    assert call(checkout, parameters={"dataset": "robot.csv"}) == 0
    shown = executed(checkout, "01_one").cells[-1].outputs[0].text
    assert shown == f"{tmp_path / 'mine' / 'robot.csv'}\n"
    with pytest.raises(ValueError, match="-p dataset other.csv: no such file"):
        call(checkout, parameters={"dataset": "other.csv"})


def test_failed_killed_and_unreadable_chapters_do_not_stop_the_others(checkout, capsys):
    notebook(checkout / "notebooks" / "01_empty.ipynb", "raise ValueError()")
    notebook(checkout / "notebooks" / "02_killed.ipynb", "import os; os.kill(os.getpid(), 9)")
    (checkout / "notebooks" / "03_broken.ipynb").write_text("{")
    notebook(checkout / "notebooks" / "A_fine.ipynb", "print('well')")
    assert call(checkout) == 1
    lines = {
        line.split(":")[0]: line for line in capsys.readouterr().out.splitlines() if ":" in line
    }
    assert re.search(r"FAILED in cell \d: ValueError, ", lines["01_empty"])
    assert "FAILED: Kernel died" in lines["02_killed"]
    assert "FAILED: the notebook cannot be read" in lines["03_broken"]
    assert "done" in lines["A_fine"]
    assert executed(checkout, "A_fine").cells[-1].outputs[0].text == "well\n"


def test_chapters_run_side_by_side(checkout):
    if report_module.cores() < 2:
        pytest.skip("one core")
    wait = (
        "import time, pathlib\npathlib.Path('{me}').write_text('')\n"
        "end = time.time() + 60\n"
        "while not pathlib.Path('{other}').exists() and time.time() < end: time.sleep(.1)\n"
        "assert pathlib.Path('{other}').exists()"
    )
    a, b = checkout / "a", checkout / "b"
    notebook(checkout / "notebooks" / "01_a.ipynb", wait.format(me=a, other=b))
    notebook(checkout / "notebooks" / "02_b.ipynb", wait.format(me=b, other=a))
    assert call(checkout) == 0


def test_what_takes_long_is_said_and_not_trained_unasked(checkout, capsys, monkeypatch):
    trained = []
    monkeypatch.setattr(report_module, "sweep",
                        lambda runs, **_: trained.extend([len(runs)] * bool(runs)))
    monkeypatch.setattr(report_module, "seconds_expected",
                        lambda runs, *_, **__: [1800.0] * len(runs))
    monkeypatch.setattr(report_module, "cores", lambda: 1)
    parameters = 'pred_len = 96\nseeds = [1, 2]\nprofile = "paper"\ntrain_minutes = 10'
    for name in ("01_one", "02_two"):  # both need the same two runs
        notebook(
            checkout / "notebooks" / f"{name}.ipynb",
            ("runs", RUNS),
            "print(train_minutes)",
            parameters=parameters,
        )
    assert call(checkout) == 0 and trained == []
    said = capsys.readouterr().err
    assert "01_one: 2 runs are not recorded" in said
    assert "Training 2 models takes about 60 min" in said and "add --train, or --within 60" in said
    assert "\n2 chapters to execute: about 30 s on 1 core\n" in said
    assert executed(checkout, "01_one").cells[-1].outputs[0].text == "0\n"
    box = report_module.page_of(
        report_module.Chapter(
            checkout / "notebooks" / "01_one.ipynb", state="done", todo=[make("paper", seed=1)]
        )
    )
    assert "python -m tsattn report --only 01 --train" in box.notices[0]
    assert call(checkout, only=["01"], within=60) == 0 and trained == [2]
    assert executed(checkout, "01_one").cells[-1].outputs[0].text == "60\n"
    assert call(checkout, only=["01"], train=True) == 0 and trained == [2, 2]
    assert executed(checkout, "01_one").cells[-1].outputs[0].text == "None\n"


def test_the_box_names_the_runs_of_this_page_and_their_ledger(tmp_path):
    usual = {"pred_len": 96, "profile": "paper", "results_dir": "", "figures_dir": ""}
    given = {"pred_len": 192, "profile": "quick", "results_dir": str(tmp_path / "my r")}
    chapter = report_module.Chapter(
        ROOT / "notebooks" / "01_attention_replacement.ipynb",
        defaults=usual,
        values=given | {"figures_dir": str(tmp_path)},
        state="done",
        todo=[make("quick", pred_len=192)],
    )
    command = execution.command([chapter], "--only 01", "--train")
    assert html.escape(command) in report_module.page_of(chapter).notices[-1]
    args = options().parse_args(shlex.split(command.removeprefix("python -m tsattn ")))
    assert args.profile == "quick" and args.train and args.only == ["01"]
    assert args.parameter == [["pred_len", "192"], ["results_dir", str(tmp_path / "my r")]]


@pytest.mark.parametrize("error", [OSError("no network"), LedgerError("cannot be written")])
def test_where_nothing_can_be_trained_the_report_shows_what_is_recorded(
    checkout, capsys, monkeypatch, error
):
    def cannot(runs, **_):
        raise error

    monkeypatch.setattr(report_module, "sweep", cannot)
    notebook(
        checkout / "notebooks" / "01_one.ipynb",
        ("runs", RUNS),
        "print(train_minutes)",
        parameters='pred_len = 96\nseeds = [1]\nprofile = "paper"\ntrain_minutes = 10',
    )
    assert call(checkout, train=True) == 0
    assert f"Nothing can be trained: {error}" in capsys.readouterr().err
    assert executed(checkout, "01_one").cells[-1].outputs[0].text == "0\n"


def test_other_settings_set_the_reading_aside_and_leave_other_chapters(checkout):
    notebook(checkout / "notebooks" / "01_one.ipynb", ("reading", "Softmax wins."), "1")
    notebook(checkout / "notebooks" / "02_two.ipynb", "1", parameters='profile = "paper"')
    assert call(checkout, parameters={"pred_len": 192}) == 0
    reading = executed(checkout, "01_one").cells[2].source
    assert reading.startswith("*The reading that stands here was written for `pred_len = 96`")
    assert not (checkout / "build" / "notebooks" / "02_two.ipynb").exists()
    assert call(checkout) == 0
    assert executed(checkout, "01_one").cells[2].source == "Softmax wins."


SAVE = (
    "import pathlib; p = pathlib.Path(figures_dir); p.mkdir(exist_ok=True); "
    "(p / '01_a.png').write_text('new')"
)


def test_in_place_replaces_notebook_and_figures_together(checkout, monkeypatch):
    path = checkout / "notebooks" / "01_one.ipynb"
    notebook(
        path,
        ("reading", "Written."),
        SAVE,
        "print(pred_len)",
        parameters='pred_len = 96\nfigures_dir = "../figures"\nprofile = "paper"',
    )
    (checkout / "figures" / "01_a.png").write_text("old")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="add --overwrite-committed"):
        call(checkout, profile="smoke", in_place=True)

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(report_module.nbformat, "write", full)
    with pytest.raises(OSError, match="disk full"):
        call(checkout, in_place=True)
    assert path.read_bytes() == before and (checkout / "figures" / "01_a.png").read_text() == "old"
    monkeypatch.undo()


def test_in_place_keeps_what_was_written(checkout):
    path = checkout / "notebooks" / "01_one.ipynb"
    notebook(
        path,
        ("reading", "Written."),
        SAVE,
        "print(pred_len)",
        parameters='pred_len = 96\nfigures_dir = "../figures"\nprofile = "paper"',
    )
    assert call(checkout, profile="smoke", in_place=True, overwrite=True) == 0
    new = nbformat.read(path, as_version=4)
    assert new.cells[2].source == "Written." and new.cells[-1].outputs[0].text == "96\n"
    assert "smoke" in new.cells[1].source and '"../figures"' in new.cells[1].source
    assert (checkout / "figures" / "01_a.png").read_text() == "new"
    assert not list(checkout.rglob("*.tmp")) and not list(checkout.glob(".build*"))


def test_only_the_report_itself_replaces_what_the_report_says(checkout):
    notebook(
        checkout / "notebooks" / "01_one.ipynb",
        "from tsattn import chapter\n"
        "c = chapter.start(profile, name='01_one', figures_dir=figures_dir)\n"
        "c.number('hours', pred_len, form='count')\n"
        "c.end()",
        parameters='pred_len = 96\nfigures_dir = ""\nprofile = "paper"',
    )
    said, beside = (checkout / at / name for at, name in (
        ("results", "numbers.csv"), ("build/figures", "numbers-01_one.csv")))
    assert call(checkout) == 0 and not said.is_file()
    assert "hours,96,,,,count,,,01_one,," in beside.read_text()
    assert call(checkout, in_place=True) == 0 and "hours,96," in (first := said.read_text())
    for other in (dict(profile="smoke"), dict(parameters={"pred_len": 48})):
        assert call(checkout, in_place=True, overwrite=True, **other) == 0
        assert said.read_text() == first
    assert "hours,48," in beside.read_text() and not list((checkout / "figures").iterdir())


def test_a_failed_chapter_is_not_put_in_place(checkout):
    path = checkout / "notebooks" / "01_one.ipynb"
    notebook(path, "1/0")
    before = path.read_bytes()
    assert call(checkout, in_place=True) == 1 and path.read_bytes() == before


def test_what_killed_reports_left_is_removed(checkout):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    notebook(checkout / "notebooks" / "01_one.ipynb", "1")
    stale = checkout / "figures" / f".01_a.png.{gone.pid}.tmp"
    foreign = [
        checkout / "figures" / f".01_b.png.{os.getppid()}.tmp",
        checkout / f".build-{gone.pid}",
    ] + [
        checkout / folder / name
        for folder in ("notebooks", "figures")
        for name in (".x.tmp", "..tmp", ".tmp", f".01_a.png.{10**20}.tmp", f".b.{gone.pid}.tmp")
    ]
    for path in (stale, *foreign):
        path.write_text("")
    assert call(checkout) == 0
    assert not stale.exists() and all(p.exists() for p in foreign)


def test_a_site_that_cannot_be_built_leaves_the_executed_chapters(checkout, capsys, monkeypatch):
    notebook(checkout / "notebooks" / "01_one.ipynb", "print('well')")

    def fails(*_):
        raise SyntaxError("a package that does not fit this Python")

    monkeypatch.setattr(site, "sphinx", fails)
    monkeypatch.setattr(report_module, "decks", print)  # something that pickles
    assert call(checkout, with_site=True) == 1
    said = capsys.readouterr().out
    assert "The site was not built (SyntaxError: a package that does not fit this Python)" in said
    assert f"read it: {checkout / 'build' / 'notebooks'}" in said
    assert executed(checkout, "01_one").cells[-1].outputs[0].text == "well\n"


@pytest.mark.parametrize("options", [[], ["--notebooks-only"]])
def test_a_report_is_not_written_over_a_checkout(checkout, monkeypatch, capsys, options):
    notebook(checkout / "notebooks" / "01_one.ipynb", "open('../ran', 'w')")
    before = {p: p.read_bytes() for p in checkout.rglob("*") if p.is_file()}
    (checkout / "link").symlink_to(checkout / "notebooks")
    monkeypatch.chdir(checkout)
    for folder, why in [
        (".", "is not empty, and no report has written"),
        ("notebooks", "is not empty"),
        ("link", "is a link"),
        ("README.md", "is not a folder"),
    ]:
        assert main(["report", "--profile", "smoke", "--output", folder, *options]) == 2
        said = capsys.readouterr().err
        assert why in said and "with --output." in said and len(said.splitlines()) == 2
    assert {p: p.read_bytes() for p in checkout.rglob("*") if p.is_file()} == before


def test_the_commands_options_reach_the_report(checkout, capsys):
    assert main(["report", "--profile", "smoke", "--in-place", "--only", "77"]) == 2
    assert "--only 77: no such chapter" in capsys.readouterr().err
    notebook(checkout / "notebooks" / "01_one.ipynb", "print(seeds)")
    assert (
        main(
            [
                "report",
                "-p",
                "seeds",
                "[4, 5]",
                "--notebooks-only",
                "--output",
                str(checkout / "build"),
            ]
        )
        == 0
    )
    assert executed(checkout, "01_one").cells[-1].outputs[0].text == "[4, 5]\n"


def test_folders_left_empty_are_those_of_the_checkout_wherever_a_notebook_is_called(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tsattn.ledger.OWN", OWN)
    c = start("smoke", dataset="state-machine")
    drawn = ROOT / "build" / "figures"  # figures/ is what report --in-place replaces, and it alone
    assert (c.ledger.folder, c.ledger.own, c.figures_dir) == (RESULTS, OWN, drawn)
    assert c.ledger.folder.is_absolute() and not list(tmp_path.iterdir())


def test_a_chapter_begins_with_one_call(checkout, tmp_path):
    start = (
        "import matplotlib.pyplot as plt\nfrom tsattn import chapter\n"
        "from tsattn.settings import make\n"
        "c = chapter.start(profile, dataset='state-machine', seeds=seeds,\n"
        "                  results_dir=results_dir, figures_dir=figures_dir,\n"
        "                  train_minutes=train_minutes, pred_len=pred_len)\n"
        "table = c.sweep([make(profile, dataset=c.dataset, pred_len=pred_len, seed=s)\n"
        "                 for s in c.seeds])"
    )
    draw = (
        "fig, ax = plt.subplots()\n"
        "c.show(fig, '01_bars', 'What *it* means.', 'Two bars, equally high.')"
    )
    notebook(
        checkout / "notebooks" / "01_one.ipynb",
        start,
        draw,
        "c.end()",
        parameters='pred_len = 96\nseeds = None\nprofile = "paper"\nresults_dir = ""\n'
        'figures_dir = ""\ntrain_minutes = 10',
    )
    results = {"results_dir": str(tmp_path / "empty"), "train_minutes": 0}
    assert call(checkout, profile="smoke", parameters=results) == 0
    begun, drawn, end = executed(checkout, "01_one").cells[-3:]
    words, time, left_out = (o.get("text") or o.data["text/markdown"] for o in begun.outputs)
    assert "SMOKE PROFILE" in words and left_out.startswith("**Not run yet:** 2 models.")
    assert time.startswith("2 of 2 runs are missing: about ")
    assert "Nothing is trained; `python -m tsattn report --train` does it." in time
    image, caption = drawn.outputs
    assert image.metadata["image/png"]["alt"] == "Two bars, equally high."
    assert (
        caption.data["text/markdown"] == "What *it* means."
        and caption.metadata["text/markdown"]["caption"]
    )
    assert end.outputs[0].text.startswith("Provenance: nothing trained")
    assert (checkout / "build" / "figures" / "01_bars.png").is_file()
    shown = site.figures_apart(drawn)
    assert [c.metadata.get("mystnb") for c in shown] == [
        None,
        {"image": {"alt": "Two bars, equally high."}, "figure": {"caption": "What *it* means."}},
    ]


def test_a_kernel_ends_with_the_process_that_started_it(tmp_path):
    script, pid = tmp_path / "start.py", tmp_path / "pid"
    waits = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    script.write_text(
        "import nbformat\nfrom nbclient import NotebookClient\nfrom tsattn import kernels\n"
        "if __name__ == '__main__':\n"
        f"    cell = nbformat.v4.new_code_cell({waits!r})\n"
        "    NotebookClient(nbformat.v4.new_notebook(cells=[cell]), **kernels.ready()).execute()\n"
    )
    first = subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (pid.is_file() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    first.kill()
    first.wait()
    while alive(int(pid.read_text())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(int(pid.read_text()))

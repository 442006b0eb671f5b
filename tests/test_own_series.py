"""The whole way for a series of one's own, and the sentences for each way it can come out."""

import dataclasses
import re
import shlex
from html import unescape

import nbformat
import numpy as np
import pandas as pd
import pytest
from own_csv import BASE, HOURS, N

from tsattn import own_series
from tsattn import report as report_module
from tsattn.__main__ import main
from tsattn.claims import judge
from tsattn.claims.rules import CANNOT_TELL, NO, YES, Found, Number
from tsattn.data import load
from tsattn.ledger import ROOT, Ledger
from tsattn.report import report
from tsattn.runs import attentions
from tsattn.settings import SEEDS
from tsattn.text import figure, with_interval

SEQ_LEN, PRED_LEN = 48, 24
NAME, CHANNEL = "mine $1$.csv", "load <b>kW</b>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder with the site of a small file at smoke, and what the command has left there."""
    folder = tmp_path_factory.mktemp("own")
    BASE.rename(columns={"HUFL": CHANNEL}).assign(still=1.0).to_csv(folder / NAME, index=False)
    committed = {p: p.read_bytes() for name in ("notebooks", "figures")
                 for p in (ROOT / name).rglob("*") if p.is_file()}
    options = dict(dataset=folder / NAME, seq_len=SEQ_LEN, pred_len=PRED_LEN, permutations=1,
                   attentions='["softmax","zero"]', patch_lens="[16,48]", smoothings="[0.0,1.0]",
                   noises="[0.0,1.0]", sizes="[1.0]", grid_windows=4, draws=1, noise_draws=1,
                   results_dir=folder / "results")
    given = [text for name, v in options.items() for text in ("-p", name, str(v))]
    assert main(["report", "--profile", "smoke", "--output", str(folder / "site"), *given]) == 0
    assert committed == {p: p.read_bytes() for p in committed}
    return folder / "site"


def words(page) -> str:
    """What a page says: its article without code, as text."""
    article = page.read_text(encoding="utf-8").split("<article", 1)[1].split("</article>")[0]
    article = re.sub(r'(?s)<details class="(?:hide|parameters).*?</details>', "", article)
    return " ".join(unescape(re.sub(r"(?s)<[^>]+>", " ", article)).split())


def compared(site):
    """Softmax and zero attention, as the start page compares them."""
    return attentions("smoke", SEEDS["smoke"], dataset=str(site.parent / NAME), seq_len=SEQ_LEN,
                      pred_len=PRED_LEN, learning_rate=1e-4)


def test_the_start_page_answers_for_this_series(site):
    said = words(site / "index.html")
    assert f"Does attention matter in {NAME}?" in said and "SMOKE PROFILE" in said
    runs = Ledger(site.parent / "results").read("runs")
    rows = runs[runs.run_id.isin([s.run_id for s in compared(site)])]
    mse = rows.pivot(index="seed", columns="attention", values="test_mse").mean()
    change = f"{100 * (mse.zero / mse.softmax - 1):+.1f} %".replace("-", "−")
    assert f"Cannot tell on {NAME}, {PRED_LEN} steps ahead: a verdict needs 3 seeds" in said
    assert re.search(rf"error changes by {re.escape(change)} \[\S+, \S+\] against softmax", said)
    assert "other times of this series" in said and "this test span alone" in said
    for fact in ("1 hour", f"{N:,}", "left out, constant while training still", CHANNEL,
                 f"test {HOURS[N - N // 5]} {HOURS[-1]} {N // 5}", "the file’s units"):
        assert fact in said, fact
    for other in ("ETTh1", "transformer", "12 months", "claim", "arXiv"):
        assert other not in said.replace("iTransformer", ""), other


def test_forecasts_have_the_files_units_and_times(site):
    table = pd.read_csv(site / "figures" / "C_forecasts.csv", parse_dates=["origin", "time"])
    assert list(table) == ["origin", "time", "channel", "observed", "softmax", "zero"]
    assert set(table.channel) == {"OT", CHANNEL}
    test = np.arange(N - N // 5, N)  # 20 % of the rows, and as many whole windows as fit
    one = table[table.channel == CHANNEL]
    assert list(one.time) == list(HOURS[test[:len(test) // PRED_LEN * PRED_LEN]])
    assert set(one.time - one.origin) == {pd.Timedelta(h, "h") for h in range(1, PRED_LEN + 1)}
    for channel, column in (("OT", "OT"), (CHANNEL, "HUFL")):
        of = table[table.channel == channel]
        true = BASE.set_index("date")[column]
        assert np.allclose(of.observed, true[of.time], rtol=1e-5)
        for a in ("softmax", "zero"):  # in units: about the level of the series, not about 0
            assert abs((of[a] - of.observed).mean()) < true.std()
    assert not table.softmax.equals(table.zero)


def test_errors_in_units_are_those_of_all_windows(site):
    ledger, folder = Ledger(site.parent / "results"), site.parent
    splits = load(str(folder / NAME), SEQ_LEN, PRED_LEN)
    runs = compared(site)
    shown = own_series.errors(ledger, runs, splits)
    rmse = np.mean([splits.std[0] * ledger.channel_errors(s)[:, 0].mean() ** 0.5
                    for s in runs if s.attention == "softmax"])  # over the seeds
    assert f"| OT: RMSE, the file's units | {rmse:.4g} \\[" in shown


def test_its_site_has_its_chapters_alone_and_its_rows_alone(site):
    pages = {p.stem for p in (site / "notebooks").glob("*.html")}
    assert {p[:2] for p in pages} == {"01", "02", "03", "04"}
    assert not list(site.glob("slides*")) and not (site / "ko.html").exists()
    assert set(pd.read_csv(site / "results" / "runs.csv").dataset) == {NAME}
    for page in (site / "notebooks").glob("*.html"):
        said = words(page)
        assert f"Figures, tables and verdict lines are of {NAME}. The text between them was " \
               "written about ETTh1" in said
        assert "In one minute" not in said  # results of the report are set aside
        notebook = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
        out = str([c.get("outputs") for c in notebook.cells])
        assert "ETTh1, 96 hours" not in out and "replicated?" not in out, page


def test_a_file_that_cannot_be_used_is_refused_before_anything_runs(tmp_path, capsys):
    BASE.drop(index=700).to_csv(tmp_path / "gap.csv", index=False)
    given = ["report", "-p", "dataset", str(tmp_path / "gap.csv"), "--profile", "smoke", "--output",
             str(tmp_path / "site")]
    assert main(given) == 2 and "gap.csv: 1 of 1498 steps is not 1 hour" in capsys.readouterr().err
    assert main([*given, "--in-place"]) == 2 and "site of its own" in capsys.readouterr().err
    assert main([*given, "--only", "77"]) == 2
    assert "--only 77: no such chapter" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_what_takes_long_is_told_with_the_command_for_a_first_look(tmp_path, capsys, monkeypatch):
    file = tmp_path / "two words.csv"
    BASE.drop(index=700).to_csv(file, index=False)
    monkeypatch.setattr(report_module, "timed", lambda todo, ledger: lambda runs: 1.0 * len(runs))
    asked = dict(dataset=str(file), seq_len=SEQ_LEN, pred_len=PRED_LEN, gaps="split", missing=-9)
    chapters = report_module.choose(
        [report_module.read(ROOT / "notebooks" / "C_your_series.ipynb")], [], "paper", asked)
    ledger = Ledger(tmp_path / "results")
    assert report_module.prepare(chapters, ledger, train=False, within=10, own=file) == 0
    said = capsys.readouterr().err
    assert "C_your_series: 15 runs are not recorded; training them takes about 15 min" in said
    assert "To train, add --train, or --within 15." in said
    assert said.endswith(
        "A first look without verdicts (2 epochs, one seed) takes about 5 min:\n"
        f"python -m tsattn report -p dataset '{file}' -p seq_len 48 -p pred_len 24 -p gaps split "
        "-p missing -9 --profile quick\n")
    assert {(s.gaps, s.missing) for s in chapters[0].asked} == {("split", "-9")}


def found(verdict, split, seeds=3, detectable=0.012):
    row = dict(model="zero", difference=0.004, low=-0.002, high=0.01, split_low=0.002,
               split_high=0.006, reference=0.5, blocks=8.0)
    number = Number(0.008, -0.004, 0.02)
    return Found(verdict, number, seeds, detectable, split_verdict=split,
                 comparisons=pd.DataFrame([row]))


@pytest.mark.parametrize("verdict, said", [
    (YES, "**No**, not on a\\_b, 24 steps ahead: a loss of 1 % or more without attention is exc"),
    (NO, "**Yes**, on a\\_b, 24 steps ahead: without attention the error is larger."),
    (CANNOT_TELL, "**Cannot tell** on a\\_b, 24 steps ahead (could have seen ≥ 1.2 %)"),
])
def test_the_answer_in_words(verdict, said):
    answer = own_series.answer(found(verdict, NO), "a_b", 24)
    assert answer.startswith(said) and "+0.8 % [−0.4, +2.0]" in answer
    assert "cannot tell" in answer or verdict != CANNOT_TELL
    assert "| yes | +0.8 % \\[+0.4, +1.2\\] |" in answer, "this test span alone"
    few = dataclasses.replace(found(verdict, NO), few_blocks=True)
    assert "fewer than 5" in own_series.answer(few, "a", 24) and "fewer than 5" not in answer
    assert own_series.answer(None, "a", 24) == "**Not run yet** on a, 24 steps ahead."


def test_the_command_for_lost_weights_trains_the_runs_that_lost_them(tmp_path, monkeypatch):
    file, given = tmp_path / "two words.csv", {}
    BASE.drop(index=700).to_csv(file, index=False)
    runs = attentions("smoke", [7], dataset=str(file), seq_len=SEQ_LEN, pred_len=PRED_LEN,
                      learning_rate=0.00123456789, gaps="split", missing="-9999,nan")
    monkeypatch.chdir(tmp_path)
    command = own_series.weights_command(runs, "my r")
    monkeypatch.setattr("tsattn.__main__._train",
                        lambda args, runs, **_: given.update(runs=runs, results=args.results) or 0)
    assert main(shlex.split(command.removeprefix("python -m tsattn "))) == 0
    assert [s.run_id for s in given["runs"]] == [s.run_id for s in own_series.pair(runs).values()]
    assert given["results"] == tmp_path / "my r"
    assert "--results" not in own_series.weights_command(runs)


def test_on_the_reports_own_series_the_answer_is_that_of_its_claim(etth1, tmp_path):
    parameters = {"figures_dir": str(tmp_path / "figures")}
    build = tmp_path / "build"
    assert report(["C"], "paper", parameters, False, build=build, with_site=False) == 0
    notebook = nbformat.read(build / "notebooks" / "C_your_series.ipynb", as_version=4)
    said = str([c.get("outputs") for c in notebook.cells])
    claim = judge(Ledger(), only=("patchtst-without",))["patchtst-without"]
    assert f"changes by {with_interval(claim.number)} against softmax" in said
    assert f"could have seen ≥ {figure(claim.found.detectable, 'share')}" in said
    assert "25 runs read" in said and "trained;" not in said
    weights = own_series.weights_command(attentions(learning_rate=1e-4, seeds=[2021]))
    assert weights in said and not (tmp_path / "figures" / "C_forecasts.csv").exists()

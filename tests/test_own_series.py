"""The whole way for a series of one's own, and the sentences for each way it can come out."""

import re
from html import unescape

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import defined
from own_csv import BASE, HOURS, N

from tsattn import report as report_module
from tsattn import text
from tsattn.__main__ import main
from tsattn.claims.rules import CANNOT_TELL, NO, YES, Found, Number
from tsattn.data import load
from tsattn.ledger import ROOT, Ledger
from tsattn.report import report
from tsattn.settings import SEEDS, make
from tsattn.text import figure, with_interval

SEQ_LEN, PRED_LEN = 48, 24
NAME, CHANNEL = "mine $1$.csv", "load <b>kW</b>"
CHAPTER = ROOT / "notebooks" / "C_your_series.ipynb"
C = defined(CHAPTER)


def built(table, file, *only, **parameters):
    """The folder with the site of a small file at smoke; its ledger lies beside it."""
    table.to_csv(file, index=False)
    parameters |= dict(dataset=file, results_dir=file.parent / "results")
    given = [text for name, v in parameters.items() for text in ("-p", name, str(v))]
    output = file.parent / "site"
    assert main(["report", "--profile", "smoke", "--output", str(output), *only, *given]) == 0
    return output


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    committed = {p: p.read_bytes() for name in ("notebooks", "figures")
                 for p in (ROOT / name).rglob("*") if p.is_file()}
    table = BASE.rename(columns={"HUFL": CHANNEL}).assign(still=1.0)
    folder = built(table, tmp_path_factory.mktemp("own") / NAME, seq_len=SEQ_LEN, pred_len=PRED_LEN)
    assert committed == {p: p.read_bytes() for p in committed}
    return folder


def said_in(notebook) -> str:
    """What an executed chapter says: its Markdown, and its outputs but pictures."""
    cells = nbformat.read(notebook, as_version=4).cells
    texts = [c.source for c in cells if c.cell_type == "markdown"]
    for output in (o for c in cells for o in c.get("outputs", [])):
        texts += [output.text] if "text" in output else [
            shown for kind, shown in output.data.items() if kind != "image/png"]
    return " ".join(" ".join(texts).split())


def words(page) -> str:
    """What a page says: its article without code, as text."""
    article = page.read_text(encoding="utf-8").split("<article", 1)[1].split("</article>")[0]
    article = re.sub(r'(?s)<div class="highlight-ipython3.*?</pre>', "", article)
    return " ".join(unescape(re.sub(r"(?s)<[^>]+>", " ", article)).split())


def test_the_start_page_answers_for_this_series(site):
    said = words(site / "index.html")
    assert f"Does attention matter in {NAME}?" in said and "SMOKE PROFILE" in said
    assert "python -m tsattn report -p dataset log.csv" in said
    assert "a named column of numbers" in said
    runs = Ledger(site.parent / "results").read("runs")
    mse = runs[runs.model == "PatchTST"].groupby("attention").test_mse.mean()
    change = f"{100 * (mse.zero / mse.softmax - 1):+.1f} %".replace("-", "−")
    assert f"({NAME}, {PRED_LEN} steps ahead)" in said and "a verdict needs 3 seeds" in said
    assert re.search(rf"error changes by {re.escape(change)} \[\S+, \S+\] against softmax", said)
    assert "other times of this series" in said and "this test span alone" in said
    for fact in ("1 hour", f"{N:,}", "left out, constant while training still", CHANNEL,
                 f"test {HOURS[N - N // 5]} {HOURS[-1]} {N // 5}", "the file’s units"):
        assert fact in said, fact
    for other in ("transformer station", "12 months", "claim", "arXiv"):
        assert other not in said.replace("iTransformer", ""), other
    assert set(pd.read_csv(site / "results" / "runs.csv").dataset) == {NAME}, "its rows alone"
    assert not [*site.glob("notebooks/*.html"), *site.glob("slides*"), *site.glob("ko.html")]


def test_the_first_sentence_is_about_the_season_and_one_model_is_to_be_used(site):
    said = words(site / "index.html")
    runs = Ledger(site.parent / "results").read("runs")
    name = runs.model.map({"linear": "linear model", "seasonal-naive": "season repeated",
                           "last-value": "last value repeated"}).fillna(runs.attention)
    of = runs.groupby(name)[["val_mse", "test_mse"]].mean()
    assert set(of.index) == {"softmax", "zero", *C.RULES, C.LINEAR}
    assert f"Use {of.val_mse.idxmin()} : its error on the validation part is the lowest" in said
    best = of.val_mse.drop(list(C.RULES)).idxmin()
    assert re.search(rf"{best} forecasts (no )?better than repeating the last 24 steps \(1 day\)",
                     said)
    for error in of.test_mse:  # all five in one table, each once
        assert f"{error:.3f}" in said


def test_forecasts_have_the_files_units_and_times_and_follow_its_end(site):
    table = pd.read_csv(site / "figures" / "C_forecasts.csv", parse_dates=["origin", "time"])
    models = ["softmax", "zero", C.LINEAR, *C.RULES]
    assert list(table) == ["origin", "time", "channel", "observed", *models]
    assert set(table.channel) == {"OT", CHANNEL}
    test = np.arange(N - N // 5, N)  # 20 % of the rows, and as many whole windows as fit
    one = table[table.channel == CHANNEL]
    assert list(one.time) == list(HOURS[test[:len(test) // PRED_LEN * PRED_LEN]])
    assert set(one.time - one.origin) == {pd.Timedelta(h, "h") for h in range(1, PRED_LEN + 1)}
    for channel, column in (("OT", "OT"), (CHANNEL, "HUFL")):
        of = table[table.channel == channel]
        true = BASE.set_index("date")[column]
        assert np.allclose(of.observed, true[of.time], rtol=1e-5)
        for a in models:  # in units: about the level of the series, not about 0
            assert abs((of[a] - of.observed).mean()) < true.std()
        assert np.allclose(of[C.RULES[0]], true[of.time - pd.Timedelta("24h")], rtol=1e-5)
    assert not table.softmax.equals(table.zero)
    beyond = pd.read_csv(site / "figures" / "C_next.csv", parse_dates=["origin", "time"])
    assert set(beyond.origin) == {HOURS[-1]} and len(beyond) == 2 * PRED_LEN
    ot = beyond[beyond.channel == "OT"]
    assert list(ot.time) == list(pd.date_range(HOURS[-1], periods=PRED_LEN + 1, freq="h")[1:])
    assert np.allclose(ot[C.RULES[0]], BASE.OT[-24:], rtol=1e-5)
    assert 'href="figures/C_next.csv"' in (site / "index.html").read_text()


@pytest.mark.parametrize("freq", ["MS", "ME", "W-MON", "30min"])
def test_times_beyond_the_end_go_on_as_the_calendar_does(save, freq):
    time = pd.date_range("2001-03-05", periods=140, freq=freq)
    table = pd.DataFrame({"date": time, "x": BASE.OT[:140].to_numpy()})
    found = C.times(load(save(table), 12, 3))[-3:]
    assert list(found) == list(pd.date_range(time[-1], periods=4, freq=freq)[1:])


def test_errors_in_units_are_those_of_all_windows(site):
    ledger = Ledger(site.parent / "results")
    splits = load(str(site.parent / NAME), SEQ_LEN, PRED_LEN)
    runs = [make("smoke", dataset=str(site.parent / NAME), seq_len=SEQ_LEN, pred_len=PRED_LEN,
                 learning_rate=1e-4, seed=seed) for seed in SEEDS["smoke"]]
    rmse = [splits.std[0] * ledger.channel_errors(s)[:, 0].mean() ** 0.5 for s in runs]
    said = words(site / "index.html")
    assert f"OT: RMSE, the file’s units {C.shown(rmse)}" in said
    assert said.count("RMSE, the file’s units") == 2, "one for each channel"


def test_chapters_leave_out_what_does_not_fit_and_one_seed_has_an_interval(tmp_path):
    """Chapters 1, 4 and C on one channel, in a window of odd length."""
    folder = built(BASE[["date", "OT"]], tmp_path / "전력.csv", "--only", "01", "04",
                   "--notebooks-only", seq_len=40, pred_len=6, seeds="[7]",
                   attentions='["softmax","zero"]')
    first, fourth, own = (said_in(p) for p in sorted((folder / "notebooks").glob("*.ipynb")))
    assert "**iTransformer is left out:** its tokens are channels, and this file has one." in first
    assert "patches of 12, 16, 24 steps, which do not divide a window of 40" in fourth
    for said in (first, fourth):
        assert "verdict lines are of 전력.csv.** The text between them was written about" in said
        assert "In one minute" not in said  # results of the report are set aside
        assert "ETTh1, 96 hours" not in said and "replicated?" not in said
    assert re.search(r"changes by \S+ % \[\S+, \S+\] against softmax \(one seed; brackets: 95 % "
                     r"interval, for other times of this series, not other seeds\)", own)
    for said in (first, fourth, own):
        assert len(said) > 1000 and not re.search(r"\bnan|\b1 seeds", said)


@pytest.mark.parametrize("seq_len, tokens", [(12, 5), (24, 2), (104, 7), (720, 46)])
def test_every_chapter_has_runs_for_every_window(save, tmp_path, seq_len, tokens):
    chapters = [report_module.read(p) for name in ("0[1-4]*", "C_*")
                for p in sorted((ROOT / "notebooks").glob(name))]
    asked = dict(dataset=save(BASE[["date", "OT"]]), seq_len=seq_len, pred_len=24)
    for c in report_module.choose(chapters, [], "quick", asked):
        assert len(report_module.needed(c, Ledger(tmp_path / "results"))), c.path
    c = chapters[-1]
    assert {s.model for s in c.asked} == {"PatchTST", "linear", "last-value",
                                          *["seasonal-naive"] * (seq_len >= 24)}
    steps = {s.epochs * min(s.max_steps, (1050 - seq_len - 23) // s.batch_size)
             for s in c.asked if s.model == "PatchTST"}
    assert all(270 <= n <= 310 for n in steps), "quick takes 300 steps of any file"
    assert c.asked[0].n_tokens == tokens, "a window shorter than a patch is cut into quarters"


def test_two_files_never_share_a_folder(tmp_path):
    files = [tmp_path / name for name in ("서울 전력.csv", "부산.csv", "a/log.csv", "b/log.csv")]
    names = [report_module.short(file) for file in files]
    assert len(set(names)) == 4 and names[2].startswith("log-")
    assert all(re.fullmatch(r"[\w.-]{1,50}", name, re.ASCII) for name in names)


def test_a_file_that_cannot_be_used_is_refused_before_anything_runs(tmp_path, capsys):
    BASE.drop(index=700).to_csv(tmp_path / "gap.csv", index=False)
    given = ["report", "-p", "dataset", str(tmp_path / "gap.csv"), "--profile", "smoke", "--output",
             str(tmp_path / "site")]
    assert main(given) == 2 and "gap.csv: 1 of 1498 steps is not 1 hour" in capsys.readouterr().err
    assert main([*given, "--in-place"]) == 2 and "site of its own" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_first_look_is_offered_where_training_takes_long(save, tmp_path, capsys):
    asked = dict(dataset=save(BASE.drop(index=700), "two words.csv"), seq_len=SEQ_LEN,
                 pred_len=PRED_LEN, gaps="split", missing=report_module.from_here("missing", -9))
    [c] = report_module.choose([report_module.read(CHAPTER)], [], "paper", asked)
    c.todo = report_module.needed(c, ledger := Ledger(tmp_path / "results"))
    report_module.prepare([c], ledger, train=False, within=0, own=tmp_path)
    said = capsys.readouterr().err
    assert "C_your_series: 20 runs are not recorded\nTraining 20 models takes about" in said
    assert "(short training, one seed) takes a few minutes: add --profile quick." in said
    assert {(s.gaps, s.missing) for s in c.asked} == {("split", "-9")}


def found(verdict, number, **more):
    row = dict(variant="zero", change=0.008, low=-0.004, high=0.02, low_here=0.004,
               high_here=0.012, blocks=8.0)
    return Found(verdict, Number(*number), detectable=0.012, split_verdict=NO,
                 comparisons=pd.DataFrame([row]), **more)


@pytest.mark.parametrize("verdict, said", [
    (YES, "**Attention does not matter** (a): a loss of 1 % or more without it is excluded."),
    (NO, "**Attention matters** (a): without it the error is larger."),
    (CANNOT_TELL, "**Cannot tell whether attention matters** (a): a loss of 1 % or more without it "
                  "is neither shown nor excluded; 1.2 % or more would have been seen"),
])
def test_the_answer_in_words(verdict, said):
    for few in (False, True):
        answer = C.answer(found(verdict, (0.008, -0.004, 0.02), seeds=3, few_blocks=few), "a")
        assert answer.startswith(said) and "+0.8 % [−0.4, +2.0]" in answer
        assert "| yes | +0.8 % \\[+0.4, +1.2\\] |" in answer, "this test span alone"
        assert ("fewer than 5" in answer) == few
    assert C.answer(None, "a") == "**Does attention matter?** Not run yet (a)."


@pytest.mark.parametrize("low, high, said", [
    (0.001, 0.02, "**At first look: Attention matters**"),
    (-0.01, 0.009, "**At first look: Attention does not matter**"),
    (-0.01, 0.02, "**At first look: Cannot tell")])
def test_with_one_seed_the_interval_of_the_times_answers(low, high, said):
    one = found(CANNOT_TELL, (0.005, low, high), seeds=1)
    answer = C.answer(one, "a")
    assert answer.startswith(said) and "not other seeds" in answer and "|" not in answer
    assert "a verdict needs 3 seeds and full training" in answer
    assert "From one seed; a verdict needs 3." in text.line(one, "the error")


@pytest.mark.parametrize("shift, said", [
    (-0.3, "**Yes, softmax forecasts better than repeating the last 7 steps** (a)."),
    (0.0, "**That softmax forecasts better than repeating the last 7 steps is not shown** (a)."),
    (0.3, "**No, softmax forecasts no better than repeating the last 7 steps** (a).")])
def test_the_first_sentence_tests_the_model_that_validation_chooses(shift, said):
    changes = {"softmax": shift, "zero": shift - 0.1, "linear model": 0.5}
    against = pd.DataFrame([dict(variant=name, change=v, low=v - 0.1, high=v + 0.1, seeds=1)
                            for name, v in changes.items()])
    validation = {"season repeated": 1.0, "last value repeated": 2.0, "softmax": 1 + shift,
                  "zero": 1.1 + shift, "linear model": 1.5}
    words, use = C.first_sentence(against, validation, "the last 7 steps", "a")
    assert words.startswith(said) and "not for other seeds, as one was trained" in words
    assert use == ("softmax" if shift < 0 else "season repeated") and f"**Use {use}**" in words
    assert ("the rule needs no training" in words) == (shift >= 0)


def test_on_the_reports_own_series_the_answer_is_that_of_its_claim(etth1, facts, tmp_path):
    parameters = {"figures_dir": str(tmp_path / "figures")}
    assert report(["C"], None, parameters, False, build=tmp_path / "build", with_site=False) == 0
    said = said_in(tmp_path / "build" / "notebooks" / "C_your_series.ipynb")
    claim = facts.outcomes["patchtst-without"]
    assert f"changes by {with_interval(claim.number)} against softmax" in said
    assert f"{figure(claim.detectable, 'share')} or more would have been seen" in said
    assert "30 runs read" in said and "trained;" not in said
    assert "Forecasts are made for a file of yours." in said
    assert not list((tmp_path / "figures").glob("C_*.csv"))

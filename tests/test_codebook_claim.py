"""What the ledger says of embeddings and of the codebook, on simulated rows."""

import nbformat
import numpy as np
import papermill
import pytest

from tsattn import claims
from tsattn.analysis import embeddings
from tsattn.claims.rules import NOT_RUN, NOT_SHOWN, PARTLY, YES
from tsattn.ledger import ROOT, Ledger

USUAL = dict(softmax=1.0, zero=1.25, fixed=1.2)  # of every embedding without a codebook's effect
WOKEN = dict(softmax=0.9, zero=1.5, fixed=1.1)


def simulate(ledger, dataset="state-machine", scatter=0.002, names=None,
             attentions=embeddings.THREE, **changes):
    """Records errors of ``embeddings.codebook_runs``: those of ``USUAL``, or of ``changes``."""
    random = np.random.default_rng(0)
    rows = []
    of = embeddings.codebook_runs(dataset, names=names, attentions=attentions)
    for (name, attention, _), s in of.items():
        error = changes.get(name, USUAL)[attention] + scatter * random.standard_normal()
        rows.append(dict(run_id=s.run_id, windows=1000, intervention="none", event_mse=error,
                         mse=error, zero_mse=2.0))
    ledger.record("toy_errors", rows, ["run_id"])


def codebook(ledger):
    return claims.judge(ledger, only=("codebook",))["codebook"]


@pytest.mark.parametrize("changes, answer, verdict", [
    (dict(code=WOKEN), "woken", YES),
    ({"code": dict(softmax=1.05, zero=2.5, fixed=1.4)}, "wider because zero got worse", NOT_SHOWN),
    (dict(code=dict(softmax=1.3, zero=1.35, fixed=1.32)), "not woken", NOT_SHOWN),
])
def test_woken_is_yes_and_anything_else_is_not_shown(tmp_path, changes, answer, verdict):
    ledger = Ledger(tmp_path)
    simulate(ledger, **{"RQ-VAE": dict(softmax=1.3, zero=1.35, fixed=1.32)} | changes)
    outcome = codebook(ledger)
    table = outcome.found.comparisons.set_index("model")
    assert table.answer["code"] == answer and outcome.verdict == verdict
    assert outcome.found.seeds == 5 and list(table.index) == ["code", "RQ-VAE"]
    saved = {"RQ-VAE": (1.35 - 1.3) / 1.25, "linear": (1.25 - 1) / 1.25}
    assert outcome.number.value == pytest.approx(saved["RQ-VAE"] - saved["linear"], abs=0.005)


@pytest.mark.parametrize("coded, answer", [
    (dict(softmax=1.3, zero=1.35), "not woken"),
    (dict(softmax=1.05, zero=2.5), "wider because zero got worse"),
    (dict(softmax=0.9, zero=1.5), None),  # the last two conditions may still fail
])
def test_a_condition_that_is_excluded_decides_without_fixed_and_placebo(tmp_path, coded, answer):
    ledger = Ledger(tmp_path)
    names = ["linear", "mlp", "decoded", "code", "RQ-VAE"]
    simulate(ledger, names=names, attentions=("softmax", "zero"),
             **{"code": coded, "RQ-VAE": dict(softmax=1.3, zero=1.35)})
    outcome = codebook(ledger)
    if answer is None:
        assert outcome.verdict == NOT_RUN
    else:
        assert outcome.found.comparisons.set_index("model").answer["code"] == answer
        assert outcome.verdict == NOT_SHOWN


def test_one_data_set_of_two_is_partly(tmp_path):
    ledger = Ledger(tmp_path)
    simulate(ledger, code=WOKEN)
    simulate(ledger, "recall-4-nonlinear")
    assert codebook(ledger).verdict == PARTLY


def test_nothing_is_judged_while_rows_are_missing(tmp_path):
    ledger = Ledger(tmp_path)
    assert codebook(ledger).verdict == NOT_RUN
    simulate(ledger, "recall-4-nonlinear", code=WOKEN)
    assert codebook(ledger).verdict == NOT_RUN, "without the state machine"
    simulate(ledger, names=["linear", "mlp", "decoded", "code", "RQ-VAE"], code=WOKEN)
    assert codebook(ledger).verdict == NOT_RUN, "without the placebo"


def test_recall_without_room_decides_nothing_and_code_init_has_a_placebo_of_its_own(tmp_path):
    ledger = Ledger(tmp_path)
    excluded = dict(softmax=1.3, zero=1.35, fixed=1.32)
    for dataset in ("state-machine", "recall-4"):
        woken = WOKEN if dataset == "recall-4" else excluded
        simulate(ledger, dataset, **{"code": woken, "RQ-VAE": woken, "code-init": WOKEN})
    assert codebook(ledger).verdict == NOT_SHOWN
    both = ["code-init", "random, code-init"]
    simulate(ledger, names=both, **{"code-init": WOKEN})
    outcome = codebook(ledger)
    assert outcome.verdict == YES
    assert outcome.found.comparisons.set_index("model").answer["code-init"] == "woken"


def test_errors_gaps_and_gains_by_hand(tmp_path):
    ledger = Ledger(tmp_path)
    named = embeddings.embedding_runs("recall-4", seeds=(1, 2))
    values = {("linear", "softmax"): 0.2, ("linear", "zero"): 0.4, ("mlp", "softmax"): 0.3,
              ("mlp", "zero"): 0.4}
    rows = [dict(run_id=s.run_id, windows=w, intervention="none", mse=values[e, a] * w / 10,
                 event_mse=9, zero_mse=2.0)
            for (e, a, _), s in named.items() if (e, a) in values for w in (5, 10)]
    ledger.record("toy_errors", rows, ["run_id", "windows"])
    table = embeddings.errors(ledger, named)
    error = table.set_index(["embedding", "attention", "seed"]).error
    assert len(error) == 8 and error["mlp", "softmax", 2] == 0.15, "on the most windows"
    gained = embeddings.gains(table)
    assert gained.gain["mlp"] == pytest.approx((1 - 3 / 4) - (1 - 2 / 4))
    more = embeddings.worse(table)["mean"]
    assert more.to_dict() == pytest.approx({("mlp", "softmax"): 0.5, ("mlp", "zero"): 0})
    assert embeddings.errors(Ledger(tmp_path / "none"), named).empty
    assert embeddings.worse(embeddings.errors(Ledger(tmp_path / "none"), named)).empty
    assert embeddings.gains(embeddings.errors(Ledger(tmp_path / "none"), named)).empty
    assert embeddings.attention(ledger, named).empty
    assert embeddings.training_errors(ledger, named).empty


def test_training_errors_are_of_the_epoch_that_was_kept():
    of = embeddings.codebook_runs("ETTh1", names=("linear", "RQ-VAE"), attentions=("softmax",))
    table = embeddings.training_errors(Ledger(), of)
    assert table.groupby("embedding").seed.nunique().to_dict() == {"linear": 3, "RQ-VAE": 3}
    first = table[(table.embedding == "linear") & (table.seed == 2021)].error.item()
    assert first == 0.3423637798987329, "the seventh epoch of seventeen, in curves.csv"


@pytest.mark.chapter
def test_the_chapter_trains_its_tiny_runs_and_fills_itself_in(tmp_path):
    """Chapter 8 from an empty ledger, with embeddings of codes; only the RQ-VAE, slow, is out."""
    embeddings_ = ["linear", "mlp", "decoded", "code-init", "code", "random"]
    given = dict(profile="smoke", seeds=[2021], embeddings=embeddings_, dataset="state-machine",
                 windows=30, results_dir=str(tmp_path), figures_dir=str(tmp_path / "figures"))
    out = tmp_path / "out.ipynb"
    papermill.execute_notebook(ROOT / "notebooks" / "08_codebook.ipynb", out, given,
                               kernel_name="python3", progress_bar=False)
    ledger = Ledger(tmp_path)
    of = embeddings.codebook_runs("state-machine", "smoke", embeddings_, seeds=[2021])
    assert len(embeddings.errors(ledger, of)) == len(of) == 18
    runs = ledger.read("runs")
    assert set(runs.status) == {"complete"} and runs.code_perplexity.notna().sum() == 12
    said = "".join(str(cell.outputs) for cell in nbformat.read(out, 4).cells
                   if cell.cell_type == "code")
    assert "SMOKE PROFILE" in said and "**Not run yet" not in said
    assert {p.stem for p in (tmp_path / "figures").glob("*.png")} == {
        "08_ladder", "08_codes", "08_attention"}

"""The page of claims: from any state of the ledger, and never apart from the README."""

import numpy as np
import pytest

from tsattn import plan, report, summary
from tsattn.ledger import ROOT, Ledger
from tsattn.training import Result


def record(ledger, settings, mse):
    errors = np.float32(mse) + 0.01 * np.random.default_rng([settings.seed, len(settings.attention)]).standard_normal(1000).astype(np.float32)
    ledger.record_run(Result(settings, best_epoch=1, val_mse=1.0, test_mse=errors.mean(dtype=float), test_mae=0.4, test_errors=errors,
                             how={"device": "cpu", "threads": 1}))


def test_an_empty_ledger_says_not_run_yet(tmp_path):
    ledger = Ledger(tmp_path)
    claims = summary.claims(ledger)
    assert set(claims.measured) == set(claims.verdict) == {summary.NOT_RUN} and len(summary.published(ledger)) == 0
    assert (summary.talk_table(ledger).iloc[:, 2:] == summary.NOT_RUN).all(axis=None)
    assert summary.NOT_RUN in summary.readme(ledger, {}) and not list(tmp_path.glob("*.csv"))


def test_claims_are_computed_from_the_ledger(tmp_path):
    ledger = Ledger(tmp_path)
    mse = {"softmax": 0.383, "identity": 0.5, "zero": 0.3, "mean": 0.383}
    for s in plan.attentions():
        if s.attention in mse:
            record(ledger, s, mse[s.attention])
    table = summary.families(ledger)["PatchTST, learning rate 1e-3"].set_index("model")
    assert dict(table.verdict) == {"identity": "worse", "zero": "better", "mean": "equivalent"} and set(table.seeds) == {3}
    assert summary.headline(summary.families(ledger)).startswith("3 comparisons with softmax: 1 worse, 1 better, 1 equivalent")
    first = summary.claims(ledger).iloc[0]
    assert first.verdict == "Worse: identity; equal within 1 %: mean; better: zero." and "identity +30." in first.measured
    cells = summary.published(ledger).set_index(["metric", "attention"])
    assert cells.gap["MSE", "softmax"] == pytest.approx(0, abs=1e-3) and cells.z["MSE", "identity"] > 10


def test_the_control_is_that_of_chapter_5_without_the_variations_on_it(tmp_path):
    ledger = Ledger(tmp_path)
    for change, relative in (({}, 0.01), ({"attention": "zero"}, 0.75), ({"embedding": "mlp"}, 0.9), ({"revin": True}, 0.9)):
        s = plan.toy("recall-4", **change)
        record(ledger, s, 1.0)
        ledger.record("toy_errors", [dict(run_id=s.run_id, intervention="none", mse=relative, zero_mse=1.0)], ["run_id"])
    row = summary.claims(ledger).set_index("chapter").loc["05_toy_dataset"].iloc[1]
    assert row.measured.endswith("softmax 0.010 (one seed), zero 0.750 (one seed)")


def test_a_chapter_that_has_its_own_row_stands_in_for_a_claim_not_computed_here(tmp_path):
    row = "| [2](notebooks/02_attention_perturbation.ipynb) | a claim | a figure | a verdict |"
    shown = summary.readme(Ledger(tmp_path), {"02_attention_perturbation": [row]})
    assert row in shown and shown.count("[2](notebooks") == 1 and shown.count("[1](notebooks") == 4


def test_the_readme_shows_what_the_ledger_holds():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.partition(report.MARKS[0])[2].partition(report.MARKS[1])[0]
    assert shown == report.readme_results(Ledger()), "run python -m tsattn report --only 00 --in-place"

"""The page of claims: from any state of the ledger, and never apart from the README."""

import numpy as np
import pytest

from tsattn import report, runs as plan, summary
from tsattn.ledger import ROOT, Ledger
from tsattn.settings import make
from tsattn.training import Result


def record(ledger, settings, mse, val=1.0, best_epoch=1):
    noise = np.random.default_rng([settings.seed, len(settings.attention), int(1e4 * settings.learning_rate)]).standard_normal(1000)
    errors = np.float32(mse) + 0.01 * noise.astype(np.float32)
    ledger.record_run(Result(settings, best_epoch=best_epoch, val_mse=val, test_mse=errors.mean(dtype=float), test_mae=0.4, test_errors=errors,
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
    assert summary.headline(summary.families(ledger)) == "PatchTST 1 of 3 worse, 1 better, 1 equivalent"
    first = summary.claims(ledger).iloc[0]
    assert first.verdict == "**Fails in 1 of 3, holds in 2.** Worse: identity; equal within 1 %: mean; better: zero." and "identity +30." in first.measured
    assert "(authors: identity +1.0%, zero +0.8%, mean +0.3%)" in first.measured
    cells = summary.published(ledger).set_index(["metric", "attention"])
    assert cells.gap["MSE", "softmax"] == pytest.approx(0, abs=1e-3) and cells.z["MSE", "identity"] > 10


def test_the_rate_is_compared_and_every_baseline_also_taken_at_the_rate_that_validation_prefers(tmp_path):
    ledger = Ledger(tmp_path)
    # Test errors, and validation errors that prefer the smaller rate for softmax and the larger for linear, whatever the test says.
    mse = {("softmax", 1e-3): (0.40, 0.7), ("softmax", 1e-4): (0.36, 0.6), ("linear", 1e-3): (0.38, 0.6), ("linear", 1e-4): (0.30, 0.7),
           ("zero", 1e-3): (0.40, 0.7), ("zero", 1e-4): (0.40, 0.7), ("zero (equal parameters)", 1e-3): (0.44, 0.7)}
    for (name, rate), (error, val) in mse.items():
        attentions = [s for s in plan.attentions(learning_rate=rate) if s.attention == name]
        for s in attentions or plan.baselines(learning_rate=rate)[name]:
            record(ledger, s, error, val)
    rows = summary.claims(ledger).set_index("chapter").loc["01_attention_replacement"].set_index("claim")
    rate, baselines, capacity = (rows[rows.index.str.contains(word)].iloc[0] for word in ("learning rate, 1e-4, change", "linear models", "capacity"))
    assert rate.verdict == "No variant is shown to lose by the smaller rate; equal within 1 %: zero; better: softmax."
    assert "all at 1e-3: 3 seeds, softmax 0.400; linear -5." in baselines.measured and "lower validation error: 3 seeds, softmax 0.360; linear +5." in baselines.measured
    assert baselines.verdict == (
        "All at 1e-3: 1 of 1 have a lower mean error than softmax. None is shown to be worse; better: linear. Each at whichever of 1e-3 "
        "and 1e-4 has the lower validation error: 0 of 1 have a lower mean error than softmax. Worse: linear.")
    assert "zero (equal parameters) +9." in capacity.measured and "zero (equal parameters) +22." in capacity.measured


def test_what_makes_attention_redundant_is_one_family_of_the_changes_that_have_been_run(tmp_path):
    ledger = Ledger(tmp_path)
    for name, zero in (("1 layer", 0.5), ("stride 8", 0.4)):
        for attention, error in (("softmax", 0.4), ("zero", zero)):
            for seed in plan.SEEDS:
                record(ledger, make(attention=attention, seed=seed, learning_rate=plan.LOW_RATE, **plan.CHANGES[name]), error)
    row = summary.claims(ledger).set_index("claim").filter(like="redundant", axis=0).iloc[0]
    assert row.verdict == "Worse: 1 layer; equal within 1 %: stride 8."
    assert row.measured.startswith("ETTh1-96, learning rate 1e-4: 1 layer +2") and "; stride 8 " in row.measured


def test_other_horizons_and_data_are_families_of_their_own(tmp_path):
    ledger = Ledger(tmp_path)
    for (dataset, pred_len), zero in ((("ETTh2", 96), 0.5), (("ETTh2", 336), 0.5), (("ETTh1", 720), 0.3)):
        for s in plan.attentions(dataset=dataset, pred_len=pred_len, model="iTransformer"):
            if s.attention in ("softmax", "zero"):
                record(ledger, s, zero if s.attention == "zero" else 0.4)
    tables = summary.elsewhere(ledger)
    assert tables["iTransformer, learning rate 1e-4"].cell.tolist() == ["ETTh1-720", "ETTh2-96", "ETTh2-336"] and tables["PatchTST, learning rate 1e-4"].empty
    row = summary.claims(ledger).set_index("claim").filter(like="iTransformer, learning rate 1e-4, other horizons", axis=0).iloc[0]
    assert row.verdict == "**Fails in 2 of 3, holds in 1.** Worse: ETTh2-96 and ETTh2-336 (zero); better: ETTh1-720 (zero)."
    assert row.measured.startswith("ETTh1-720 and ETTh2-96 and ETTh2-336, 3 seeds: replacements -25.0% to +25.0%, all intervals within [-25.") and row.measured.count("authors") == 1
    for s in plan.attentions(seeds=(2021,), dataset="ETTh1", pred_len=192, model="iTransformer"):
        record(ledger, s, 0.4)
    row = summary.claims(ledger).set_index("claim").filter(like="iTransformer, learning rate 1e-4, other horizons", axis=0).iloc[0]
    assert row.measured.startswith("4 cells, 3 seeds: ") and "nan" not in row.measured


def test_baselines_of_other_cells_are_compared_with_softmax_at_the_same_rate_and_say_if_they_are_unfinished(tmp_path):
    ledger = Ledger(tmp_path)
    data = dict(dataset="ETTh2", pred_len=192, learning_rate=plan.LOW_RATE)
    for s in plan.attentions(**data):
        record(ledger, s, 0.4)
    named = plan.baselines(**data)
    for name, error in (("linear", 0.4), ("DLinear", 0.5), ("last value", 0.8)):
        for s in named[name]:
            record(ledger, s, error, best_epoch=s.epochs if name == "linear" else 1)
    row = summary.claims(ledger).set_index("claim").filter(like="what do baselines reach", axis=0).iloc[0]
    assert row.verdict == "Worse: ETTh2-192 (last value, DLinear); equal within 1 %: ETTh2-192 (linear)."
    assert row.measured.startswith("ETTh2-192, against PatchTST with softmax, all at 1e-4: last value +") and "; linear (unfinished) " in row.measured


def test_another_width_is_a_family_beside_the_usual_one_on_the_talks_cell_too(tmp_path):
    ledger = Ledger(tmp_path)
    for s in plan.attentions(**plan.NARROWER[128]):
        record(ledger, s, 0.38 if s.attention == "softmax" else 0.37, best_epoch=s.epochs if s.attention == "zero" else 1)
    assert not len(summary.families(ledger)[summary.CHOSEN]) and not len(summary.elsewhere(ledger)[summary.CHOSEN])
    table, cells = summary.elsewhere(ledger)["iTransformer, width 128 instead of 512"], summary.published(ledger)
    assert set(table.cell) == {"ETTh1-96"} and set(table.verdict) == {"better"} and table.authors.notna().sum() == 3
    row = summary.claims(ledger).set_index("claim").filter(like="width 128", axis=0).iloc[0]
    assert row.measured.startswith("ETTh1-96, 3 seeds, 3 of 15 runs unfinished: replacements -2.")
    assert set(cells.title) == {"iTransformer, width 128 instead of 512"} and not cells.chosen.any()


def test_each_variant_is_compared_as_validation_prefers_to_train_it(tmp_path):
    ledger, usual = Ledger(tmp_path), dict(model="iTransformer")
    # Validation prefers small steps for softmax and the usual ones for zero, whatever the test says.
    for changes, mse in ((usual, {"softmax": (0.40, 0.7), "zero": (0.36, 0.5)}), (plan.SMALL_STEPS, {"softmax": (0.38, 0.6), "zero": (0.30, 0.6)})):
        for s in plan.attentions(**changes):
            if s.attention in mse:
                record(ledger, s, *mse[s.attention])
    for s in plan.attentions(dataset="ETTh2", **usual):  # trained in one way only
        record(ledger, s, 0.4)
    table = summary.at_its_best(ledger)
    assert table[["cell", "model", "softmax", "own", "verdict"]].values.tolist() == [
        ["ETTh1-96", "zero", "constant learning rate 1e-5", "learning rate 1e-4", "better"]]
    assert table.reference.iloc[0] == pytest.approx(0.38, abs=0.01) and table.validation.iloc[0] == "-16.7% [-16.7%, -16.7%]"
    row = summary.claims(ledger).set_index("claim").filter(like="as validation prefers for it", axis=0).iloc[0]
    assert row.measured.startswith("ETTh1-96: replacements -5.")


def test_trained_models_are_judged_at_each_learning_rate_by_their_own_undisturbed_error(tmp_path):
    ledger = Ledger(tmp_path)
    for rate, removed in ((1e-3, 1.0), (1e-4, 1.2)):
        for i, s in enumerate(s for s in plan.attentions(learning_rate=rate) if s.attention == "softmax"):
            noise = {"none": 0, "attention removed": 1e-4, "feed-forward removed": 1e-3}
            base = 0.3 + 0.1 * i  # the change is relative to each model, so this must not show
            factors = {"none": 1.0, "attention removed": removed, "feed-forward removed": 1.5}
            ledger.record("interventions", [dict(run_id=s.run_id, intervention=name, layers="all", draw=0,
                                                 test_mse=base * factor * (1 + noise[name] * i)) for name, factor in factors.items()],
                          ["run_id", "intervention", "layers", "draw"])
    row = summary.claims(ledger).set_index("chapter").loc["02_attention_perturbation"]
    assert "at 1e-3: attention removed +0.0%" in row.measured and "at 1e-4: attention removed +20.0%" in row.measured
    assert row.verdict == ("**In part.** At 1e-3, removing attention changes nothing beyond 1 %; removing the feed-forward network costs something. "
                           "The feed-forward network matters more. "
                           "At 1e-4, removing attention costs something; removing the feed-forward network costs something. "
                           "The feed-forward network matters more.")


def test_that_the_feed_forward_network_matters_more_is_corrected_with_the_verdicts_beside_it(tmp_path):
    ledger = Ledger(tmp_path)
    for s, attention, more in zip((s for s in plan.attentions() if s.attention == "softmax"), (-0.05, 0.0, 0.05), (0.04, 0.06, 0.08)):
        rows = {"none": 0, "attention removed": attention, "feed-forward removed": attention + more}
        ledger.record("interventions", [dict(run_id=s.run_id, intervention=name, layers="all", draw=0, test_mse=0.4 * (1 + change))
                                        for name, change in rows.items()], ["run_id", "intervention", "layers", "draw"])
    row = summary.claims(ledger).set_index("chapter").loc["02_attention_perturbation"]
    assert "feed-forward minus attention +6.0% [+1.0%, +11.0%]" in row.measured  # the interval leaves out zero, the corrected test does not
    assert row.verdict == ("**Open.** At 1e-3, removing attention has an undecided effect; removing the feed-forward network has an undecided effect.")


def test_the_control_is_that_of_chapter_5_without_the_variations_on_it(tmp_path):
    ledger = Ledger(tmp_path)
    for change, relative in (({}, 0.01), ({"attention": "zero"}, 0.75), ({"embedding": "mlp"}, 0.9), ({"revin": True}, 0.9)):
        s = plan.toy("recall-4", **change)
        record(ledger, s, 1.0)
        ledger.record("toy_errors", [dict(run_id=s.run_id, intervention="none", mse=relative, zero_mse=1.0)], ["run_id"])
    row = summary.claims(ledger).set_index("chapter").loc["05_toy_dataset"].iloc[1]
    assert row.measured.endswith("softmax 0.010 (one seed), zero 0.750 (one seed)")


def test_a_chapter_that_has_its_own_row_stands_in_for_a_claim_not_computed_here(tmp_path):
    row = "| [2](notebooks/02_attention_perturbation.ipynb) | a claim | a verdict | a figure |"
    shown = summary.readme(Ledger(tmp_path), {"02_attention_perturbation": [row]})
    assert row in shown and shown.count("[2](notebooks") == 1 and shown.count("[1](notebooks") == 8


def test_the_readme_shows_what_the_ledger_holds():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.partition(report.MARKS[0])[2].partition(report.MARKS[1])[0]
    assert shown == report.readme_results(Ledger()), "run python -m tsattn report --only 00 --in-place"


def test_the_rate_is_chosen_on_the_seeds_that_both_have(tmp_path):
    ledger = Ledger(tmp_path)
    large, small = ([plan.attentions(seeds=[seed], learning_rate=rate)[0] for seed in (2021, 2022)] for rate in (1e-3, 1e-4))
    for s, val in zip([*large, small[0]], (0.7, 0.5, 0.6)):  # on both seeds the larger rate would win, on the common one it does not
        record(ledger, s, 0.4, val)
    assert summary.preferred(ledger, large, small) == [small[0]]
    assert summary.preferred(ledger, [], []) == []


def test_validation_is_compared_within_the_seeds_that_all_have(tmp_path):
    ledger = Ledger(tmp_path)
    for s in plan.attentions(seeds=(2021, 2022)):
        if s.attention in ("softmax", "zero"):
            record(ledger, s, 0.4, val={"softmax": 0.5, "zero": 0.6}[s.attention] * s.seed)  # 20 % more within each seed
    record(ledger, plan.attentions(seeds=(2023,))[0], 0.4, val=9e9)
    assert summary.on_validation(ledger, summary.by_attention(plan.attentions())) == "zero +20.0% [+20.0%, +20.0%] (2 seeds)"
    assert all(summary.on_validation(ledger, summary.by_attention(plan.attentions(seeds=(seed,)))) == "" for seed in (2023, 7))


def test_what_is_lost_past_the_kept_epoch_is_a_mean_over_complete_runs(tmp_path):
    ledger = Ledger(tmp_path)
    for s, kept, last, status in zip(plan.attentions(seeds=(2021, 2022)), (0.4, 0.4, 0.5, 0.4, 0.4, 0.8), (0.6, 0.4, 0.4, 9.0, 0.4, 0.8),
                                     (*["complete"] * 3, "failed", *["complete"] * 2)):
        curves = [dict(epoch=i, train_mse=1.0, val_mse=i, test_mse=mse) for i, mse in ((1, kept), (2, last))]
        ledger.record_run(Result(s, status=status, best_epoch=1, test_mse=kept, curves=curves, how={"device": "cpu", "threads": 1}))
    rise = summary.past_kept(ledger, plan.attentions(seeds=(2021, 2022)))
    assert rise.to_dict() == pytest.approx({"softmax": 0.25, "identity": 0.0, "zero": -0.2, "fixed": 0.0})

"""The runs that the report asks for."""

import nbformat
import pytest

from tsattn.analysis.embeddings import codebook_runs
from tsattn.ledger import ROOT
from tsattn.models import match
from tsattn.runs import (
    CHANGES,
    CODEBOOKS,
    NARROWER,
    SMALL_STEPS,
    baselines,
    codebook_run,
    evidence,
    matched,
    other_series,
    toy,
)
from tsattn.settings import ATTENTIONS, DATASETS, make


def test_the_plan_holds_what_the_report_needs_most_important_first():
    plan = evidence("smoke")
    names = list(plan)
    assert names[0] == "new months: PatchTST ETTh1-96"
    in_order = ["new months: PatchTST ETTh2-96", "other series: EPF-NP", "other series: illness",
                "rates: iTransformer ETTh1-720, constant 1e-5", "rolling origin ETTh1",
                "rolling origin ETTh2", "rates: PatchTST ETTh1-96, 3e-5", "perturbation ETTm2-96",
                "PatchTST ETTh1-96, learning rate 1e-3"]
    assert sorted(in_order, key=names.index) == in_order
    assert {s.split for s in plan["rolling origin ETTh2"]} == {f"fold-{k}" for k in range(1, 6)}
    assert len(plan["rolling origin ETTh1"]) == 5 * 3 * 4
    assert len(plan["new months: PatchTST ETTh2-96"]) == 30
    runs = {s.run_id: s for part in plan.values() for s in part}
    for dataset in ("ETTh1", "ETTh2"):
        for pred_len in (96, 192, 336, 720):
            for model in ("PatchTST", "iTransformer"):
                usual = (dataset, pred_len) == ("ETTh1", 96) or model == "iTransformer"
                rate = {} if usual else dict(learning_rate=1e-4)
                wanted = {make("smoke", dataset=dataset, pred_len=pred_len, model=model,
                               attention=a, seed=seed, **rate).run_id
                          for a in ATTENTIONS for seed in (2021, 2022, 2023)}
                assert wanted <= set(runs), (dataset, pred_len, model)
            assert f"baselines {dataset}-{pred_len}" in names
    assert len(plan["PatchTST ETTh1-96, learning rate 1e-4"]) == 25
    assert {f"redundancy: {name}" for name in CHANGES} <= set(names)
    assert "iTransformer ETTh2-720, width 128" in names


def test_other_series_are_asked_three_attentions_at_the_lower_rate():
    series = other_series()
    assert list(series) == ["EPF-NP", "vic", "exchange", "illness"]
    for dataset, named in series.items():
        assert {(s.attention, s.seed) for s in named} == {
            (a, seed) for a in ("softmax", "zero", "mean") for seed in (2021, 2022, 2023)}
        lengths = (104, 24) if dataset == "illness" else (336, 96)
        assert {(s.dataset, s.seq_len, s.pred_len, s.learning_rate, s.patience) for s in named} \
            == {(dataset, *lengths, 1e-4, 5)}


def test_small_steps_are_those_of_a_constant_rate_and_of_runs_of_their_own():
    usual, small = (make(**change) for change in (dict(model="iTransformer"), SMALL_STEPS))
    moved = [sum(s.learning_rate * s.lr_decay ** max(0, epoch - s.lr_hold) for epoch in range(n))
             for s, n in ((usual, 1), (small, small.epochs))]
    assert moved[1] == pytest.approx(moved[0]) and small.run_id != usual.run_id


def test_every_change_of_the_architecture_is_a_run_of_its_own():
    runs = [make(**change).run_id
            for change in (*CHANGES.values(), dict(model="iTransformer"), *NARROWER.values())]
    assert len(set(runs)) == len(runs)


def test_the_width_that_matches_a_cost_is_found_from_shapes_alone():
    softmax, zero, mlp = make("smoke"), make("smoke", attention="zero"), make("smoke", model="MLP")
    for s, cost in ((mlp, "parameters"), (zero, "parameters"), (zero, "multiply-adds")):
        on_meta = matched(s, softmax, cost)
        match.cache_clear()
        assert on_meta == match(s, softmax, cost) != s
        match.cache_clear()


def test_rules_have_one_run_and_the_rest_one_per_seed():
    named = baselines("smoke", seeds=(1, 2), pred_len=24)
    assert {name: len(runs) for name, runs in named.items() if len(runs) != 2} == {
        "last value": 1, "seasonal naive": 1}
    assert all(s.pred_len == 24 for runs in named.values() for s in runs)
    assert len({s.run_id for runs in named.values() for s in runs}) == 14


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_run_of_the_codebook_is_the_one_that_is_compared(dataset):
    for (name, attention, seed), s in codebook_runs(dataset, seeds=[1]).items():
        asked = dict(attention=attention, seed=seed, **CODEBOOKS[name])
        assert codebook_run(dataset, **asked) == s


@pytest.mark.parametrize("chapter, dataset, steps", [
    ("05_toy_dataset", "state-machine", "toy_steps"),
    ("06_where_attention_works", "recall-4", "recall_steps")])
def test_the_toy_chapters_train_what_the_summary_reads(chapter, dataset, steps):
    cells = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", 4).cells
    given: dict = {}
    for tag in ("parameters", "runs"):
        exec(next(c.source for c in cells if tag in c.metadata.get("tags", [])), given)
    usual = toy(dataset)
    assert given[steps] == usual.max_steps
    assert usual.but(attention="softmax", seed=given["chosen"][0]) in given["runs"]

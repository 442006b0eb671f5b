"""The runs that the report asks for."""

import pytest

from tsattn.ledger import Ledger
from tsattn.models import match
from tsattn.runs import CELLS, codebook, evidence, matched
from tsattn.settings import ATTENTIONS, make


def test_the_plan_holds_what_the_report_needs_most_important_first():
    plan = evidence("smoke")
    names = list(plan)
    in_order = ["new months: PatchTST ETTh1-96", "other series: EPF-NP",
                "rates: iTransformer ETTh1-720, constant 1e-5", "rolling origin ETTh1",
                "PatchTST ETTh1-96, learning rate 1e-3"]
    assert names[0] == in_order[0] and sorted(in_order, key=names.index) == in_order
    assert {s.split for s in plan["rolling origin ETTh1"]} == {f"fold-{k}" for k in range(1, 6)}
    runs = {s.run_id for part in plan.values() for s in part}
    for dataset, pred_len in CELLS:
        for model in ("PatchTST", "iTransformer"):
            rate = dict(learning_rate=1e-4) if model == "PatchTST" else {}
            few = model == "PatchTST" and (dataset, pred_len) in CELLS[5:]
            wanted = {make("smoke", dataset=dataset, pred_len=pred_len, model=model,
                           attention=a, seed=seed, **rate).run_id: a
                      for a in ATTENTIONS for seed in (2021, 2022, 2023)}
            assert {wanted[r] for r in wanted.keys() & runs} == (
                {"softmax", "zero"} if few else set(ATTENTIONS)), (dataset, pred_len, model)
    assert len(plan["PatchTST ETTh1-96, learning rate 1e-4"]) == 25


@pytest.mark.parametrize("plan", [evidence, codebook])
def test_a_plan_lists_what_is_recorded_and_the_few_runs_that_are_to_come(plan):
    """Whatever else a plan listed, a page would say that it has not been run."""
    ledger = Ledger(record=True)
    to_come = {(s.dataset, s.pred_len) for part in plan().values()
               for s in {*part} - {*ledger.complete(part)}}
    assert to_come <= {("ETTh1", 336), ("ETTh2", 192), ("ETTh2", 336), ("ETTh1", 96)}


def test_the_width_that_matches_a_cost_is_found_from_shapes_alone():
    softmax, zero, mlp = make("smoke"), make("smoke", attention="zero"), make("smoke", model="MLP")
    for s, cost in ((mlp, "parameters"), (zero, "parameters"), (zero, "multiply-adds")):
        on_meta = matched(s, softmax, cost)
        match.cache_clear()
        assert on_meta == match(s, softmax, cost) != s
        match.cache_clear()

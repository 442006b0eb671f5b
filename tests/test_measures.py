"""Measurements on trained models: what is recorded is found, and content is told from mixing."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from tsattn import attention_maps as maps
from tsattn import interventions as iv
from tsattn import measures
from tsattn.data import Windows, load
from tsattn.ledger import RESULTS, Ledger
from tsattn.measures import MEASURES, NAMED, Context, derangement
from tsattn.models import build
from tsattn.settings import make
from tsattn.sweep import measured_again, on_trained, sweep
from tsattn.training import evaluate

FROM_WINDOWS = ("A = data-set average", "A = another window's")


# -- what is recorded, and what each measure gives

RECORDED = [table for table in MEASURES if (RESULTS / f"{table}.csv").exists()]


@pytest.mark.parametrize("table", RECORDED)
def test_every_recorded_row_is_found_at_the_point_of_its_measure(table):
    rows = pd.read_csv(RESULTS / f"{table}.csv", dtype=str, keep_default_na=False)
    points = {(row["run_id"], json.dumps(measures.point(table, row)))
              for row in rows.to_dict("records")}
    keys = [{"run_id": run_id, **json.loads(point)} for run_id, point in points]
    assert keys and Ledger(RESULTS).lacking(table, keys) == []


# What each measures on an untrained model, as the root mean square of each column: measured.csv.
# A change that moves a value changes what is measured, and raises its version, in ledger.py.
TINY = {
    "interventions": dict(intervention="A = another window's", layers="1", draw=1),
    "content_or_mixing": dict(intervention="A = data-set average"),
    "perturbation": dict(sublayer="attention", layers="all", windows=40, draws=2,
                         smoothings="0 0.5", noises="0 1"),
    "corners": dict(sublayer="feed_forward", smoothing=0.5, noise=1.0),
    "disturbance": dict(sublayer="attention", kind="output noise", strength=0.5, windows=8),
    "equal_disturbance": dict(sublayer="feed_forward", draws=2), "positions": {},
    "forecasts": dict(channel=0, which="3 7"),
    "errors_by_lead": dict(channels="0", steps=8, block=5000),
    "attention_by_head": dict(windows=16), "attention_by_event": dict(windows=16),
    "trained_matrices": dict(layer=1, head=1), "toy_received": dict(window=5),
    "toy_errors": dict(windows=16, intervention="attention removed", draw=0),
    "toy_continued": dict(first=100_000, length=40_000, windows=200, blocks=2),
    "toy_event_heights": dict(windows=40),
    "embedding_spectrum": {}, "embedding_distances": {}, "probes": dict(windows=20),
    "token_geometry": dict(windows=16),
}
HELD = pd.read_csv(Path(__file__).with_name("measured.csv")).set_index(["table", "column"]).value


@pytest.mark.parametrize("table", MEASURES)
def test_a_measurement_means_what_it_meant(table, splits):
    with torch.no_grad():
        rows = pd.DataFrame(MEASURES[table](sharp(), splits, **TINY[table]))
    now = (rows.select_dtypes("number") ** 2).mean().drop("seconds", errors="ignore") ** 0.5
    pd.testing.assert_series_equal(now, HELD[table], rtol=2e-3, check_names=False, check_like=True)


def test_disturbances_have_the_size_that_their_kind_says(splits):
    size = {kind: measures.disturbance(sharp(), splits, "attention", kind, 1.0, 8)[0][
        "relative_size"] for kind in ("output noise", "smoothing", "noise", "all-ones")}
    assert size["output noise"] == pytest.approx(1, rel=1e-5)
    assert size["all-ones"] > 5 * size["smoothing"] > size["noise"] > 0


def test_errors_by_lead_are_the_test_errors_taken_apart():
    own = {split: load("ETTh1", 48, 20, split=split) for split in ("standard", "tail")}
    model = build(make("smoke", dataset="ETTh1", seq_len=48, pred_len=20), 7).eval()
    at = dict(channels="0 2", steps=8, block=1000, split="tail")
    with torch.no_grad():
        rows = pd.DataFrame(measures.errors_by_lead(model, own["standard"], **at))
        x, y = own["tail"].test.batch(slice(1000, 2000))  # the second stretch
        e = (model(x) - y)[:, [0, 2]].square().mean((0, 1))  # [20]
    assert list(rows.lead.unique()) == [8, 16]  # 20 is no multiple of 8
    assert list(rows.stretch.unique()) == list(range(1, len(own["tail"].test) // 1000 + 1))
    assert rows[rows.stretch == 2].mse.tolist() == pytest.approx(
        [e[:8].mean().item(), e[8:16].mean().item()])
    with pytest.raises(ValueError, match="other months"):
        measures.errors_by_lead(model, own["standard"], **at | dict(split="fold-1"))


# -- content or mixing


@pytest.fixture(scope="module")
def splits():
    return load("state-machine", 336, 96)


def sharp(dataset="state-machine", by=8):
    """A model whose attention depends on the contents of the tokens, as after training."""
    model = build(make("smoke", dataset=dataset), 1).eval()
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.W_q.weight.mul_(by)
            layer.attention.W_k.weight.mul_(by)
    return model


@torch.no_grad()
def under(model, splits, intervention, n=20, layers=None):
    """Forecasts of ``n`` test windows under an intervention, in two batches."""
    context, found = Context(model, splits, splits.test.first(n), layers), []
    for index in (slice(0, 16), slice(16, 32)):
        with context.block(intervention, index):
            found.append(model(context.windows.batch(index)[0]))
    return torch.cat(found)


@pytest.mark.parametrize("intervention", FROM_WINDOWS)
def test_an_attention_that_does_not_depend_on_the_window_loses_nothing(intervention, splits):
    model = sharp(by=0)  # A comes from nothing but its biases
    torch.testing.assert_close(under(model, splits, intervention), under(model, splits, "none"))
    fixed = build(make("smoke", dataset="state-machine", attention="fixed"), 1).eval()
    with torch.no_grad():
        fixed.layers[0].attention.A.normal_()
    assert torch.equal(under(fixed, splits, intervention), under(fixed, splits, "none"))


@pytest.mark.parametrize("dataset", ["state-machine", "recall-4"])
@pytest.mark.parametrize("intervention", FROM_WINDOWS)
def test_an_attention_that_looks_at_contents_is_changed_and_restored(intervention, dataset):
    model, splits = sharp(dataset), load(dataset, 336, 96)
    before, after = under(model, splits, "none"), under(model, splits, intervention)
    assert ((after - before).abs().amax(-1) > 1e-3).all()
    assert not torch.allclose(under(model, splits, intervention, layers=[1]), after)
    assert torch.equal(under(model, splits, intervention, layers=[]), before)
    assert torch.equal(under(model, splits, "none"), before)


def test_the_average_is_that_of_the_captured_matrices(splits):
    model = sharp()
    A = maps.capture(model, splits.train.first(40))  # [N, layers, H, T, T]
    for i, average in enumerate(maps.average(model, splits.train, 40)):
        torch.testing.assert_close(average, A[:, i].mean(0))


def test_every_layer_uses_the_matrix_that_the_other_window_has_by_itself():
    """Also above a layer whose tokens were changed by it, and channel by channel."""
    model, series = sharp(), torch.randn(3, 500, generator=torch.Generator().manual_seed(0))
    windows = Windows(series, torch.arange(0, 60, 10), 336, 96)
    names = [f"layers.{i}.attention.weights" for i in range(model.s.n_layers)]
    with torch.no_grad():
        x, _ = windows.batch(slice(None))
        wanted = maps.matrices(model, x[derangement(6, 0)])  # [6 * 3, H, T, T] per layer
        block = Context(model, None, windows).block("A = another window's", slice(None))
        with block, iv.observe(model, names) as seen:
            model(x)
    assert all(torch.equal(seen[name][0], A) for name, A in zip(names, wanted, strict=True))


@pytest.mark.parametrize("n", [2, 3, 50])
def test_a_derangement_takes_every_window_once_and_none_in_its_place(n):
    order = derangement(n, 0)
    assert sorted(order.tolist()) == list(range(n)) and (order != torch.arange(n)).all()
    assert torch.equal(order, derangement(n, 0))
    assert n < 50 or not torch.equal(order, derangement(n, 1))


def test_a_model_of_the_later_months_is_measured_on_the_standard_test_months_too(etth1):
    own = {split: load(etth1, 336, 96, split=split) for split in ("standard", "tail", "fold-1")}
    model = build(make("smoke", dataset=etth1, split="tail"), 7).eval()
    there, = measures.content_or_mixing(model, own["tail"], "none", "standard")
    here, = measures.content_or_mixing(model, own["tail"], "none")
    mse = evaluate(model, own["standard"].test.first(64))[0].double().mean().item()
    assert there["test_mse"] == pytest.approx(mse) and there["test_mse"] != here["test_mse"]
    with pytest.raises(ValueError, match="fold-1.*other months than split tail"):
        measures.content_or_mixing(model, own["tail"], "none", "fold-1")


def test_bad_input_gets_one_sentence(splits):
    with pytest.raises(ValueError, match="intervention='A = 2': choose one of none, "):
        measures.intervened(sharp(), splits, "A = 2")
    with pytest.raises(ValueError, match="1 window: no other"):
        derangement(1, 0)


# -- the rest


@pytest.mark.parametrize("intervention", NAMED)
def test_a_named_intervention_is_measured_batch_by_batch_as_all_at_once(intervention, splits):
    model, part = sharp(), splits.test.first(64)
    row, = measures.intervened(model, splits, intervention, draw=3)
    with Context(model, splits, part, draw=3).block(intervention, slice(None)), torch.no_grad():
        x, y = part.batch(slice(None))
        assert row["test_mse"] == pytest.approx((model(x) - y).square().mean().item(), rel=1e-5)


def test_the_grid_is_what_single_interventions_measure(splits):
    model, windows = sharp(), splits.test.first(20)
    rows = measures.perturbation(model, splits, "attention", "all", 20, 2, "0 0.5", "0 1")
    at = {(row["smoothing"], row["noise"]): row for row in rows}
    with iv.perturb_attention(model, 0.5):
        mse = evaluate(model, windows)[0].mean().item()
    assert at[0.5, 0.0]["test_mse"] == pytest.approx(mse, rel=1e-5) and at[0.5, 0.0]["std"] == 0


def test_measured_again_on_the_same_weights_nothing_is_apart(tmp_path):
    ledger, s = Ledger(tmp_path / "r"), make("smoke", dataset="state-machine", seed=1)
    sweep([s], ledger=ledger, checkpoints=tmp_path)
    points = [dict(windows=16, intervention=name, draw=0) for name in ("none", "A = mean")]
    on_trained("toy_errors", [s], points, MEASURES["toy_errors"], ledger=ledger,
               checkpoints=tmp_path)
    ledger.record("positions", [dict(run_id=s.run_id, rows=21, **row, cosine=9.0, share=1.0)
                                for row in ({"distance": d} for d in range(1, 22))], ["run_id"])
    found = measured_again(s, ledger, checkpoints=tmp_path).set_index("table")
    assert (found.points["toy_errors"], found["values"]["toy_errors"]) == (2, 10)
    assert found.largest["toy_errors"] < 1e-6 < 0.5 < found.largest["positions"]
    assert found.points["positions"] == 1

import multiprocessing
import time
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn import training
from tsattn.checkpoints import load_tensors, load_trained, save_tensors
from tsattn.data import SYNTHETIC, load
from tsattn.models import build
from tsattn.settings import ATTENTIONS, MODELS, make
from tsattn.step import Step
from tsattn.training import evaluate, train

QUIET = dict(progress=False, n_threads=1)


def smoke(**changes):
    return make("smoke", dataset=SYNTHETIC, **changes)


def numbers(result):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.curves]


def test_a_device_is_one_that_is_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [str(training.resolve_device(d)) for d in ("cpu", "cuda:1")] == ["cpu", "cuda:1"]
    with pytest.raises(ValueError, match="'cuda:2': this machine has 2 CUDA devices"):
        training.resolve_device("cuda:2")


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_same_seed_same_numbers_whatever_the_global_generators_and_another_seed_others(
        attention, tmp_path):
    found = []
    for i, seed in enumerate((1, 1, 2)):
        torch.manual_seed(i)
        state = torch.random.get_rng_state()
        found.append(train(smoke(attention=attention, seed=seed), checkpoints=tmp_path / str(i),
                           **QUIET))
        assert torch.equal(state, torch.random.get_rng_state())
    a, b, c = found
    assert numbers(a) == numbers(b) != numbers(c)
    assert np.array_equal(a.test_errors, b.test_errors)


@pytest.mark.parametrize("model", MODELS[1:])
def test_every_model_goes_the_same_way(model, tmp_path):
    s = smoke(model=model)
    a, b = (train(s, checkpoints=tmp_path / name, **QUIET) for name in "ab")
    assert a.status == "complete" and numbers(a) == numbers(b)
    trained = a.how["parameters"] > 0
    assert len(a.curves) == (s.epochs if trained else 1)
    assert trained == (model not in ("last-value", "seasonal-naive"))
    test = load(s.dataset, s.seq_len, s.pred_len).test.first(s.max_windows)
    np.testing.assert_allclose(evaluate(load_trained(s, 1, tmp_path / "a"), test)[0],
                               a.test_errors[:, 0], rtol=1e-6)


@pytest.mark.parametrize("model, seq_len", [("last-value", 48), ("seasonal-naive", 14)])
def test_a_rule_needs_no_batch_and_has_the_season_of_its_data(model, seq_len, tmp_path):
    file = tmp_path / "daily.csv"
    days = pd.date_range("2020-01-01", periods=150)
    pd.DataFrame({"date": days, "x": np.arange(150) % 7.0}).to_csv(file, index=False)
    s = make("paper", model=model, dataset=str(file), seq_len=seq_len, pred_len=7)
    result = train(s, checkpoints=tmp_path, **QUIET)
    assert result.status == "complete"
    assert (result.test_mse < 1e-9) == (model == "seasonal-naive")  # weeks repeat


def test_another_split_must_share_the_months_of_training(tmp_path):
    with pytest.raises(ValueError, match="other months than standard"):
        train(make("smoke", model="last-value"), checkpoints=tmp_path, also=("fold-1",), **QUIET)


def test_training_learns_and_keeps_the_epoch_of_best_validation(tmp_path):
    s = smoke(epochs=6, max_steps=20, d_model=32)
    r = train(s, checkpoints=tmp_path, **QUIET)
    val = [row["val_mse"] for row in r.curves]
    assert r.curves[-1]["train_mse"] < 0.9 * r.curves[0]["train_mse"]
    assert r.val_mse == min(val) == val[r.best_epoch - 1]
    assert r.test_mse == r.curves[r.best_epoch - 1]["test_mse"]
    test = load(s.dataset, s.seq_len, s.pred_len).test.first(s.max_windows)
    again = training.channel_errors(load_trained(s, 1, tmp_path), test).numpy()
    assert np.array_equal(again, r.test_errors) and again.shape == (s.max_windows, 1)
    assert np.isclose(again.mean(), r.test_mse)


def test_evaluation_uses_every_window_and_leaves_the_mode_alone():
    s = smoke()
    model, windows = build(s, 1).train(), load(s.dataset, s.seq_len, s.pred_len).test.first(50)
    whole = evaluate(model, windows)[0]  # in batches of 16
    assert len(whole) == 50 and model.training
    torch.testing.assert_close(whole[45:], evaluate(model, windows[45:50])[0])


def test_patience_ends_the_run(tmp_path):
    r = train(smoke(epochs=40, patience=2, learning_rate=1e-9), checkpoints=tmp_path, **QUIET)
    best = int(np.argmin([row["val_mse"] for row in r.curves])) + 1
    assert len(r.curves) == min(best + 2, 40) and r.best_epoch == best


def test_a_killed_run_ends_with_the_numbers_of_an_uninterrupted_one(tmp_path):
    s = smoke(epochs=12)
    whole = train(s, checkpoints=tmp_path / "whole", **QUIET)
    process = multiprocessing.get_context("fork").Process(
        target=train, args=[s], kwargs=dict(checkpoints=tmp_path / "killed", **QUIET))
    process.start()
    resume, deadline = tmp_path / "killed" / s.run_id / "resume.safetensors", time.time() + 120
    while not resume.exists() and process.is_alive() and time.time() < deadline:
        time.sleep(0.005)
    process.kill()
    process.join()
    assert resume.exists(), "the run ended before it could be killed"
    assert 1 <= len(load_tensors(resume)[1]["curves"]) < 12
    left = [resume.with_name(f"{name}.999999999.tmp") for name in ("resume.safetensors", "mine")]
    for path in left:  # the one of a killed process, the other not
        path.write_bytes(b"half")
    resumed = train(s, checkpoints=tmp_path / "killed", **QUIET)
    assert numbers(resumed) == numbers(whole)
    assert np.array_equal(resumed.test_errors, whole.test_errors)
    assert [path.exists() for path in left] == [False, True]
    # Killed before the result was recorded.
    again = train(s, checkpoints=tmp_path / "killed", **QUIET)
    assert numbers(again) == numbers(whole) and len(again.curves) == len(whole.curves)


def test_the_learning_rate_is_held_and_then_multiplied_after_every_epoch(tmp_path, monkeypatch):
    rates, compute = [], Step.compute

    def noted(step):
        rates.append(step.optimiser.param_groups[0]["lr"])
        compute(step)

    monkeypatch.setattr(Step, "compute", noted)
    s = smoke(epochs=5, patience=5, max_steps=1, learning_rate=0.01, lr_hold=2, lr_decay=0.5)
    train(s, checkpoints=tmp_path, **QUIET)
    assert rates == [0.01, 0.01, 0.005, 0.0025, 0.00125]


def test_the_memory_of_a_training_is_counted(monkeypatch):
    """Sixteen bytes a weight, four a number that a layer keeps, against what the machine has."""
    s = make(batch_size=100, d_model=64, d_ff=32, n_layers=2, attention="zero")
    weights = sum(p.numel() for p in build(s, 7).parameters())
    needed = 16 * weights + 4 * (100 * 7 * 22 * 2 * (4 * 64 + 32))
    for spare, refused in ((1.001, False), (0.999, True)):
        pages = {"SC_PHYS_PAGES": needed * spare, "SC_PAGE_SIZE": 1}
        monkeypatch.setattr(training.os, "sysconf", pages.get)
        with pytest.raises(ValueError, match="d_model=64, .* parameters would take at least .* GB"
                           ) if refused else nullcontext():
            training.check_memory(s, 7)


def test_a_damaged_file_is_detected(tmp_path):
    path = tmp_path / "w.safetensors"
    save_tensors(path, smoke(), {"a": torch.arange(1000.0)}, epoch=3)
    tensors, metadata = load_tensors(path)
    assert torch.equal(tensors["a"], torch.arange(1000.0)) and metadata["epoch"] == 3
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="wrong checksum"):
        load_tensors(path)
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match="damaged"):
        load_tensors(path)


def test_a_file_of_another_run_is_not_taken_for_this_ones(tmp_path):
    """Best and resume files of another attention or seed, copied into the folder of this run."""
    s, other = smoke(), smoke(seed=2)
    train(other, checkpoints=tmp_path, **QUIET)
    for name in ("best", "resume"):
        path = tmp_path / s.run_id / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((tmp_path / other.run_id / path.name).read_bytes())
    with pytest.raises(FileNotFoundError, match="no trained weights"):
        load_trained(smoke(seed=3), 1, tmp_path)
    for use in (lambda: load_trained(s, 1, tmp_path),
                lambda: train(s, checkpoints=tmp_path, **QUIET)):
        with pytest.raises(ValueError, match=f"belongs to another run .{other.run_id}.; remove it"):
            use()


def test_several_threads_give_the_numbers_of_one_up_to_rounding(tmp_path):
    s, before = smoke(max_steps=2, epochs=1, max_windows=16), torch.get_num_threads()
    one, two = (train(s, checkpoints=tmp_path / str(n), progress=False, n_threads=n)
                for n in (1, 2))
    assert (one.how["threads"], two.how["threads"]) == (1, 2) and torch.get_num_threads() == before
    np.testing.assert_allclose(one.test_errors, two.test_errors, rtol=1e-3)
    again = train(s, checkpoints=tmp_path / "again", progress=False, n_threads=2)
    assert np.array_equal(two.test_errors, again.test_errors), "the same threads, the same numbers"


def test_a_measurement_is_in_the_precision_that_was_asked_for():
    splits, s = load("state-machine", 336, 96), smoke()
    model, windows, found = build(s, 1), splits.test.first(64), []
    for name in ("bf16", "float32"):
        with training.precision(name, torch.device("cpu")):
            found.append(evaluate(model, windows)[0])
    assert (found[0] != found[1]).float().mean(0) > 0.9


def test_the_warm_up_before_a_capture_changes_nothing():
    """What a CUDA graph needs, on a CPU: steps in fixed memory, and a warm-up that leaves weights
    and optimiser as before."""
    s = smoke()
    splits = load(s.dataset, s.seq_len, s.pred_len)

    def states(warm):
        model = build(s, 1).train()
        optimiser = torch.optim.Adam(model.parameters(), lr=s.learning_rate)
        step, where = Step(model, optimiser, splits.train, s.batch_size), []
        for i in range(3):
            model.masks.seed(i)
            step(torch.arange(i, i + s.batch_size))
            where.append([p.data_ptr() for p in model.parameters()])
            if warm and i in (0, 1):
                step.warm_up()
        assert where[0] == where[2]
        return [*model.state_dict().values(),
                *(v for state in optimiser.state.values() for v in state.values())]

    assert all(map(torch.equal, states(warm=False), states(warm=True)))

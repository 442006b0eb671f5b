"""The synthetic series against their ground truth, their best forecasts against enumeration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tsattn import attention_maps as maps
from tsattn.checkpoints import load_trained
from tsattn.data import DataError, best, dose, load, of, toy, truth
from tsattn.measures import toy_errors
from tsattn.models import build
from tsattn.settings import make
from tsattn.training import train

L, H = 336, 96


@pytest.fixture(scope="module")
def machine():
    return toy.state_machine(200_000, seed=1)


def test_a_seed_gives_one_series_of_parts_that_add_up_and_a_longer_one_goes_on(machine):
    assert np.array_equal(machine.x, machine.carrier + machine.event + machine.noise)
    assert np.array_equal(machine.event == 0, machine.number < 0)
    short = toy.state_machine(50_000, seed=1)
    assert np.array_equal(short.x, toy.state_machine(50_000, seed=1).x)
    assert not np.array_equal(short.x, toy.state_machine(50_000, seed=2).x)
    known = len(short.event_starts)
    assert np.array_equal(short.event_starts, machine.event_starts[:known])
    assert np.array_equal(short.event_states, machine.event_states[:known])
    assert np.array_equal(short.carrier, machine.carrier[:50_000])
    assert not np.array_equal(short.noise, machine.noise[:50_000])


@pytest.mark.parametrize("dataset, value", [
    ("state-machine", -2.161570e-4), ("recall-4", -9.096262e-7),
    ("recall-4-nonlinear", 5.105228e-5), ("dial-0.25", -1.057483e-4)])
def test_a_series_is_the_one_that_recorded_runs_were_trained_on(dataset, value):
    """Its mean product with a wave: another value, and no recorded run comes out again."""
    x = load(dataset, L, H).test.series.double().numpy().ravel()
    found = (x * np.cos(0.1 * np.arange(len(x)))).mean()
    assert found == pytest.approx(value, rel=1e-3, abs=1e-10)


def test_transition_frequencies_match_the_matrix(machine):
    a, b = machine.event_states[:-1], machine.event_states[1:]
    P = machine.process.P
    for i in range(5):
        n = (a == i).sum()
        found = np.bincount(b[a == i], minlength=5) / n
        assert (np.abs(found - P[i]) <= 4 * np.sqrt(P[i] * (1 - P[i]) / n)).all(), i
    assert np.allclose(machine.process.stationary @ P, machine.process.stationary)


def test_the_error_of_the_best_forecast_is_the_one_it_predicts(machine):
    at = np.arange(0, len(machine.x) - L - H, 53)[:, None] + np.arange(L + H)
    x, y, event = machine.x[at[:, :L]], machine.x[at[:, L:]], machine.number[at[:, L:]] >= 0
    b = toy.best_forecast(x, H)
    error = (b.mean - y) ** 2
    for mask in (np.ones_like(event), event):
        found, expected = (np.where(mask, z, 0).sum(1) / mask.sum(1) for z in (error, b.variance))
        # Overlapping windows share events: compare long stretches.
        means = np.array([g.mean() for g in np.array_split(found - expected, 40)])
        assert abs(means.mean()) < 4 * means.std(ddof=1) / 40**0.5


def test_the_filter_is_the_enumeration_of_all_state_sequences(machine):
    """Told of more noise than there is, it is in doubt about every state."""
    p, start = replace(machine.process, noise=1.3), machine.event_starts[9] + 6  # within an event
    window = machine.x[start:start + L]
    b = toy.best_forecast(window[None], H, p)
    first = machine.event_starts[9] - start
    at = [first + k * p.period + np.arange(p.width) for k in range(b.state.shape[1])]
    seen = [(a >= 0) & (a < L) for a in at]
    carrier = machine.carrier[start:start + L]
    weight = np.zeros(b.state.shape[1:])
    for states in itertools.product(range(5), repeat=len(at)):
        steps = [p.P[i, j] for i, j in itertools.pairwise(states)]
        if all(step > 0 for step in steps):
            probability = p.stationary[states[0]] * np.prod(steps)
            log = sum(-((window[a[m]] - carrier[a[m]] - p.levels[k] * p.triangle[m]) ** 2).sum()
                      / (2 * p.noise**2) for a, m, k in zip(at, seen, states, strict=True))
            weight[range(len(at)), states] += probability * np.exp(log)
    expected = weight / weight.sum(1, keepdims=True)
    variance = np.full(H, p.noise**2)
    for k in (k for k, a in enumerate(at) if a[-1] >= L):  # the filter looks back only
        np.testing.assert_allclose(b.state[0, k], expected[k], atol=0.01)
        later = (at[k] >= L) & (at[k] < L + H)
        doubt = expected[k] @ p.levels**2 - (expected[k] @ p.levels) ** 2
        variance[at[k][later] - L] += doubt * p.triangle[later] ** 2
    np.testing.assert_allclose(b.variance[0], variance, atol=0.01)
    assert 0.05 < np.ptp(variance) and expected.max(1).min() < 0.9


def test_patches_show_the_events_that_lie_in_them_and_a_forecast_its_states(machine):
    starts = np.array([machine.event_starts[5] - 20, machine.event_starts[5] - 30])
    found = machine.patch_events(starts, L, 16, 16, 22)
    assert found[0, 1] == 5 and found[1, 2] == 5 and found[0, 21] == -1
    assert [sorted(set(row) - {-1}) for row in found] == [[5, 6, 7, 8]] * 2
    # A patch that shows the end of an event alone, its middle in the one before, shows none.
    across = machine.patch_events([machine.event_starts[5] - 10], L, 16, 16, 22)
    assert across[0, 0] == 5 and across[0, 1] == -1
    # The states of the truth itself are found.
    starts = np.arange(1000, 150_000, 431)
    height, state = machine.heights(starts, machine.x[starts[:, None] + np.arange(H)])
    true = np.array(machine.process.states)[state]
    assert np.abs(height - true).max() < 0.2 and len(height) > 300


@pytest.mark.parametrize("name", ["recall-1", "recall-4", "recall-16", "dial-0.25"])
def test_recall_can_be_looked_up_and_otherwise_leaves_what_the_theory_says(name):
    task, n = toy.RECALL[name], 6000
    r = toy.recall(n, seed=5, **task)
    x, y, pairs = r.x[:, :L], r.x[:, L:], task["pairs"]
    assert ((r.key[:, :-1] >= 0).sum(1) == pairs).all()
    assert (np.take_along_axis(r.key, r.slot[:, None], 1)[:, 0] == r.key[:, -1]).all()
    zero = (y**2).mean()
    # The noise, and the value's error from eight noisy samples of its bump.
    floor = 0.025**2 * (1 + 1 / 8)
    assert abs(((toy.look_up(x, **task) - y) ** 2).mean() / floor - 1) < 0.02
    # Least squares on everything that a sum over patches can offer: the bumps, in any mixture.
    bumps = np.c_[r.value[:, :-1].sum(1), r.value[:, -1]]
    explained = bumps @ np.linalg.lstsq(bumps, r.target, rcond=None)[0]
    left = ((r.target - explained) ** 2).mean() / (r.target**2).mean()
    assert abs(left - task.get("lookup", 1 - 1 / pairs)) < 0.05 and zero > 0.3


def test_recall_windows_stand_alone_and_carry_their_truth():
    splits = load("recall-4", L, H)
    parts = splits.train, splits.val, splits.test
    assert [len(w) for w in parts] == list(toy.RECALL_WINDOWS)
    assert torch.equal(torch.cat([w.starts for w in parts]), torch.arange(54_000) * (L + H))
    part, r = splits.test.first(8), truth("recall-4", L, H)
    y = part.batch(slice(None))[1][:, 0].numpy()
    target = r.target[part.starts.numpy() // (L + H)]
    assert np.abs(y @ toy.bump(H) / (toy.bump(H) @ toy.bump(H)) - target).max() < 0.02
    event = maps.informative(make(dataset="recall-4"), part)
    assert event.sum(1).tolist() == [1] * 8 and best("recall-4", part)[0].shape == (8, H)
    with pytest.raises(DataError, match="multiple of patch_len"):
        load("recall-4", 100, H)


def test_measures_of_uniform_and_of_sharp_attention_and_auc_as_scikit_learn_has_it():
    event = torch.zeros(3, 22, dtype=torch.bool)
    event[:, [2, 7]] = True
    uniform = torch.full((3, 2, 4, 22, 22), 1 / 22)
    sharp = torch.zeros(3, 2, 4, 22, 22).index_fill(-1, torch.tensor([2]), 1.0)
    for A, lift, entropy in ((uniform, 1, 1), (sharp, 11, 0)):
        for found, value in ((maps.lift(A, event), lift), (maps.entropy(A), entropy)):
            torch.testing.assert_close(found, torch.full((3, 2, 4, 22), float(value)),
                                       rtol=1e-4, atol=1e-4)
    drawn = torch.Generator().manual_seed(0)
    A = torch.rand(4, 1, 1, 22, 22, generator=drawn).round(decimals=1)  # with ties
    event = torch.rand(4, 22, generator=drawn) < 0.3
    for i, found in enumerate(maps.auc(A, event)[:, 0, 0, 5]):
        assert found.item() == pytest.approx(roc_auc_score(event[i], A[i, 0, 0, 5]))


# -- a known dose of look-up on a real series, and what an oracle is told


def read(x) -> np.ndarray:
    """Heights [N] that a look-up reads from inputs [B, C, seq_len] with a pattern: keys by their
    correlation, a value as the least-squares height of its bump beside a constant."""
    cut = x.flatten(0, 1).numpy().reshape(-1, 21, 2, 8)
    like, rows = cut[:, :, 0] @ dose.key_shapes().T, np.arange(len(cut))  # [N, T, 8]
    slot = like[rows, :-1, like[:, -1].argmax(1)].argmax(1)
    bump = dose.VALUES * (toy.bump(8) - toy.bump(8).mean())
    return cut[rows, slot, 1] @ bump / (bump @ bump)


def test_the_pattern_of_a_dose_is_found_by_a_look_up_and_is_worth_its_dose(etth1):
    plain, none, some = (load(name, L, H) for name in ("ETTh1", "ETTh1-dose-0", "ETTh1-dose-30"))
    assert some.name == "ETTh1-dose-30" and len({s.sha256 for s in (plain, none, some)}) == 3
    at = torch.arange(0, 2000, 9)
    (x0, y0), (x1, y1), (x, y) = (s.test[at].batch(slice(None)) for s in (plain, none, some))
    # The same inputs at every dose, and at dose 0 the series' own horizon.
    assert torch.equal(x1, x) and torch.equal(y1, y0)
    # Pattern alone: five patches carry a key, four of them a value, and the look-up finds it.
    added, answer = x - x0, (y - y0).flatten(0, 1)
    cut = added.unflatten(-1, (21, 2, 8)).abs().amax(-1) > 1e-4
    assert (cut[..., 0].sum(-1) == 5).all() and cut[:, :, -1, 0].all()
    assert not (cut[..., 1] & ~cut[..., 0]).any() and not cut[:, :, -1, 1].any()
    height = np.sqrt(0.30 * dose.ERROR / (toy.bump(H) ** 2).mean()) * read(added)
    np.testing.assert_allclose((answer.amax(-1) + answer.amin(-1)).numpy(), height, atol=1e-4)
    # With the series beneath, most of it can still be read from the input.
    assert 0.85 < np.corrcoef(read(x), read(added))[0, 1] ** 2 < 1
    # What a perfect look-up saves is the dose; the values of a window say nothing without the key.
    for part in (some.train, some.test):
        worth = part.added.at(part.starts)[..., L:].square().mean().item()
        assert worth == pytest.approx(0.30 * dose.ERROR, rel=0.02)
    assert some.train.added.value.sum(-1).abs().max() < 1e-5


def test_a_window_has_one_pattern_in_every_split_and_windows_differ(etth1):
    standard, tail = (load("ETTh1-dose-10", L, H, split=s) for s in ("standard", "tail"))
    w, start = standard.test, int(tail.test.starts[0])
    assert torch.equal(w.added.at(torch.tensor([start])), tail.test.added.at(tail.test.starts[:1]))
    few = w.added.at(w.starts[:40]).flatten(0, 1)
    assert len(few.unique(dim=0)) == len(few) == 40 * 7
    index = torch.tensor([5, 0, 17])
    assert torch.equal(w.batch(index)[1], w[index].batch(slice(None))[1])
    with pytest.raises(DataError, match="seq_len=100: a dose of look-up needs a multiple of 16"):
        load("ETTh1-dose-10", 100, H)


def test_an_oracle_names_the_key_or_the_state_that_a_patch_shows(machine):
    model = build(make("smoke", dataset="recall-4-nonlinear", embedding="oracle"), 1)

    def shown(dataset):
        part = load(dataset, L, H, oracle=True).val.first(50)
        named = model.patches(part.batch(slice(None))[0][:, -1]).amax(-1)[:, :21].numpy()
        return named, truth(dataset), part.starts.numpy()

    named, known, starts = shown("recall-4-nonlinear")
    assert np.array_equal(named, 1 + known.key[starts // (L + H)])
    named, known, starts = shown("state-machine")
    number = known.patch_events(starts, L, 16, 16, 21)
    assert np.array_equal(named, np.where(number < 0, 0, 1 + known.event_states[number]))
    for change in (dict(dataset="ETTh1"), dict(model="MLP", attention="none")):
        with pytest.raises(ValueError, match="embedding='oracle': only PatchTST"):
            make(**dict(dataset="recall-4", embedding="oracle") | change)


def test_a_model_is_trained_with_an_oracle_and_on_a_dose(etth1, tmp_path):
    quiet = dict(checkpoints=tmp_path, progress=False, n_threads=1)
    s = make("smoke", dataset="recall-4-nonlinear", embedding="oracle", revin=False)
    result, model = train(s, **quiet), load_trained(s, 1, tmp_path)
    with torch.no_grad():
        (row,) = toy_errors(model, of(s), windows=64)
        x = of(s).test.first(4).batch(slice(None))[0]
        without = x.clone()
        without[:, -1] = 0
        assert not torch.allclose(model(x), model(without))
    assert row["mse"] == pytest.approx(result.test_mse, rel=1e-4) and result.status == "complete"
    s = make("smoke", dataset="ETTh1-dose-30")
    result, plain = train(s, **quiet), train(s.but(dataset="ETTh1-dose-0"), **quiet)
    assert result.how["data_sha256"] == of(s).sha256[:16] != plain.how["data_sha256"]
    # Nothing is learned in six steps: the dose is what the error has gained.
    assert result.test_mse - plain.test_mse == pytest.approx(0.30 * dose.ERROR, rel=0.3)

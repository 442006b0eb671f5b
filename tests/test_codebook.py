"""Codebooks: what they are fitted on, leave alone and report; the rule set for them; chapter 8."""

import math
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import papermill
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from tsattn import compare, runs, tokenizers, training
from tsattn.checkpoints import load_tensors, load_trained
from tsattn.codebook_rule import woken
from tsattn.data import best, load, toy
from tsattn.floors import decoded, floors
from tsattn.ledger import ROOT, Ledger
from tsattn.models import build, count_parameters
from tsattn.models.codebook import Codebook
from tsattn.settings import CODED, make

QUIET = dict(progress=False, n_threads=1)


def smoke(**changes):
    return make("smoke", dataset="state-machine", **dict(embedding="code") | changes)


@pytest.fixture(scope="module")
def splits():
    return load("state-machine", 336, 96)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(tokenizers, "VQ_VAE_STEPS", 60)


def four_codes(levels=1):
    """Patches of two samples; the four corners of a square are the codes."""
    book = Codebook(2, 4, levels)
    book.vectors[0] = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    return book


def same(a, b):
    return all(torch.equal(v, b[k]) for k, v in a.items())


# -- fitting


@pytest.mark.parametrize("tokenizer, total", [("k-means", 6.309), ("vq-vae", -7.039),
                                              ("random", 21.06)])
def test_a_seed_gives_one_codebook_and_random_states_stay_as_they_are(tokenizer, total, splits):
    def states():
        return (np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist(),
                random.getstate(), torch.get_num_threads())

    s, before = smoke(tokenizer=tokenizer), states()
    a = tokenizers.fit(s, splits.train)
    assert states() == before and a.vectors.sum().item() == pytest.approx(total, rel=0.02)
    torch.manual_seed(9)
    b, c = (tokenizers.fit(t, splits.train).state_dict()
            for t in (s.but(attention="zero", embedding="decoded"), s.but(seed=7)))
    assert same(a.state_dict(), b) and not torch.equal(a.vectors, c["vectors"])
    assert a.counts.sum(1).tolist() == [len(tokenizers.patches(s, splits.train, 256 * s.codes))] * 2


def test_nothing_outside_the_training_rows_enters_the_codebook(splits):
    s, end = smoke(), splits.rows[0][1]
    series, fitted = splits.train.series.clone(), tokenizers.fit(s, splits.train).vectors
    changed = replace(splits.train, series=series)
    series[:, end:] = 1e6
    assert torch.equal(fitted, tokenizers.fit(s, changed).vectors)
    series[:, :end] += torch.randn(end, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(fitted, tokenizers.fit(s, changed).vectors)
    series[:] = 0
    with pytest.raises(ValueError, match="codes=16: more than there are different training"):
        tokenizers.fit(s, changed)


@pytest.mark.parametrize("revin", [True, False])
def test_a_codebook_is_fitted_on_the_very_patches_that_the_model_embeds(revin, splits):
    s, seen = smoke(revin=revin, dropout=0.0), []
    found = tokenizers.patches(s, splits.train, 22 * 5)
    draw = torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(s.seed))[:5]
    model = build(s, 1).eval()
    model.W_P.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model(splits.train.batch(draw)[0])
    assert found.shape == (110, 16) and torch.equal(found, seen[0].flatten(0, 1))


@pytest.mark.parametrize("tokenizer, levels, least, most", [
    ("k-means", 2, 0, .015), ("k-means", 1, .02, .06), ("random", 1, .08, 1), ("vq-vae", 2, 0, .1)])
def test_a_level_more_loses_less_and_random_codes_more(
        tokenizer, levels, least, most, splits, monkeypatch):
    monkeypatch.setattr(tokenizers, "VQ_VAE_STEPS", 300)
    s = smoke(tokenizer=tokenizer, code_levels=levels)
    assert least < tokenizers.fit_and_measure(s, splits)[1]["codebook_loss"] < most


# -- by hand


def test_codes_loss_and_perplexity_by_hand_and_a_collapsed_level():
    book = four_codes()
    x = torch.tensor([[1.5, 1], [1, 0.5], [0.5, -1], [-1, 1], [-1, 1], [-1, 1], [-1, 1], [-1, 1]])
    assert book(x).squeeze(-1).tolist() == [0, 0, 1, 2, 2, 2, 2, 2]
    found = tokenizers.quality(book, x)
    # 0.25 is lost three times; the samples vary by 8.5 - 2**2 / 8 and by 7.25 - 5.5**2 / 8
    assert found["codebook_loss"] == pytest.approx(0.75 / (8 + 7.25 - 5.5**2 / 8))
    assert found["codes_used"] == 3 and found["codebook"] == "sound"
    entropy = -sum(n / 8 * math.log(n / 8) for n in (2, 1, 5))
    assert found["code_perplexity"] == pytest.approx(math.exp(entropy), rel=1e-6)
    book, drawn = Codebook(2, 40, 2), torch.Generator().manual_seed(0)
    book.vectors[0] = torch.randn(40, 2, generator=drawn)
    book.vectors[1, 1:] = 1e6
    found = tokenizers.quality(book, torch.randn(4000, 2, generator=drawn))
    assert found["codebook"] == "level 2 collapsed: perplexity 1.0 of 40 codes"
    assert found["codes_used"] == 1


def test_soft_weights_and_a_second_level_of_four_codes_by_hand():
    book = four_codes()
    book.error[0] = 2.0  # variance 1 per sample
    distances = np.array([1 + 0.25, 1 + 2.25, 1 + 0.25, 1 + 2.25])  # from (0, 0.5) to the corners
    expected = np.exp(-distances / 2) / np.exp(-distances / 2).sum()
    np.testing.assert_allclose(book(torch.tensor([0.0, 0.5]), soft=True)[0], expected, rtol=1e-5)
    book = four_codes(levels=2)
    book.vectors[1] = book.vectors[0] / 10  # codes what the first has left
    codes = book(torch.tensor([[1.1, 0.9], [-0.9, 1.1]]))
    assert codes.tolist() == [[0, 1], [2, 0]]
    torch.testing.assert_close(book.decode(codes), torch.tensor([[1.1, 0.9], [-0.9, 1.1]]))


def test_the_floor_of_a_four_code_recall_by_hand():
    """Two keys and two heights, a code for each of the four: the look-up finds that of the code."""
    b, keys, book = toy.bump(8), toy.key_shapes(8, 8)[:2, 0], Codebook(16, 4, 1)
    book.vectors[0] = torch.tensor(np.array([np.r_[k, v * b] for k in keys for v in (1.0, -1.0)]))
    s = make(dataset="recall-2", embedding="code", codes=4, code_levels=1, revin=False, seq_len=48)
    window = np.concatenate([np.r_[keys[0], 1.4 * b], np.r_[keys[1], -0.7 * b],
                             np.r_[keys[1], 0 * b]])
    x, part = torch.tensor(window).float().view(1, 1, -1), load("recall-2", 336, 96).test
    raw, _ = best("recall-2", part, x[:, 0].numpy())
    coded, matters = best("recall-2", part, decoded(s, book, x)[:, 0].numpy())
    assert raw[0].min() == pytest.approx(-0.7, abs=1e-3) and matters.all()
    np.testing.assert_allclose(coded[0], -toy.bump(96), atol=1e-6)
    raw, coded = floors("state-machine", codes=8, max_windows=300)
    assert (raw["given"], coded["given"]) == ("raw", "codes") and raw["error"] < coded["error"]


# -- in a model


@pytest.mark.parametrize("embedding", CODED)
def test_a_changed_patch_changes_its_own_token_alone(embedding, splits):
    s = smoke(embedding=embedding, revin=False)
    model = build(s, 1, tokenizers.fit(s, splits.train)).eval()
    x = splits.test.first(3).batch(slice(None))[0][:, 0]
    changed = x.clone()
    changed[:, 32:48] = -x[:, 32:48] + 1
    book = model.W_P.codebook
    other = (book(model.patches(x)) != book(model.patches(changed))).any(-1)
    assert other.nonzero().tolist() == [[i, 2] for i in range(3)], "the change must change the code"
    assert torch.equal((model.embed(x) != model.embed(changed)).any(-1), other)


@pytest.mark.parametrize("levels", [1, 2])
def test_code_init_starts_where_decoded_is_and_code_at_its_scale(levels, splits):
    s = smoke(code_levels=levels, d_model=64, codes=64)
    book = tokenizers.fit(s, splits.train)
    models = {e: build(s.but(embedding=e), 1, book) for e in CODED}
    x = tokenizers.patches(s, splits.train, 20_000)
    tokens = {e: m.W_P(x).detach() for e, m in models.items()}
    torch.testing.assert_close(tokens["code-init"], tokens["decoded"])
    scale = {e: (t - t.mean(0)).square().mean().sqrt().item() for e, t in tokens.items()}
    assert abs(scale["code"] / scale["decoded"] - 1) < 0.15
    assert scale["decoded"] < 0.7  # N(0, 1) would be 1
    assert not torch.allclose(tokens["code"], tokens["code-init"], atol=0.1)
    linear = build(s.but(embedding="linear"), 1)
    assert all(torch.equal(m.head.weight, linear.head.weight) for m in models.values())
    assert torch.equal(models["decoded"].W_P.linear.weight, linear.W_P.weight)


@pytest.mark.parametrize("embedding, tokenizer", [(e, "k-means") for e in CODED] + [
    ("code", "vq-vae")])
def test_a_codebook_stays_frozen_travels_with_the_weights_and_a_killed_run_goes_on_bit_equal(
        embedding, tokenizer, splits, tmp_path, monkeypatch):
    s, epoch = smoke(embedding=embedding, tokenizer=tokenizer, epochs=4), training._Run.epoch
    result = training.train(s, checkpoints=tmp_path / "whole", **QUIET)
    model, book = load_trained(s, 1, tmp_path / "whole"), tokenizers.fit(s, splits.train)
    assert same(book.state_dict(), model.W_P.codebook.state_dict())
    learned = "linear.weight" if embedding == "decoded" else "table"
    start = build(s, 1, book).W_P.state_dict()[learned]
    assert not torch.equal(model.W_P.state_dict()[learned], start)
    assert {"codebook_loss", "codes_used", "code_perplexity", "codebook",
            "codebook_seconds"} <= set(result.how)
    assert 0 < result.how["codebook_seconds"] < 600
    assert result.how["parameters_used"] == count_parameters(s)[1] > 0

    def killed(run, bar):
        if len(run.result.curves) == 2:
            raise KeyboardInterrupt
        epoch(run, bar)

    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr(training._Run, "epoch", killed)
        training.train(s, checkpoints=tmp_path / "killed", **QUIET)
    tensors, metadata = load_tensors(tmp_path / "killed" / s.run_id / "resume.safetensors")
    assert len(metadata["curves"]) == 2 and "model.W_P.codebook.vectors" in tensors
    resumed = training.train(s, checkpoints=tmp_path / "killed", **QUIET)
    assert np.array_equal(resumed.test_errors, result.test_errors)
    assert same(model.state_dict(), load_trained(s, 1, tmp_path / "killed").state_dict())


def test_a_key_of_parities_is_read_by_the_rule_and_by_no_linear_map():
    parities = toy.RECALL["recall-4-nonlinear"]
    r = toy.recall(3000, seed=5, **parities)
    known, shown = r.key.ravel() >= 0, r.x[:, :336].reshape(-1, 16)
    x, key = np.array_split(shown[known].astype(float), 2), np.array_split(r.key.ravel()[known], 2)
    linear = LogisticRegression().fit(x[0], key[0])
    hidden = MLPClassifier((64,), max_iter=60, tol=1e-3, random_state=0).fit(x[0], key[0])
    assert linear.score(x[1], key[1]) < 0.2 and hidden.score(x[1], key[1]) > 0.95  # chance: 0.125
    loss = log_loss(key[1], linear.predict_proba(x[1]))
    assert loss == pytest.approx(math.log(8), rel=0.005)
    y = r.x[:, 336:]
    assert ((toy.look_up(r.x[:, :336], **parities) - y) ** 2).mean() < 0.01 * (y**2).mean()
    shapes = toy.key_shapes(8, 8, parity=True)
    assert len(np.unique(shapes.reshape(-1, 8).round(6), axis=0)) == 64
    assert np.allclose(shapes.sum(1), 0) and np.allclose((shapes**2).mean(-1), 1)


# -- the runs, their errors and the rule


def test_errors_are_those_on_the_most_windows(tmp_path):
    ledger, named = Ledger(tmp_path), runs.embeddings("recall-4", seeds=(1, 2))
    values = {("linear", "softmax"): 0.2, ("mlp", "softmax"): 0.3, ("mlp", "zero"): 0.4}
    assert compare.by_embedding(ledger, named).empty
    ledger.record("toy_errors", [
        dict(run_id=s.run_id, windows=w, intervention="none", mse=values[e, a] * w / 10,
             event_mse=9, zero_mse=2.0)
        for (e, a, _), s in named.items() if (e, a) in values for w in (5, 10)],
        ["run_id", "windows"])
    error = compare.by_embedding(ledger, named).set_index(["embedding", "attention", "seed"]).error
    assert len(error) == 6 and error["mlp", "softmax", 2] == 0.15


def table(cells):
    """Errors by embedding, attention and seed (``cells``: embedding -> attention -> values)."""
    return pd.DataFrame([dict(embedding=e, attention=a, seed=seed, error=v)
                         for e, by in cells.items() for a, values in by.items()
                         for seed, v in enumerate(values)])


def cells(**changes):
    """Errors of five seeds, 0.002 around cells in which the codebook has woken attention."""
    rng = np.random.default_rng(0)
    others = dict(softmax=1, zero=1.25, fixed=1.2)
    means = dict.fromkeys(("linear", "decoded", "mlp", "random"), others) | {
        "code": dict(softmax=0.9, zero=1.5, fixed=1.1) | changes}
    return {e: {a: mean + 0.002 * rng.standard_normal(5) for a, mean in by.items()}
            for e, by in means.items()}


def answer(cells):
    return woken(table(cells), "code", "random")["answer"]


@pytest.mark.parametrize("changes, expected", [
    ({}, "woken"), (dict(softmax=1.02, zero=2.0), "wider because zero got worse"),
    (dict(zero=1.1), "not woken"), (dict(fixed=0.9), "not woken"),
    (dict(softmax=0.999, zero=2), "not woken")])
def test_woken_needs_all_four_conditions(changes, expected):
    base = cells(**changes)
    if changes.get("softmax") == 0.999:
        base["random"]["softmax"] = base["code"]["softmax"] - 0.01  # the placebo does as well
    assert answer(base) == expected


def test_one_seed_or_an_absent_cell_cannot_tell_but_an_excluded_condition_decides():
    base = cells()
    assert answer({e: {a: v[:1] for a, v in by.items()} for e, by in base.items()}) == "cannot tell"
    del base["mlp"]
    assert woken(table(base), "code", "random")["conditions"].holds.sum() == 4
    assert answer(base) == "cannot tell"
    for fixed, expected in ((1.2, "cannot tell"), (0.85, "not woken")):
        base = cells(fixed=fixed)
        del base["random"]
        assert answer(base) == expected
    del base["code"]["fixed"]
    assert answer(base) == "cannot tell"


@pytest.mark.chapter
def test_the_chapter_trains_its_tiny_runs_and_fills_itself_in(tmp_path):
    """Chapter 8 from an empty ledger, with embeddings of codes; only the RQ-VAE, slow, is out."""
    embeddings = ["linear", "code-init", "code", "random"]
    given = dict(profile="smoke", seeds=[2021], embeddings=embeddings, dataset="state-machine",
                 windows=30, results_dir=str(tmp_path), figures_dir=str(tmp_path / "figures"))
    papermill.execute_notebook(ROOT / "notebooks" / "08_codebook.ipynb", None, given,
                               kernel_name="python3", progress_bar=False)
    ledger = Ledger(tmp_path)
    of = runs.embeddings("state-machine", "smoke", embeddings, ("softmax", "zero", "fixed"), [2021])
    assert len(compare.by_embedding(ledger, of)) == len(of) == 12
    recorded = ledger.read("runs")
    assert set(recorded.status) == {"complete"} and recorded.code_perplexity.notna().sum() == 9
    assert {p.stem for p in (tmp_path / "figures").glob("*.png")} == {
        "08_gap", "08_codes", "08_conditions", "08_ladder", "08_attention"}

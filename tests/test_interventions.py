"""Interventions: what each does, that it ends, and that bad input is refused."""

from functools import partial

import pytest
import torch

from tsattn import interventions as iv
from tsattn.data import load
from tsattn.models import build
from tsattn.settings import make

NOTHING = [iv.perturb_attention, iv.perturb_feed_forward,
           lambda m: iv.disturb_output(m, "attention", 0.0),
           lambda m: iv.perturb_attention(m, layers=[]),
           lambda m: iv.permute_tokens(m, torch.arange(m.s.n_tokens), with_positions=True),
           lambda m: iv.give_attention(m, [], layers=[])]
SOMETHING = [lambda m: iv.perturb_attention(m, smoothing=0.5),
             lambda m: iv.perturb_attention(m, noise=1.0, layers=[1]),
             lambda m: iv.perturb_attention(m, smoothing=1.0, uniform="ones"),
             lambda m: iv.perturb_feed_forward(m, smoothing=0.5),
             lambda m: iv.perturb_feed_forward(m, noise=1.0),
             lambda m: iv.give_attention(m, [torch.eye(m.s.n_tokens).expand(4, -1, -1)] * 2),
             lambda m: iv.replace_attention(m, "zero"), lambda m: iv.remove(m, "feed_forward"),
             lambda m: iv.disturb_output(m, "feed_forward", 0.5),
             lambda m: iv.act(m, {"position": torch.zeros_like}),
             lambda m: iv.permute_tokens(m, torch.arange(m.s.n_tokens).flip(0),
                                         with_positions=True)]


@pytest.fixture
def model():
    """A model with sharp attention and positions that matter, as after training."""
    model = build(make("smoke"), 1).eval()
    with torch.no_grad():
        model.W_pos.normal_()
        for layer in model.layers:
            layer.attention.W_q.weight.mul_(5)
    return model


@pytest.fixture
def x():
    return torch.randn(4, 2, 336, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def changed(model, x, block):
    with block(model):
        return model(x)


@pytest.mark.parametrize("block", NOTHING)
def test_strength_0_changes_no_bit(model, x, block):
    assert torch.equal(changed(model, x, block), model(x))


@pytest.mark.parametrize("block", SOMETHING)
def test_every_intervention_acts_and_is_restored_exactly_also_after_an_exception(model, x, block):
    before, state = model(x), {k: v.clone() for k, v in model.state_dict().items()}
    assert not torch.allclose(changed(model, x, block), before)
    with pytest.raises(RuntimeError, match="inside"):
        with block(model):
            raise RuntimeError("inside")
    assert torch.equal(model(x), before)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("attention, block", [
    *((a, partial(iv.replace_attention, attention=a)) for a in ("identity", "zero", "mean")),
    ("mean", lambda m: iv.perturb_attention(m, smoothing=1.0)),
    ("mean", lambda m: iv.perturb_attention(m, smoothing=1.0, noise=2.0)),
    ("identity", lambda m: iv.give_attention(m, [torch.eye(22).expand(4, 22, 22)] * 2)),
    ("identity", lambda m: iv.give_attention(m, [torch.eye(22).expand(8, 4, 22, 22)] * 2))])
def test_another_matrix_makes_the_variant_with_the_same_weights(model, x, attention, block):
    """Given matrices are one for all sequences [H, T, T] or one for each [N, H, T, T]."""
    variant = build(make("smoke", attention=attention), 1).eval()
    variant.load_state_dict(model.state_dict())
    torch.testing.assert_close(changed(model, x, block), variant(x))


def test_all_ones_is_the_sum_instead_of_the_mean(model, x):
    seen = {}
    for uniform in ("mean", "ones"):
        with iv.perturb_attention(model, smoothing=1.0, uniform=uniform, layers=[0]):
            layer = model.layers[0].attention
            tokens = model.embed(x.flatten(0, 1))
            seen[uniform] = layer(tokens)[0] - layer.W_o.bias
    torch.testing.assert_close(seen["ones"], model.s.n_tokens * seen["mean"], rtol=1e-4, atol=1e-4)


def test_smoothing_moves_towards_the_mean_by_its_strength(model):
    A, out = torch.rand(8, 4, 22, 22), torch.randn(8, 22, 16)
    with iv.perturb_attention(model, smoothing=0.25), iv.perturb_feed_forward(model,
                                                                              smoothing=0.25):
        layer = model.layers[1]
        torch.testing.assert_close(layer.attention.weights(A), 0.75 * A + 0.25 / 22)
        torch.testing.assert_close(layer.feed_forward_out(out),
                                   0.75 * out + 0.25 * out.mean(-1, keepdim=True))


def test_noise_has_the_size_it_says(model):
    torch.manual_seed(0)
    hidden, scores = torch.randn(8, 22, 32), torch.randn(8, 4, 22, 22)
    with iv.perturb_feed_forward(model, noise=0.5), iv.perturb_attention(model, noise=0.5):
        for point, clean in ((model.layers[0].feed_forward.hidden, hidden),
                             (model.layers[1].attention.scores, 3 * scores)):
            ratio = (point(clean) - clean).square().mean(-1) / clean.var(-1, correction=0)
            assert ratio.mean().sqrt().item() == pytest.approx(0.5, abs=0.02)
    out = torch.randn(8, 22, 16)
    with iv.disturb_output(model, "attention", 0.3):
        delta = model.layers[0].attention_out(out) - out
    torch.testing.assert_close(delta.norm(dim=-1) / out.norm(dim=-1), torch.full((8, 22), 0.3))


def test_without_positions_the_flatten_head_alone_sees_the_order(x):
    order = torch.arange(22).flip(0)
    for head, blind in (("flatten", False), ("mean", True)):
        model = build(make("smoke", positional_encoding="none", head=head), 1).eval()
        permuted = changed(model, x, partial(iv.permute_tokens, order=order, with_positions=False))
        assert torch.allclose(permuted, model(x), atol=1e-5) == blind
        tokens = model.embed(x.flatten(0, 1))  # attention is permutation equivariant
        torch.testing.assert_close(model.encode(tokens[:, order]), model.encode(tokens)[:, order])


def test_relative_size_of_a_known_disturbance(model):
    windows = load("state-machine", 336, 96).test.first(20)
    for sublayer, size, change in (
            ("feed_forward", 0.7, partial(iv.disturb_output, model, "feed_forward", 0.7)),
            ("attention", 1.0, partial(iv.remove, model, "attention"))):
        found = iv.relative_size(model, windows, sublayer, change, batch_size=8)
        assert found == pytest.approx(size, rel=1e-5)


@pytest.mark.parametrize("block, words", [
    (lambda m: iv.remove(m, "norm"), "layers.0.norm_out: no such point; .*feed_forward_out"),
    (lambda m: iv.remove(m, "attention", layers=[7]), "layers.7.attention_out: no such point"),
    (lambda m: iv.remove(m.train(), "attention"), "training mode"),
    (lambda m: iv.perturb_attention(m, uniform="two"), "mean or ones"),
    (lambda m: iv.replace_attention(m, "fixed"), "identity, zero, mean"),
    (lambda m: iv.permute_tokens(m, torch.zeros(22), with_positions=True), "0 to 21 exactly once")])
def test_bad_input_gets_one_sentence(model, block, words):
    with pytest.raises(ValueError, match=words), block(model):
        pass

"""The five attentions against the plain formula, and what the model must and must not depend on."""

import numpy as np
import pytest
import torch

from tsattn.models import build, count_parameters
from tsattn.models.attention import VARIANTS, SoftmaxAttention, make_attention
from tsattn.models import fused
from tsattn.models.dropout import Dropout, MaskSource
from tsattn.settings import ATTENTIONS, Settings, make

N, T, D, H = 3, 7, 16, 4


def by_hand(layer, x, A):
    """concat_h(A_h W_v x) W_o with the explicit matrix A [H, T, T] or [N, H, T, T], in a loop over heads."""
    v = x @ layer.W_v.weight.T + layer.W_v.bias
    heads = [A[..., h, :, :] @ v[..., h * D // H:(h + 1) * D // H] for h in range(H)]
    return torch.cat(heads, -1) @ layer.W_o.weight.T + layer.W_o.bias


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("residual", [True, False])
def test_attention_is_the_formula_with_the_explicit_matrix(attention, residual):
    torch.manual_seed(0)
    s = Settings(attention=attention, d_model=D, n_heads=H, residual_attention=residual)
    layer = make_attention(s, T).double()
    x, below = torch.randn(N, T, D).double(), torch.randn(N, H, T, T).double()
    if attention == "fixed":
        torch.nn.init.normal_(layer.A)
    q, k = (torch.stack((w(x)).split(D // H, -1), 1) for w in (layer.W_q, layer.W_k))
    logits = q @ k.mT / (D // H) ** 0.5 + (below if residual else 0)
    A = {"softmax": lambda: logits.softmax(-1), "identity": lambda: torch.eye(T).double().expand(H, T, T),
         "zero": lambda: torch.zeros(H, T, T).double(), "mean": lambda: torch.full((H, T, T), 1 / T).double(),
         "fixed": lambda: layer.A}[attention]()
    out, scores = layer(x, below)
    torch.testing.assert_close(out.expand(N, T, D), by_hand(layer, x, A))
    if attention == "softmax":
        torch.testing.assert_close(scores, logits)


def test_fixed_starts_as_mean():
    models = [build(make("smoke", attention=a), 1).eval() for a in ("fixed", "mean")]
    x = torch.randn(4, 2, 336)
    torch.testing.assert_close(models[0](x), models[1](x))


def test_variants_of_one_seed_start_from_equal_weights():
    states = [build(make("smoke", attention=a), 1).state_dict() for a in ATTENTIONS]
    for name in states[0]:
        assert all(torch.equal(s[name], states[0][name]) for s in states), name


@pytest.mark.parametrize("change", [{"patch_len": 336, "stride": 336, "pad_end": False}, {"patch_len": 24, "stride": 8},
                                    {"head": "mean"}, {"positional_encoding": "none"}, {"norm": "layer"},
                                    {"norm_position": "pre"}, {"revin": False}, {"seq_len": 50, "pred_len": 7}])
@pytest.mark.parametrize("attention", ["softmax", "fixed", "zero"])
def test_any_window_patch_and_stride(change, attention):
    s = make("smoke", attention=attention, **change)
    assert build(s, 3)(torch.randn(2, 3, s.seq_len)).shape == (2, 3, s.pred_len)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_capacity_counts_what_the_forecast_depends_on(attention):
    s = make(attention=attention)
    total, used = count_parameters(s)
    idle = {"softmax": 0, "identity": 2, "mean": 2, "fixed": 2, "zero": 4}[attention]
    lost = idle * (s.d_model**2 + s.d_model) * s.n_layers
    if attention == "zero":
        lost -= s.n_layers * s.d_model  # the bias of W_o still passes
    assert total - used == lost


def test_channels_do_not_see_each_other():
    model, x = build(make("smoke"), 3).eval(), torch.randn(2, 3, 336)
    other = x.clone()
    other[:, 1] += torch.randn(2, 336)
    assert torch.equal(model(x)[:, [0, 2]], model(other)[:, [0, 2]])
    assert not torch.equal(model(x)[:, 1], model(other)[:, 1])


def test_revin_carries_level_and_scale_through():
    model, x = build(make("smoke"), 1).eval().double(), torch.randn(2, 1, 336).double()
    torch.testing.assert_close(model(5 * x + 3), 5 * model(x) + 3, rtol=1e-4, atol=1e-4)


def test_residual_attention_reaches_the_next_layer():
    x = torch.randn(2, 1, 336)
    a, b = (build(make("smoke", residual_attention=r), 1).eval() for r in (True, False))
    b.load_state_dict(a.state_dict())
    assert not torch.allclose(a(x), b(x))


def test_softmax_over_one_token_is_identity():
    torch.manual_seed(0)
    soft, same = SoftmaxAttention(D, H, 1), VARIANTS["identity"](D, H, 1)
    same.load_state_dict(soft.state_dict())
    x = torch.randn(N, 1, D)
    torch.testing.assert_close(soft(x)[0], same(x)[0])


def test_dropout_has_its_mean_its_rate_and_its_seed():
    source = MaskSource()
    layer, x = Dropout(0.2, source, times=2).train(), torch.ones(1000, 1000)
    source.seed(1, 2)
    y = layer(x)
    assert abs((y == 0).float().mean().item() - 0.36) < 4 * np.sqrt(0.36 * 0.64 / 1e6)
    assert abs(y.mean().item() - 1) < 4 * np.sqrt(0.36 / 0.64 / 1e6)
    source.seed(1, 2)
    assert torch.equal(layer(x), y)
    source.seed(1, 3)
    assert not torch.equal(layer(x), y)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("change", [{}, {"residual_attention": False}, {"dropout": 0.0}, {"attention": "zero"},
                                    {"attention": "fixed"}, {"norm": "layer", "patch_len": 336, "pad_end": False}])
def test_steps_by_hand_give_the_output_and_the_gradients_of_the_plain_formulas(change, monkeypatch):
    """In float64, with several chunks and the same dropout masks; a seed gives the same model and masks to both."""
    monkeypatch.setattr(fused, "CHUNK", 50)
    x, found = torch.randn(7, 3, 336).double(), []
    for plain in (True, False):
        monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_, plain=plain: plain)
        model = build(make("smoke", **change), 3).double().train()
        y = model(x)
        (y * torch.linspace(0, 1, y.numel()).view_as(y)).sum().backward()
        found.append([y] + [p.grad for p in model.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1])
    for a, b in zip(*found):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    assert model.dropout.dropped == 0 or not torch.equal(y, model(x)), "dropout is at work"

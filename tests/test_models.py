"""The five attentions against the plain formula, and what the model must and must not depend on."""

import numpy as np
import pytest
import torch

from tsattn.models import build, count_multiply_adds, count_parameters, match
from tsattn.models.attention import make_attention
from tsattn.models.dropout import Dropout, MaskSource
from tsattn.models.linear import linear
from tsattn.settings import ATTENTIONS, MODELS, Settings, make

N, T, D, H = 3, 7, 16, 4


def by_hand(layer, attention, x, below=0.0):
    """concat_h(A_h W_v x) W_o, head by head, with the matrix A [H, T, T] or [N, H, T, T], and the
    logits of softmax [N, H, T, T]."""
    T = x.shape[1]
    q, k = (torch.stack(w(x).split(D // H, -1), 1) for w in (layer.W_q, layer.W_k))
    logits = q @ k.mT / (D // H) ** 0.5 + below
    A = {"softmax": lambda: logits.softmax(-1),
         "identity": lambda: torch.eye(T).double().expand(H, T, T),
         "zero": lambda: torch.zeros(H, T, T).double(),
         "mean": lambda: torch.full((H, T, T), 1 / T).double(),
         "fixed": lambda: layer.A}[attention]()
    v = x @ layer.W_v.weight.T + layer.W_v.bias
    heads = [A[..., h, :, :] @ v[..., h * D // H:(h + 1) * D // H] for h in range(H)]
    return torch.cat(heads, -1) @ layer.W_o.weight.T + layer.W_o.bias, logits


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("residual", [True, False])
def test_attention_is_the_formula_with_the_explicit_matrix(attention, residual):
    torch.manual_seed(0)
    s = Settings(attention=attention, d_model=D, n_heads=H, residual_attention=residual)
    layer = make_attention(s, T).double()
    x, below = torch.randn(N, T, D).double(), torch.randn(N, H, T, T).double()
    if attention == "fixed":
        torch.nn.init.normal_(layer.A)
    out, scores = layer(x, below)
    expected, logits = by_hand(layer, attention, x, below if residual else 0.0)
    torch.testing.assert_close(out.expand(N, T, D), expected)
    if attention == "softmax":
        torch.testing.assert_close(scores, logits)


def test_variants_of_one_seed_start_from_equal_weights_and_fixed_as_mean():
    torch.manual_seed(2021)
    first = torch.nn.Linear(16, 16).weight  # the embedding is drawn before all others
    models = {a: build(make("smoke", attention=a), 1).eval() for a in ATTENTIONS}
    softmax, x = models["softmax"].state_dict(), torch.randn(4, 2, 336)
    for model in models.values():
        assert all(torch.equal(model.state_dict()[k], v) for k, v in softmax.items())
        assert torch.equal(model.W_P.weight, first)
    torch.testing.assert_close(models["fixed"](x), models["mean"](x))


@pytest.mark.parametrize("change, value", [
    ({}, 3.118857), (dict(attention="fixed"), 3.114223), (dict(embedding="mlp"), 2.933746),
    (dict(embedding="conv"), 2.961459), (dict(embedding="residual"), 3.149604),
    (dict(dataset="recall-4", embedding="oracle"), 3.526470), (dict(model="MLP"), 2.971225),
    (dict(model="iTransformer"), 3.592425), (dict(model="linear"), 3.471072),
    (dict(model="DLinear"), 1.058805)])
def test_a_seed_starts_from_the_weights_that_recorded_runs_started_from(change, value):
    """Mean square of an untrained forecast: another value, and no recorded run comes out again."""
    s = make("smoke", **dict(calendar=False) | change)
    channels = 2 if s.model == "iTransformer" else 1
    t = torch.arange(336)
    x = (torch.sin(0.1 * t) + 0.01 * t).repeat(2, channels, 1)
    if s.embedding == "oracle":
        x = torch.cat([x, torch.full((2, 1, 336), 3.0)], 1)  # every patch shows the key 2
    torch.manual_seed(0)
    with torch.no_grad():
        forecast = build(s, channels).eval()(x)
    assert forecast.square().mean().item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("embedding", ["linear", "mlp", "conv", "residual"])
def test_every_embedding_treats_each_patch_by_itself(embedding):
    model = build(make("smoke", embedding=embedding), 1).eval()
    x = torch.randn(3, 336, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, 32:48] += 1
    moved = (model.embed(x) != model.embed(changed)).any(-1)
    assert model.embed(x).shape == (3, 22, 16) and moved.nonzero()[:, 1].tolist() == [2, 2, 2]


@pytest.mark.parametrize("change", [
    {"patch_len": 336, "stride": 336, "pad_end": False}, {"patch_len": 24, "stride": 8},
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


@pytest.mark.parametrize("model", [m for m in MODELS if m != "iTransformer"])
def test_channels_do_not_see_each_other(model):
    model, x = build(make("smoke", model=model), 3).eval(), torch.randn(2, 3, 336)
    other = x.clone()
    other[:, 1] += torch.randn(2, 336)
    assert torch.equal(model(x)[:, [0, 2]], model(other)[:, [0, 2]])
    assert not torch.equal(model(x)[:, 1], model(other)[:, 1])


@pytest.mark.parametrize("model", ["PatchTST", "linear", "MLP"])
def test_revin_carries_level_and_scale_through(model):
    model, x = build(make("smoke", model=model), 1).eval().double(), torch.randn(2, 1, 336).double()
    torch.testing.assert_close(model(5 * x + 3), 5 * model(x) + 3, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 3, 16), (7, 300), (2, 1)])
def test_linear_maps_and_their_gradients_are_those_of_pytorch(shape):
    def own(function):
        drawn = torch.Generator().manual_seed(0)
        x, W, b, dy = (torch.randn(size, generator=drawn) for size in (
            shape, (9, shape[-1]), (9,), (*shape[:-1], 9)))
        given = [t.requires_grad_() for t in (x, W, b)]
        y = function(*given)
        y.backward(dy)
        return [y.detach(), *(t.grad for t in given)]

    for found, usual in zip(own(linear), own(torch.nn.functional.linear), strict=True):
        torch.testing.assert_close(found, usual, rtol=1e-4, atol=1e-4)
    x, W, b = torch.randn(4, 8), torch.randn(3, 8), torch.zeros(3)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, W, b).dtype == torch.bfloat16


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
    assert Dropout(1 - 1e-6, source).train()(x).count_nonzero() < 50  # 16 bits leave 1 in 65536
    x, residual = torch.randn(50, 40, requires_grad=True), torch.randn(50, 40)
    y = layer(x, residual) - residual
    y.sum().backward()  # the gradient has the mask of the output
    torch.testing.assert_close(y, x * x.grad)
    assert torch.equal(layer.eval()(x), x)


def test_a_training_step_draws_its_masks_in_the_order_in_which_it_uses_them():
    """Recorded numbers hang on the order: tokens, then attention, hidden and output by layer."""
    model, drawn = build(make("smoke"), 1).train(), []
    names = {id(m): name for name, m in model.named_modules() if isinstance(m, Dropout)}
    for m in model.modules():
        if isinstance(m, Dropout):
            m.register_forward_hook(
                lambda m, _, out: drawn.append((names[id(m)], tuple(out.shape))))
    model(torch.randn(2, 1, 336))
    layer = [("dropout_1", 16), ("feed_forward.dropout", 32), ("dropout_2", 16)]
    assert drawn == [("dropout", (2, 22, 16))] + [
        (f"layers.{i}.{name}", (2, 22, d)) for i in range(2) for name, d in layer]


def test_one_token_in_a_training_step_is_refused():
    model = build(make("smoke", patch_len=336, pad_end=False), 1).train()
    with pytest.raises(ValueError, match="more than one token"):
        model(torch.randn(1, 1, 336))


@pytest.mark.parametrize("norm_position", ["post", "pre"])
def test_attention_only_has_no_feed_forward(norm_position):
    s = make(norm_position=norm_position)
    model = build(s.but(feed_forward=False), 1).eval()
    # With the norm after it.
    lost = s.n_layers * (2 * s.d_model * s.d_ff + s.d_ff + s.d_model + 2 * s.d_model)
    assert count_parameters(s)[0] - count_parameters(model.s)[0] == lost
    x = torch.randn(2, 1, 336)
    tokens, scores = model.embed(x.flatten(0, 1)), None
    for layer in model.layers:  # scores go up to the next layer
        a, scores = layer.attention(layer.norm_1(tokens) if layer.pre else tokens, scores)
        tokens = tokens + a if layer.pre else layer.norm_1(tokens + a)
    torch.testing.assert_close(model.encode(model.embed(x.flatten(0, 1))), model.norm(tokens))


# -- other models

@pytest.mark.parametrize("attention", ATTENTIONS)
def test_itransformer_is_its_formulas_with_the_explicit_matrix(attention):
    s = make("smoke", model="iTransformer", attention=attention, n_layers=1)
    model, x = build(s, 5).double().eval(), torch.randn(3, 9, 336).double()
    layer = model.layers[0]
    mean = x[:, :5].mean(-1, keepdim=True)
    std = (x[:, :5].var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    h = model.W_e(torch.cat([(x[:, :5] - mean) / std, x[:, 5:]], 1))
    h = layer.norm_1(h + by_hand(layer.attention, attention, h)[0])
    hidden = torch.nn.functional.gelu(layer.feed_forward.W_1(h))
    h = layer.norm_2(h + layer.feed_forward.W_2(hidden))
    torch.testing.assert_close(model(x), model.head(model.norm(h)[:, :5]) * std + mean)


def test_dlinear_is_its_formula():
    model, x = build(make("smoke", model="DLinear"), 2).double(), torch.randn(3, 2, 336).double()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (12, 12)), mode="edge")
    trend = torch.tensor(np.stack([padded[..., i:i + 25].mean(-1) for i in range(336)], -1))
    W_s, W_t = model.seasonal, model.trend
    by_formula = (x - trend) @ W_s.weight.T + W_s.bias + trend @ W_t.weight.T + W_t.bias
    torch.testing.assert_close(model(x), by_formula)


def test_the_rules_are_what_they_say():
    x = torch.randn(2, 3, 336)
    last, daily = (build(make(model=m, pred_len=60), 3)(x)
                   for m in ("last-value", "seasonal-naive"))
    assert last.shape == daily.shape == (2, 3, 60)
    assert all(torch.equal(last[..., t], x[..., -1]) for t in range(60))
    assert all(torch.equal(daily[..., t], x[..., 336 - 24 + t % 24]) for t in range(60))
    with pytest.raises(ValueError, match="seq_len=20: seasonal-naive"):
        build(make(model="seasonal-naive", seq_len=20), 3)


@pytest.mark.parametrize("settings, cost", [
    (make(model="MLP"), "parameters"), (make(attention="zero"), "parameters"),
    (make(attention="zero"), "multiply-adds")])
@pytest.mark.parametrize("pred_len", [96, 720])
def test_matched_models_cost_the_same_within_1_percent(settings, cost, pred_len):
    settings, target = settings.but(pred_len=pred_len), make(pred_len=pred_len)
    matched = match(settings, target, cost)
    count = (lambda s: count_parameters(s)[1]) if cost == "parameters" else count_multiply_adds
    assert abs(count(matched) / count(target) - 1) < 0.01
    assert settings.but(d_ff=matched.d_ff) == matched
    off = abs(count(matched) - count(target))
    assert all(off <= abs(count(matched.but(d_ff=matched.d_ff + d)) - count(target))
               for d in (-1, 1))
    with pytest.raises(ValueError, match="even at 1 PatchTST has more"):
        match(make(), make(model="linear"))

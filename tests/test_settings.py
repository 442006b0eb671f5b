from dataclasses import fields

import pytest

from tsattn.ledger import Ledger
from tsattn.settings import MODELS, Settings, make

OTHER = {"dataset": "ETTh2", "split": "tail", "missing": "-9999", "gaps": "split",
         "attention": "fixed", "norm": "layer", "norm_position": "pre", "pad_end": False,
         "residual_attention": False, "positional_encoding": "none", "head": "mean",
         "embedding": "mlp", "revin": False, "dropout": 0.1, "learning_rate": 1e-4,
         "lr_decay": 0.5, "precision": "bf16", "tokenizer": "random", "n_heads": 8, "d_model": 64,
         "feed_forward": False, "stride": 8}


def test_defaults_are_the_lab_talks_table():
    s = Settings()
    assert (s.learning_rate, s.epochs, s.batch_size) == (1e-3, 100, 128)
    assert (s.seq_len, s.pred_len) == (336, 96)
    assert (s.d_model, s.d_ff, s.patch_len, s.n_tokens) == (128, 256, 16, 22)


@pytest.mark.parametrize("name", [f.name for f in fields(Settings) if f.name not in (
    "model", "calendar", "season", "profile", "device", "cuda_graph")])
def test_run_id_changes_with_every_setting_that_changes_the_result(name):
    value = OTHER[name] if name in OTHER else getattr(Settings(), name) + 1
    s = Settings(embedding="code" if name in ("tokenizer", "codes", "code_levels") else "linear")
    assert s.but(**{name: value}).run_id != s.run_id


def test_every_recorded_run_id_is_what_its_settings_give():
    recorded = Ledger().all_settings()
    assert len(recorded) >= 794 and all(s.run_id == run_id for run_id, s in recorded.items())


def test_run_id_ignores_labels_and_what_a_variant_does_not_have():
    assert make("paper", device="cpu").run_id == Settings(profile="quick").run_id
    assert make(attention="zero", n_heads=8).run_id == make(attention="zero").run_id
    assert make(learning_rate=1).run_id == make(learning_rate=1.0).run_id
    none = make(feed_forward=False)  # d_ff is then the width of an mlp embedding, or idle
    assert none.but(d_ff=64).run_id == none.run_id
    assert none.but(d_ff=64, embedding="mlp").run_id != none.but(embedding="mlp").run_id
    assert make(missing=-9999) == make(missing="-9999") != make(missing="-9999,nan")


@pytest.mark.parametrize("model", MODELS)
def test_only_what_a_model_depends_on_names_its_run(model):
    s = make(model=model)
    everything = {"patch_len": 24, "head": "mean", "d_model": 64, "d_ff": 99, "learning_rate": 0.5,
                  "revin": not s.revin, "seed": 7, "season": 168}
    counts = {name for name, value in everything.items()
              if s.but(**{name: value}).run_id != s.run_id}
    assert counts == {"PatchTST": set(everything) - {"season"},
                      "iTransformer": set(everything) - {"patch_len", "head", "season"},
                      "MLP": {"d_ff", "learning_rate", "revin", "seed"},
                      "linear": {"learning_rate", "revin", "seed"},
                      "DLinear": {"learning_rate", "revin", "seed"}, "last-value": set(),
                      "seasonal-naive": {"season"}}[model]
    assert model == "PatchTST" or make(model=model, pred_len=192).run_id != s.run_id
    words, other = ("has no attention", "zero") if s.attention == "none" else ("needs one", "none")
    with pytest.raises(ValueError, match=words):
        s.but(attention=other)


def test_a_model_brings_its_own_settings_and_the_profile_and_the_caller_come_after():
    s = make(model="iTransformer")
    assert (s.d_model, s.d_ff, s.n_heads, s.n_layers, s.norm) == (512, 512, 8, 2, "layer")
    assert s.calendar and not make(model="iTransformer", dataset="state-machine").calendar
    small = make("smoke", model="iTransformer", n_layers=1)
    assert (small.d_model, small.n_layers) == (16, 1)
    assert s.but(calendar=False).run_id != s.run_id
    for change in ({}, {"model": "iTransformer", "dataset": "state-machine"}):
        with pytest.raises(ValueError, match="calendar=True: only iTransformer"):
            make(calendar=True, **change)


@pytest.mark.parametrize("change, allowed", [
    ({"pred_len": 0}, "at least 1"), ({"n_heads": 12}, "must divide d_model=128"),
    ({"patch_len": 400}, "at most seq_len=336"),
    ({"attention": "linear"}, "softmax, identity, zero, mean, fixed"),
    ({"dataset": "ETTh9"}, "ETTh1, ETTh2"),
    ({"learning_rate": float("nan")}, "greater than 0"), ({"epochs": True}, "a whole number"),
    ({"epochs": 2.0}, "a whole number, such as 96"),
    ({"learning_rate": "1e-3"}, "a number, such as 0.001 (in YAML, write exponents as 1.0e-3)"),
    ({"revin": 0}, "True or False, without quotes"), ({"dataset": 3}, "expected text"),
    ({"dropout": 1.0}, "less than 1"), ({"device": "tpu"}, "auto, cpu, cuda"),
    ({"device": "cuda9"}, "cuda:N"),
    ({"stride": 32}, "the steps between patches of 16 would not be seen; choose at most patch_len"),
    ({"pad_end": False, "stride": 15}, "the newest 5 of 336 steps would not be seen; set pad_end"),
    ({"missing": "NA"}, "give numbers separated by commas"), ({"colour": 1}, "no such setting")])
def test_an_impossible_value_is_named_with_what_is_allowed(change, allowed):
    with pytest.raises(ValueError) as error:
        make(**change)
    said = str(error.value)
    assert next(iter(change)) in said and allowed in said and "\n" not in said

from dataclasses import fields

import pytest

from tsattn.settings import Settings, make

OTHER = {"dataset": "ETTh2", "attention": "fixed", "norm": "layer", "norm_position": "pre", "pad_end": False,
         "residual_attention": False, "positional_encoding": "none", "head": "mean", "embedding": "mlp", "revin": False, "dropout": 0.1,
         "learning_rate": 1e-4, "lr_decay": 0.5, "precision": "bf16", "n_heads": 8, "d_model": 64}


def test_defaults_are_the_lab_talks_table():
    s = Settings()
    assert (s.learning_rate, s.epochs, s.batch_size, s.seq_len, s.pred_len) == (1e-3, 100, 128, 336, 96)
    assert (s.d_model, s.d_ff, s.patch_len, s.n_tokens) == (128, 256, 16, 22)


@pytest.mark.parametrize("name", [f.name for f in fields(Settings) if f.name not in ("model", "profile", "device")])
def test_run_id_changes_with_every_setting_that_changes_the_result(name):
    value = OTHER[name] if name in OTHER else getattr(Settings(), name) + 1
    assert Settings().but(**{name: value}).run_id != Settings().run_id


def test_run_ids_of_the_ledger_stay_what_they_are():
    assert Settings().run_id == "PatchTST-ETTh1-336-96-softmax-s2021-10856171aa"
    assert Settings(attention="zero", patch_len=24, stride=24, pad_end=False).run_id.endswith("zero-s2021-374ea95637")


def test_run_id_ignores_labels_and_what_a_variant_does_not_have():
    assert make("paper", device="cpu").run_id == Settings(profile="quick").run_id
    assert make(attention="zero", n_heads=8).run_id == make(attention="zero").run_id
    assert make(learning_rate=1).run_id == make(learning_rate=1.0).run_id


@pytest.mark.parametrize("change, allowed", [
    ({"pred_len": 0}, "at least 1"), ({"d_model": 130}, "allowed: 1, 2, 5"), ({"patch_len": 400}, "at most seq_len=336"),
    ({"attention": "linear"}, "softmax, identity, zero, mean, fixed"), ({"dataset": "ETTh9"}, "ETTh1, ETTh2"),
    ({"learning_rate": float("nan")}, "greater than 0"), ({"seed": "a"}, "type int"), ({"epochs": True}, "type int"),
    ({"dropout": 1.0}, "less than 1"), ({"device": "tpu"}, "auto, cpu, cuda"), ({"colour": 1}, "no such setting")])
def test_an_impossible_value_is_named_with_what_is_allowed(change, allowed):
    with pytest.raises(ValueError) as error:
        make(**change)
    field = "n_heads" if "d_model" in change else next(iter(change))
    assert field in str(error.value) and allowed in str(error.value) and "\n" not in str(error.value)

"""The same training on a CUDA device; skipped where there is none."""

import numpy as np
import pytest
import torch

from tsattn.data import SYNTHETIC
from tsattn.settings import ATTENTIONS, make
from tsattn.training import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# Without dropout, whose random numbers differ from a CPU's.
KINDS = [*(dict(attention=a) for a in ATTENTIONS), dict(model="iTransformer"), dict(model="MLP"),
         dict(model="linear"), dict(stride=8, norm="layer", norm_position="pre"),
         dict(attention="mean", revin=False), dict(feed_forward=False),
         *(dict(embedding=e, codes=16) for e in ("decoded", "code-init", "code", "code-soft")),
         dict(embedding="mlp"), dict(embedding="code", tokenizer="random", codes=16)]


@pytest.mark.parametrize("changes", KINDS, ids=lambda c: "-".join(map(str, c.values())))
def test_a_run_is_the_same_on_a_cuda_device_also_as_a_graph(changes, tmp_path):
    s = make("smoke", dataset=SYNTHETIC, dropout=0.0, **changes)
    found = {}
    for name, where in (("cpu", dict(device="cpu")), ("cuda", dict(device="cuda")),
                        ("graph", dict(device="cuda", cuda_graph=True))):
        result = train(s.but(**where), checkpoints=tmp_path / name, n_threads=1, progress=False)
        assert result.status == "complete" and (result.how["device"] == "cpu") == (name == "cpu")
        found[name] = [[row[c] for c in ("train_mse", "val_mse", "test_mse")]
                       for row in result.curves]
    for name in ("cuda", "graph"):
        np.testing.assert_allclose(found[name], found["cpu"], rtol=2e-3, err_msg=name)


def test_dropout_is_drawn_anew_in_every_replay_and_repeats_with_the_seed(tmp_path):
    s = make("smoke", dataset=SYNTHETIC, dropout=0.5, device="cuda", cuda_graph=True)
    a, b, c = ([row["train_mse"] for row in train(
        s.but(seed=seed), checkpoints=tmp_path / str(i), n_threads=1, progress=False).curves]
        for i, seed in enumerate((1, 1, 2)))
    np.testing.assert_allclose(a, b, rtol=1e-4)
    assert not np.allclose(a, c, rtol=1e-3)

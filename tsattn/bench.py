"""What a training step costs: beside a peer, and beside its own matrix products.

Appendix B measures with the same functions what each piece of the speed work brings, and how time
and memory grow.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import models
from .ledger import Ledger, processor, provenance
from .models.linear import linear
from .settings import ATTENTIONS, Settings, make
from .training import keep_pages, use_threads

CHANNELS = 7


def stepper(s: Settings, channels: int = CHANNELS, model=None, fused: bool = True):
    """A function that makes one training step of ``s`` on random windows, as in ``training.py``."""
    torch.manual_seed(0)
    model = model or models.build(s, channels).train()
    x = torch.randn(s.batch_size, channels, s.seq_len)
    y = torch.randn(s.batch_size, channels, s.pred_len)
    optimiser = torch.optim.Adam(model.parameters(), lr=s.learning_rate, fused=fused)
    return partial(_step, lambda: (model(x) - y).square().mean(), optimiser)


def peer_stepper(s: Settings, channels: int = CHANNELS):
    """The same for the PatchTST of ``transformers``; raises ``ImportError`` if that is absent."""
    from transformers import PatchTSTConfig, PatchTSTForPrediction

    torch.manual_seed(0)
    config = PatchTSTConfig(
        num_input_channels=channels, context_length=s.seq_len, prediction_length=s.pred_len,
        patch_length=s.patch_len, patch_stride=s.stride, d_model=s.d_model, ffn_dim=s.d_ff,
        num_attention_heads=s.n_heads, num_hidden_layers=s.n_layers, norm_type="batchnorm",
        pre_norm=False, positional_dropout=s.dropout, path_dropout=s.dropout, ff_dropout=s.dropout,
        attention_dropout=0.0, head_dropout=0.0, use_cls_token=False, scaling="std", loss="mse")
    model = PatchTSTForPrediction(config).train()
    x = torch.randn(s.batch_size, s.seq_len, channels)
    y = torch.randn(s.batch_size, s.pred_len, channels)
    optimiser = torch.optim.Adam(model.parameters(), lr=s.learning_rate)
    return partial(_step, lambda: model(past_values=x, future_values=y).loss, optimiser)


def _step(loss, optimiser) -> None:
    loss().backward()
    optimiser.step()
    optimiser.zero_grad()


def products(s: Settings, channels: int = CHANNELS) -> list[tuple[int, int, int]]:
    """Matrix products [m, k] [k, n] of one forward pass.

    Attention's own, [T, d_k] [d_k, T] by head, stand as one of equal work.
    """
    N, T, D = s.batch_size * channels, s.n_tokens, s.d_model
    M = N * T
    attention = {"softmax": [(M, D, D)] * 4 + [(M, D, T)] * 2, "identity": [(M, D, D)] * 2,
                 "zero": [], "mean": [(N, D, D)] * 2,
                 "fixed": [(M, D, D)] * 2 + [(M, D, T)]}[s.attention]
    layer = attention + [(M, D, s.d_ff), (M, s.d_ff, D)]
    return layer * s.n_layers + [(M, s.patch_len, D), (N, T * D, s.pred_len)]


def floor_ms(s: Settings) -> float:
    """Milliseconds of a step's matrix products alone, by the least of five times.

    Forward, and two more of the same work backward.
    """
    total = 0.0
    for m, k, n in products(s):
        x, W, b = torch.randn(m, k), torch.randn(n, k), torch.zeros(n)
        total += 3 * min(seconds(partial(linear, x, W, b)) for _ in range(5))
    return 1000 * total


def seconds(function) -> float:
    """How long a call of ``function`` takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def turns(steppers: dict, rounds: int) -> pd.DataFrame:
    """Milliseconds of all ``steppers`` in turn, [rounds, name]; a round before does not count."""
    return 1000 * pd.DataFrame([{name: seconds(step) for name, step in steppers.items()}
                                for _ in range(rounds + 1)])[1:]


# -- memory, in a fresh process


def peak(s: Settings, n_threads: int, channels: int = CHANNELS, peer: bool = False) -> dict:
    """MB that three steps add at their peak to a process of their own (``peak_mb``; NaN where there
    is no /proc), and the least time of one (``step_ms``)."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_peak, s, n_threads, channels, peer).result()


def _peak(s, n_threads, channels, peer):
    if peer:
        # Its import is not its training's memory.
        import transformers.models.patchtst.modeling_patchtst  # noqa: F401
    keep_pages()
    # Nor is what PyTorch loads at the first step of any model.
    first = torch.nn.Linear(1, 1)
    first(torch.ones(1, 1)).sum().backward()
    torch.optim.Adam(first.parameters()).step()
    before = _memory("VmRSS")
    with use_threads(n_threads):
        step = (peer_stepper if peer else stepper)(s, channels)
        least = min(seconds(step) for _ in range(3))
    return {"peak_mb": _memory("VmHWM") - before, "step_ms": 1000 * least}


def _memory(field: str) -> float:
    """Memory of this process in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    status = Path("/proc/self/status")
    if not status.exists():
        return np.nan
    return int(re.search(rf"{field}:\s+(\d+)", status.read_text())[1]) / 1024


# -- the table


def steps(profile: str = "paper", attentions=ATTENTIONS, rounds: int = 8) -> pd.DataFrame:
    """One row per attention; the peer and every variant take turns in one process.

    The least time counts, because whatever else the machine does can only add to it. ``ratio`` is
    the median over the rounds of the peer's time over the variant's in the same round. Without the
    peer's package its columns are empty.
    """
    keep_pages()
    n_threads, peer_mb = os.cpu_count() or 1, None
    runs = {a: make(profile, attention=a) for a in attentions}
    one, steppers = next(iter(runs.values())), {a: stepper(s) for a, s in runs.items()}
    try:
        steppers["peer"] = peer_stepper(one)
        peer_mb = peak(one, n_threads, peer=True)["peak_mb"]
    except ImportError:
        pass
    with use_threads(n_threads):
        times = turns(steppers, rounds).reindex(columns=[*runs, "peer"])
        floors = {a: floor_ms(s) for a, s in runs.items()}
    least = times.min()
    return pd.DataFrame([
        dict(attention=a, step_ms=least[a], floor_ms=floors[a], floor_share=floors[a] / least[a],
             peak_mb=peak(s, n_threads)["peak_mb"], threads=n_threads,
             peer_step_ms=least.peer, ratio=(times.peer / times[a]).median(),
             peer_peak_mb=peer_mb, profile=profile) for a, s in runs.items()])


def record(ledger: Ledger, name: str, table: pd.DataFrame, key: list[str]) -> None:
    """Add the rows of ``table``, named by ``key`` and their profile, to ``bench_<name>``."""
    rows = [{**row, "cpu": processor(), **provenance()} for row in table.to_dict("records")]
    ledger.record(f"bench_{name}", rows, [*key, "profile"])

"""What a training step costs: against a peer, its own matrix products, and as the work grows."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import data, measures, models
from .ledger import Ledger, provenance
from .models.dropout import Dropout
from .models.linear import linear
from .provenance import processor
from .settings import ATTENTIONS, Settings, make
from .training import evaluate, keep_pages, train, use_threads

CHANNELS = 7
# What grows, its values, and what is held smaller so that the largest still fits into memory.
CURVES = {
    "seq_len": ((96, 192, 336, 720, 1440, 2880), dict(batch_size=16)),
    "channels": ((7, 21, 70, 321, 862), dict(batch_size=4)),
    "batch_size": ((8, 16, 32, 64, 128), {}),
    "d_model": ((32, 64, 128, 256, 512), dict(batch_size=32)),
}
# What each piece of the speed work brings: the step without it, everything else as it is.
PIECES = ("products by oneDNN", "masks drawn in bulk", "kept pages", "fused Adam")
KEYS = {"steps": ["attention", "threads", "profile"], "around": ["what", "profile"],
        "pieces": ["piece", "attention", "profile"],
        "curves": ["grows", "value", "attention", "profile"]}


def bench(profile: str = "paper", rounds: int = 8, growth: bool = False,
          ledger: Ledger | None = None) -> dict:
    """Tables by name: ``steps``, ``pieces``, ``around`` and, with ``growth``, ``curves``; recorded
    in ``ledger`` if given."""
    tables = {"steps": steps(profile, rounds=rounds), "pieces": pieces(profile, rounds=rounds),
              "around": around(profile)}
    if growth:
        tables["curves"] = curves(profile)
        large = _large(make(profile, epochs=1, max_steps=3, max_windows=64), 1_000_000)
        tables["around"] = pd.concat([tables["around"], pd.DataFrame([large])])
    tables = {name: table.assign(profile=profile) for name, table in tables.items()}
    for name, table in tables.items() if ledger else ():
        rows = [{**row, "cpu": processor(), **provenance()} for row in table.to_dict("records")]
        ledger.record(f"bench_{name}", rows, KEYS[name])
    return tables


# -- one step


def stepper(s: Settings, channels: int = CHANNELS, without: str = ""):
    """A function that makes one training step of ``s`` on random windows, as in ``training.py``,
    but for one of ``PIECES``."""
    torch.manual_seed(0)
    model = models.build(s, channels).train()
    if without == "masks drawn in bulk":
        for module in model.modules():
            if isinstance(module, Dropout):
                module.forward = partial(_plain_dropout, module.p)
    optimiser = torch.optim.Adam(model.parameters(), lr=s.learning_rate,
                                 fused=without != "fused Adam")
    x = torch.randn(s.batch_size, channels, s.seq_len)
    y = torch.randn(s.batch_size, channels, s.pred_len)

    step = partial(_step, lambda: (model(x) - y).square().mean().backward(), optimiser)
    return partial(_by_mkl, step) if without == "products by oneDNN" else step


def _step(backward, optimiser) -> None:
    backward()
    optimiser.step()
    optimiser.zero_grad()


def _by_mkl(step) -> None:
    with torch.backends.mkldnn.flags(enabled=False):
        step()


def _plain_dropout(p: float, x, residual=None):
    x = torch.nn.functional.dropout(x, p)
    return x if residual is None else residual + x


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
    optimiser = torch.optim.Adam(model.parameters(), lr=s.learning_rate)
    x = torch.randn(s.batch_size, s.seq_len, channels)
    y = torch.randn(s.batch_size, s.pred_len, channels)

    return partial(_step, lambda: model(past_values=x, future_values=y).loss.backward(), optimiser)


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
        total += 3 * min(_seconds(partial(linear, x, W, b)) for _ in range(5))
    return 1000 * total


def _seconds(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _turns(steppers: dict, rounds: int) -> pd.DataFrame:
    """Milliseconds of all ``steppers`` in turn, [rounds, name]; a round before does not count."""
    return 1000 * pd.DataFrame([{name: _seconds(step) for name, step in steppers.items()}
                                for _ in range(rounds + 1)])[1:]


# -- in a fresh process, for its memory


def _in_process(function, *arguments):
    """``function(*arguments)``, called in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(function, *arguments).result()


def _memory(field: str) -> float:
    """Memory of this process in MB: ``VmRSS`` now, ``VmHWM`` at its peak (both, without /proc)."""
    try:
        with open("/proc/self/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith(field))
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _peak(s: Settings, n_threads: int, channels: int = CHANNELS, peer: bool = False) -> dict:
    """MB that three steps add at their peak to this process, and the least time of one."""
    if peer:
        # Its import is not its training's memory.
        import transformers.models.patchtst.modeling_patchtst  # noqa: F401
    keep_pages()
    # What PyTorch loads at the first step of any model is not the memory of this one.
    first = torch.nn.Linear(1, 1)
    first(torch.ones(1, 1)).sum().backward()
    torch.optim.Adam(first.parameters()).step()
    before = _memory("VmRSS")
    with use_threads(n_threads):
        step = (peer_stepper if peer else stepper)(s, channels)
        seconds = min(_seconds(step) for _ in range(3))
    return {"peak_mb": _memory("VmHWM") - before, "step_ms": 1000 * seconds}


def _pieces(s: Settings, rounds: int) -> pd.Series:
    """The least milliseconds of a step without each of ``PIECES``, and without none ("")."""
    steppers = {without: stepper(s, without=without) for without in ("", *PIECES)}
    with use_threads(1):
        # Kept pages cannot be given up again.
        first = _turns({"kept pages": steppers.pop("kept pages")}, rounds)
        keep_pages()
        return first.join(_turns(steppers, rounds)).min()


def _load(s: Settings, folder: str) -> dict:
    """Seconds to load the data of ``s``, and MB that this and the training add."""
    before = _memory("VmRSS")
    seconds = _seconds(lambda: data.of(s))
    train(s, checkpoints=folder, progress=False, n_threads=1)
    return {"seconds": seconds, "peak_mb": _memory("VmHWM") - before}


# -- the tables


def steps(profile: str = "paper", attentions=ATTENTIONS, rounds: int = 8) -> pd.DataFrame:
    """One row per attention; the peer and every variant take turns in one process.

    The least time counts, because whatever else the machine does can only add to it. ``ratio`` is
    the median over the rounds of the peer's time over the variant's in the same round. Without the
    peer's package its columns are empty.
    """
    keep_pages()
    n_threads = os.cpu_count() or 1
    runs = {a: make(profile, attention=a) for a in attentions}
    one, steppers = next(iter(runs.values())), {a: stepper(s) for a, s in runs.items()}
    try:
        steppers["peer"] = peer_stepper(one)
    except ImportError:
        peer_mb = None
    else:
        peer_mb = _in_process(_peak, one, n_threads, CHANNELS, True)["peak_mb"]
    with use_threads(n_threads):
        times = _turns(steppers, rounds).reindex(columns=[*runs, "peer"])
        floors = {a: floor_ms(s) for a, s in runs.items()}
    least = times.min()
    return pd.DataFrame([
        dict(attention=a, step_ms=least[a], floor_ms=floors[a], floor_share=floors[a] / least[a],
             peak_mb=_in_process(_peak, s, n_threads)["peak_mb"], threads=n_threads,
             peer_step_ms=least.peer, ratio=(times.peer / times[a]).median(),
             peer_peak_mb=peer_mb) for a, s in runs.items()])


def pieces(profile: str = "paper", attentions=("softmax", "zero"), rounds: int = 8) -> pd.DataFrame:
    """One row per piece and attention: a step's time without it over that with all, one thread.

    Each attention in a fresh process: first without kept pages, which cannot be given up again,
    then all variants in turns; the least of ``rounds`` counts.
    """
    rows = []
    for a in attentions:
        least = _in_process(_pieces, make(profile, attention=a), rounds)
        rows += [dict(piece=piece, attention=a, threads=1, step_ms=least[""],
                      without_ms=least[piece], ratio=least[piece] / least[""]) for piece in PIECES]
    return pd.DataFrame(rows)


def around(profile: str = "paper") -> pd.DataFrame:
    """What is not a step: seconds to measure 1,000 windows, and one of chapter 2's surfaces."""
    s = make(profile, dataset=data.SYNTHETIC)
    splits = data.of(s)
    model, windows = models.build(s, len(splits.channels)).eval(), splits.test.first(256)
    with use_threads(os.cpu_count() or 1):
        evaluation = min(_seconds(lambda: evaluate(model, windows)) for _ in range(3))
    few, grid = windows.first(16), np.linspace(0, 1, 11).tolist()
    with use_threads(1):
        surface = _seconds(lambda: measures.perturbation_grid(model, few, "attention", grid, grid,
                                                              draws=1))
    return pd.DataFrame({
        "what": ["measure 1,000 windows", "121-point surface on 128 windows, one thread"],
        "seconds": [evaluation * 1000 / len(windows), surface * 128 / len(few)]})


def curves(profile: str = "paper") -> pd.DataFrame:
    """Time and peak memory of a step, one thread, as one size grows and the others stay."""
    rows = []
    for grows, (values, held) in CURVES.items():
        for value in values:
            channels, own = (value, {}) if grows == "channels" else (CHANNELS, {grows: value})
            for a in ("softmax", "zero"):
                s = make(profile, attention=a, **{**held, **own})
                rows.append(dict(grows=grows, value=value, attention=a, batch_size=s.batch_size,
                                 **_in_process(_peak, s, 1, channels)))
    return pd.DataFrame(rows)


def _large(s: Settings, rows: int) -> dict:
    """Seconds to load a CSV of ``rows`` x 7 values, and MB that this and a short training add."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.csv"
        values = np.random.default_rng(0).normal(size=(rows, CHANNELS)).round(3)
        time_column = pd.date_range("2000-01-01", periods=rows, freq="min", name="date")
        pd.DataFrame(values, time_column).to_csv(path)
        loaded = _in_process(_load, s.but(dataset=str(path)), folder)
    return dict(what=f"load a CSV of {rows:,} rows x {CHANNELS} channels", **loaded)

"""The one loop: fit, validate, keep the best weights, resume, whichever experiment it serves."""

from __future__ import annotations

import ctypes
import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from . import data, models, tokenizers
from .checkpoints import CHECKPOINTS, alive, load_tensors, save_tensors
from .progress import bar as progress_bar
from .settings import Settings
from .step import Step

DIVERGED = 100  # a training MSE above this multiple of the error of forecasting zero


@dataclass
class Result:
    """What a run measured; errors in units of the training standard deviation (squared for MSE)."""

    settings: Settings
    status: str = "complete"  # or "failed", with the reason
    reason: str = ""
    best_epoch: int = 0  # counted from 1, chosen by validation MSE
    val_mse: float = math.nan
    val_mae: float = math.nan
    test_mse: float = math.nan
    test_mae: float = math.nan
    seconds: float = 0.0
    curves: list[dict] = field(default_factory=list)  # one row per epoch
    test_errors: np.ndarray | None = None  # [windows, channels] float32, MSE at the best epoch
    how: dict = field(default_factory=dict)  # device, threads, parameters, codebook
    also: list[Result] = field(default_factory=list)  # the same weights on other test splits

    @property
    def run_id(self) -> str:
        """The name under which it is recorded, fixed when the run began."""
        return self.settings.run_id


class Diverged(RuntimeError):
    """The loss is not finite or has left all bounds; the message says in which epoch."""


def resolve_device(name: str) -> torch.device:
    """``auto`` is the first CUDA device, else the CPU; ``ValueError`` for an absent CUDA device."""
    count = torch.cuda.device_count()
    device = torch.device(name if name != "auto" else "cuda" if count else "cpu")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"device={name!r}: this machine has {count} CUDA devices, numbered from "
                         "0; use auto or cpu.")
    return device


def keep_pages() -> None:
    """Have glibc keep freed memory, or every step gets its activations as fresh pages (appendix B);
    without effect where the C library has no ``mallopt``."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt:
        mallopt(-4, 0)  # M_MMAP_MAX
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def check_memory(s: Settings, n_channels: int) -> None:
    """Raises ``ValueError`` if training takes more memory than this machine has: weights, gradients
    and the two moments of Adam, and a part of what the layers keep for the way back."""
    with torch.device("meta"):
        weights = sum(p.numel() for p in models.build(s, n_channels).parameters())
    kept = s.batch_size * n_channels * s.n_tokens * s.n_layers * (4 * s.d_model + s.d_ff)
    needed, here = (16 * weights + 4 * kept) / 2**30, (
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    if needed > here:
        raise ValueError(f"d_model={s.d_model}, d_ff={s.d_ff}, n_layers={s.n_layers}, batch_size="
                         f"{s.batch_size}, {n_channels} channels: {weights:,} parameters would "
                         f"take at least {needed:,.0f} GB of memory to train; this machine has "
                         f"{here:,.0f} GB. Choose a smaller one.")


@contextmanager
def precision(name: str, device: torch.device):
    """float32, TF32 matrix products, or bf16 autocast for the length of the block."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def use_threads(n: int):
    """PyTorch's operations run on ``n`` threads for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def forecast_errors(model, windows: data.Windows):
    """Forecast minus truth [B, C, pred_len] of batch after batch, in evaluation mode."""
    batch_size = 512 if windows.series.is_cuda else 16  # on a CPU they stay in the cache
    training = model.training
    model.eval()
    for i in range(0, len(windows), batch_size):
        x, y = windows.batch(slice(i, i + batch_size))
        yield model(x).float() - y
    model.train(training)


def evaluate(model, windows: data.Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """MSE and MAE of every window, each [len(windows)], with the model in evaluation mode."""
    errors = [(e.square().mean((1, 2)), e.abs().mean((1, 2)))
              for e in forecast_errors(model, windows)]
    mse, mae = (torch.cat(of) for of in zip(*errors, strict=True))
    return mse, mae


def channel_errors(model, windows: data.Windows) -> torch.Tensor:
    """MSE [len(windows), C] of every window and channel, with the model in evaluation mode."""
    return torch.cat([e.square().mean(2) for e in forecast_errors(model, windows)])


def train(s: Settings, *, data_dir=None, checkpoints=CHECKPOINTS, n_threads: int | None = None,
          progress: bool = True, also: tuple[str, ...] = ()) -> Result:
    """Train, validate after every epoch and test the epoch with the best validation MSE.

    The state after every epoch is kept in ``checkpoints/<run_id>/``, until who has the result
    removes it: a killed run, started again, ends with the numbers of an uninterrupted one. The best
    weights stay there. The test split is measured every epoch and steers nothing. A loss that is
    not finite or diverges ends the run with status ``failed``. A model without parameters is
    measured once, as its epoch 1.

    ``also`` names other splits with the same training and validation rows (tail), on which the
    model is tested too: ``Result.also``, as if each had been trained by itself, but for its
    ``seconds``. Raises ``ValueError`` for a model that this machine has no memory for.
    """
    device = resolve_device(s.device)
    if device.type == "cpu":
        keep_pages()
    run_id, splits = s.run_id, data.of(s, data_dir)
    if s.but().run_id != run_id:  # hashed again: else it would be recorded as a run of other data
        raise data.DataError(f"{s.dataset_name}: the file has changed since this run was named; "
                             "start it again when nothing writes to the file.")
    others = {split: data.of(s.but(split=split), data_dir) for split in also}
    if any(other.rows[:2] != splits.rows[:2] for other in others.values()):
        raise ValueError(f"also={also}: trains or validates on other months than {s.split}.")
    with use_threads(n_threads or torch.get_num_threads()), precision(s.precision, device), \
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        run = _Run(s, splits, device, Path(checkpoints) / run_id, others)
        result = run.result
        epochs = s.epochs if run.optimiser else 1
        bar = progress_bar((epochs - len(result.curves)) * run.steps,
                           f"{s.attention} seed {s.seed}", disable=not progress)
        try:
            while (len(result.curves) < epochs
                   and len(result.curves) - result.best_epoch < s.patience):
                run.epoch(bar)
        except Diverged as error:
            for r in run.results:
                r.status, r.reason = "failed", str(error)
            return result
        finally:
            bar.close()
        return run.finish()


class _Run:
    """A training run between epochs."""

    def __init__(self, s: Settings, splits: data.Splits, device, folder: Path,
                 also: dict[str, data.Splits]):
        own = s.but(season=s.season or splits.findings.season)
        check_memory(own, len(splits.channels))
        self.s, self.device, self.folder = s, device, folder
        self.result = Result(s, also=[Result(s.but(split=split)) for split in also])
        self.results = [self.result, *self.result.also]
        self.train_windows = splits.train.to(device)
        self.val, *self.tests = (w.first(s.max_windows).to(device) for w in (
            splits.val, splits.test, *(other.test for other in also.values())))
        self.steps = len(splits.train) // s.batch_size
        if not self.steps and s.seeded:  # a rule takes none
            raise data.DataError(f"{splits.name}: {len(splits.train)} training windows, fewer than "
                                 "one batch; set batch_size to at most that.")
        self.steps = min(self.steps, s.max_steps or self.steps)
        self.bound = DIVERGED * (
            splits.train.series[:, slice(*splits.rows[0])].square().mean().item())
        # A codebook comes before resume: it is fitted again, then the file's own takes its place.
        *codebook, codes = tokenizers.fit_and_measure(s, splits) if s.coded else [{}]
        cuda = device.type == "cuda"
        self.model = models.build(own, len(splits.channels), *codebook).to(device)
        held, used = models.count_parameters(own, len(splits.channels))
        for r in self.results:
            r.how = dict(device=torch.cuda.get_device_name(device) if cuda else "cpu",
                         threads=torch.get_num_threads(), data_sha256=splits.sha256[:16], **codes,
                         parameters=held, parameters_used=used)
        parameters, graph = list(self.model.parameters()), s.cuda_graph and cuda
        rate = torch.tensor(s.learning_rate, device=device) if graph else s.learning_rate
        self.optimiser = torch.optim.Adam(
            parameters, lr=rate, fused=True, capturable=graph) if parameters else None
        self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
        self._resume()
        if self.optimiser:
            self.step = Step(self.model, self.optimiser, self.train_windows, s.batch_size)
            if graph:
                self.step.capture()

    # -- one epoch

    def epoch(self, bar) -> None:
        """Train one epoch, measure the three splits, and write the state to disk."""
        s, result, number = self.s, self.result, len(self.result.curves) + 1
        started = time.perf_counter()
        train_mse, train_mae = (self._fit(number, bar) if self.optimiser
                                else self._mean_errors(self.train_windows))
        if not train_mse < self.bound:
            raise Diverged(f"training MSE {train_mse:.4g} in epoch {number}: not finite, or more "
                           f"than {DIVERGED} times the error of forecasting zero; lower "
                           f"learning_rate={s.learning_rate}")
        val_mse, val_mae = self._mean_errors(self.val)
        best = min((row["val_mse"] for row in result.curves), default=math.inf)
        for r, test in zip(self.results, self.tests, strict=True):
            test_mse, test_mae = self._mean_errors(test)
            if not math.isfinite(val_mse + test_mse):
                raise Diverged(f"validation MSE {val_mse:.4g}, test MSE {test_mse:.4g} in epoch "
                               f"{number}: not finite; lower learning_rate={s.learning_rate}")
            now = time.perf_counter()
            r.curves.append(dict(epoch=number, train_mse=train_mse, train_mae=train_mae,
                                 val_mse=val_mse, val_mae=val_mae, test_mse=test_mse,
                                 test_mae=test_mae, seconds=now - started))
            started = now
        if val_mse < best:
            for r in self.results:
                r.best_epoch = number
            self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
        self._save()

    def _mean_errors(self, windows) -> tuple[float, float]:
        return tuple(e.double().mean().item() for e in evaluate(self.model, windows))

    def _fit(self, number: int, bar) -> tuple[float, float]:
        """One pass over the training windows in random order; mean MSE and MAE of its batches."""
        s = self.s
        rate = s.learning_rate * s.lr_decay ** max(0, number - s.lr_hold)
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)  # a CUDA graph reads it where it lies
            else:
                group["lr"] = rate
        # Shuffling and dropout depend on seed and epoch alone: a resumed run needs no random state.
        if hasattr(self.model, "masks"):
            self.model.masks.seed(s.seed, number)
        torch.manual_seed(s.seed * 100_003 + number)
        order = torch.randperm(len(self.train_windows),
                               generator=torch.Generator().manual_seed(s.seed * 1009 + number))
        order = order[:self.steps * s.batch_size].to(self.device).view(self.steps, s.batch_size)
        self.model.train()
        self.step.sums.zero_()  # read once per epoch: no host synchronisation
        for i, index in enumerate(order, 1):
            self.step(index)
            bar.update()
            if self.device.type == "cpu":
                bar.postfix = f"epoch={number}, loss={self.step.sums[0].item() / i:.4f}"
        return tuple((self.step.sums / self.steps).tolist())

    def finish(self) -> Result:
        """Result at the best epoch, whose weights are kept."""
        self.model.load_state_dict(self.best)
        for r, test in zip(self.results, self.tests, strict=True):
            row = r.curves[r.best_epoch - 1]
            for name in ("val_mse", "val_mae", "test_mse", "test_mae"):
                setattr(r, name, row[name])
            r.seconds = sum(row["seconds"] for row in r.curves)
            r.test_errors = channel_errors(self.model, test).cpu().numpy()
            save_tensors(self.folder.with_name(r.run_id) / "best.safetensors", r.settings,
                         self.best)
        return self.result

    # -- resume

    def _save(self) -> None:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for i, state in (self.optimiser.state_dict()["state"] if self.optimiser else {}).items():
            tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
        save_tensors(self.folder / "resume.safetensors", self.s, tensors,
                     curves=self.result.curves, best_epoch=self.result.best_epoch,
                     also={r.run_id: r.curves for r in self.result.also})

    def _resume(self) -> None:
        for half in self.folder.glob("*.safetensors.*.tmp"):
            if not alive(int(half.suffixes[-2][1:])):  # of a killed process
                half.unlink(missing_ok=True)
        path = self.folder / "resume.safetensors"
        if not path.is_file() or not self.optimiser:
            return
        tensors, metadata = load_tensors(path, self.s)
        also = metadata.get("also", {})
        if any(r.run_id not in also for r in self.result.also):
            return  # begun without these splits: what they had in its epochs is not known
        state: dict = {}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            if part == "adam":
                i, _, rest = rest.partition(".")
                part = int(i)
            state.setdefault(part, {})[rest] = value.to(self.device)
        self.model.load_state_dict(state.pop("model"))
        self.best = state.pop("best")
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        for r in self.results:
            r.curves, r.best_epoch = also.get(r.run_id, metadata["curves"]), metadata["best_epoch"]

"""Weights and the state of a run on disk: safetensors with a checksum; nothing is unpickled."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from . import models
from .settings import ROOT, Settings

CHECKPOINTS = ROOT / "checkpoints"


def best_file(s: Settings, checkpoints=CHECKPOINTS) -> Path:
    """Where the weights of the best epoch are kept."""
    return Path(checkpoints) / s.run_id / "best.safetensors"


def resume_file(s: Settings, checkpoints=CHECKPOINTS) -> Path:
    """Where the state after the last epoch is kept until the run is done."""
    return Path(checkpoints) / s.run_id / "resume.safetensors"


def save_tensors(path: Path, s: Settings, tensors: dict[str, torch.Tensor], **metadata) -> None:
    """Write atomically, with the run whose file it is and a checksum of the tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    metadata |= {"run_id": s.run_id, "settings": asdict(s), "crc32": _crc32(tensors)}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata={k: json.dumps(v) for k, v in metadata.items()})
        os.replace(temporary, path)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error}).") from None
    finally:
        temporary.unlink(missing_ok=True)


def load_tensors(path: Path, s: Settings | None = None) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and metadata. Raises ``ValueError`` for a file that is damaged or not of ``s``."""
    try:
        with safe_open(path, "pt") as f:
            metadata = {k: json.loads(v) for k, v in (f.metadata() or {}).items()}
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: damaged ({error}); remove it to have it made again.") from None
    if metadata.get("crc32") != _crc32(tensors):
        raise ValueError(f"{path}: damaged (wrong checksum); remove it to have it made again.")
    if s and metadata.get("run_id") != s.run_id:
        raise ValueError(f"{path}: belongs to another run ({metadata.get('run_id')}); remove it "
                         "to have it made again.")
    return tensors, metadata


def _crc32(tensors) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].numpy().tobytes(), zlib.crc32(name.encode(), total))
    return total


def alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def load_trained(s: Settings, n_channels: int, checkpoints=CHECKPOINTS):
    """The model of ``s`` with its best weights, in evaluation mode.

    Raises ``FileNotFoundError`` if they are not here, ``ValueError`` if they are damaged or of
    another run.
    """
    path = best_file(s, checkpoints)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no trained weights; train with "
                                "tsattn.sweep.sweep([settings], weights=True).")
    model = models.build(s, n_channels)
    model.load_state_dict(load_tensors(path, s)[0])
    return model.eval()

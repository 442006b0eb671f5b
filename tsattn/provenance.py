"""How a number was made: versions, sources, time."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache

import numpy as np
import torch

from .settings import ROOT

# Version of the measure that fills a table, where it is not 1: raised by whoever changes what it
# measures. Rows of another version are measured again; rows without one are of version 1.
VERSIONS: dict[str, int] = {}


def version(table: str) -> int:
    return VERSIONS.get(table, 1)


@cache
def source_revision() -> str:
    """Commit of the checkout, if it is one, and a hash of the sources that numbers depend on."""
    package = ROOT / "tsattn"
    rooms = ("settings", "tokenizers", "floors", "step", "training")
    files = [*(package / f"{room}.py" for room in rooms), *sorted(package.glob("data/*.py")),
             *sorted(package.glob("models/*.py"))]
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:10]
    try:
        commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"],
                                capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "no-commit"
    return f"{commit}:{digest}"


def provenance() -> dict:
    """How a measurement was made: versions, source revision and time (UTC)."""
    return {"python": platform.python_version(), "torch": torch.__version__,
            "numpy": np.__version__, "source": source_revision(),
            "time": datetime.now(UTC).isoformat(timespec="seconds")}


def processor() -> str:
    """Name of the processor where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":", 1)[1].strip() for line in f
                        if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


"""How far the work is: a bar in a terminal or a notebook, a line a minute in a file."""

from __future__ import annotations

import sys
import threading
import time

from tqdm import tqdm

EVERY = 60  # seconds between two lines


class Lines:
    """What ``tqdm`` does, as far as it is used here, in whole lines that a log can hold."""

    def __init__(self, total: float, desc: str, initial: float = 0, disable: bool = False):
        self.total, self.desc, self.n, self.postfix = total, desc, initial, ""
        self.initial, self.started, self.disable = initial, time.monotonic(), disable
        self.said = self.started

    def update(self, n: float = 1) -> None:
        self.n += n
        now = time.monotonic()
        if not self.disable and now - self.said >= EVERY:
            self.said = now
            rate = (self.n - self.initial) / (now - self.started)
            left = f", about {(self.total - self.n) / rate / 60:.0f} min left" if rate > 0 else ""
            print(f"{self.desc}: {self.n / self.total:.0%}{left} {self.postfix}".rstrip(),
                  file=sys.stderr, flush=True)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.postfix = text

    def close(self) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def bar(total: float, desc: str, *, unit: str = "it", initial: float = 0, disable: bool = False,
        bar_format: str | None = None):
    """A ``tqdm`` bar where somebody can see it move, else ``Lines``."""
    # A notebook's stderr is no terminal, but shows a bar; what it leaves there is not kept.
    if disable or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return Lines(total, desc, initial, disable)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind
    return tqdm(total=total, desc=desc, unit=unit, initial=initial, bar_format=bar_format)


def duration(seconds: float) -> str:
    """In the unit that one would say it in."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"

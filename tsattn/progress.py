"""How far the work is, as the time that is left: in place where somebody can see it move, else a
line a minute in a file."""

from __future__ import annotations

import math
import sys
import threading
import time

from tqdm import tqdm

EVERY = 60  # seconds between two lines


class Left:
    """Time left of work of ``total`` units that was expected to take ``expected`` seconds.

    The expectation counts down; what is done mends it by the time it took.
    """

    def __init__(self, total: float, expected: float = math.nan):
        self.total, self.n = total, 0.0
        self.started = self.updated = time.monotonic()
        # It counts as much as a tenth of the work that is done.
        self.known = (0.1 * expected, 0.1 * total) if expected > 0 else (0.0, 0.0)

    def update(self, n: float) -> None:
        self.n, self.updated = self.n + n, time.monotonic()

    def __str__(self):
        spent, done = self.updated - self.started + self.known[0], self.n + self.known[1]
        if not done:
            return ""
        left = (self.total - self.n) * spent / done
        # Longer and longer without news: a third of it is left for sure.
        left = max(left / 3, left - (time.monotonic() - self.updated))
        return f"about {duration(left)} left" if left > 5 else "nearly done"


class Lines:
    """What ``tqdm`` does, as far as it is used here, in whole lines that a log can hold."""

    def __init__(self, total: float, desc: str, left: Left, disable: bool = False):
        self.total, self.desc, self.left, self.disable = total, desc, left, disable
        self.postfix, self.closed = "", threading.Event()
        if not disable:
            threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        while not self.closed.wait(EVERY):
            print(f"{self.desc}: {', '.join(filter(None, (str(self.left), self.postfix)))}",
                  file=sys.stderr, flush=True)

    def update(self, n: float = 1) -> None:
        self.left.update(n)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.postfix = text

    def close(self) -> None:
        self.closed.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Bar(tqdm):
    """A bar whose time left is that of ``Left``."""

    def __init__(self, *args, left: Left, **options):
        self.left = left
        super().__init__(*args, **options)

    @property
    def format_dict(self):
        return super().format_dict | {"left": self.left}

    def update(self, n=1):
        self.left.update(n)
        return super().update(n)


def bar(total: float, desc: str, *, unit: str = "it", initial: float = 0, disable: bool = False,
        expected: float = math.nan):
    """A bar where somebody can see it move, else ``Lines``; ``expected`` are the seconds that all
    of it is expected to take."""
    left = Left(total - initial, expected)
    # A notebook's stderr is no terminal, but shows a bar; what it leaves there is not kept.
    if disable or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return Lines(total, desc, left, disable)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind
    form = "{desc}: {percentage:3.0f}%|{bar}| {left}{postfix}"
    return Bar(total=total, desc=desc, unit=unit, initial=initial, bar_format=form, left=left)


def say(text: str) -> None:
    """A line on stderr, above a bar that may stand there."""
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


def counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def duration(seconds: float) -> str:
    """In the unit that one would say it in."""
    if math.isnan(seconds):
        return "an unknown time"
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"

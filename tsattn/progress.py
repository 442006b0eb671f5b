"""How far the work is, as the time that is left: in place where somebody can see it move, else a
line a minute in a file."""

from __future__ import annotations

import math
import sys
import threading
import time

from tqdm import tqdm

EVERY = 60  # seconds between two lines
tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind


class bar(tqdm):
    """A bar that shows the time left of ``total`` units, ``expected`` to take so many seconds.

    The expectation counts down; what is done mends it by the time it took. Where no bar can move,
    a line is written now and then.
    """

    def __init__(self, total: float, desc: str, *, disable: bool = False,
                 expected: float = math.nan):
        self.started = self.updated = time.monotonic()
        # The expectation counts as much as a tenth of the work that is done.
        self.known = (0.1 * expected, 0.1 * total) if expected > 0 else (0.0, 0.0)
        self.desc, self.postfix, self.closed = desc, "", threading.Event()
        # A notebook's stderr is no terminal, but shows a bar; what it leaves there is not kept.
        moves = sys.stderr.isatty() or "ipykernel" in sys.modules
        super().__init__(total=total, desc=desc, disable=disable or not moves,
                         bar_format="{desc}: {percentage:3.0f}%|{bar}| {left}{postfix}")
        if not disable:
            threading.Thread(target=self._tell, args=(moves,), daemon=True).start()

    def _tell(self, moves: bool) -> None:
        while not self.closed.wait(1 if moves else EVERY):
            if moves:
                self.refresh()
            else:
                print(f"{self.desc}: {', '.join(filter(None, (self.left(), self.postfix)))}",
                      file=sys.stderr, flush=True)

    def update(self, n: float = 1) -> None:
        self.n, self.updated = self.n + n, time.monotonic()

    def left(self) -> str:
        spent, done = self.updated - self.started + self.known[0], self.n + self.known[1]
        if not done:
            return ""
        left = (self.total - self.n) * spent / done
        # Longer and longer without news: a third of it is left for sure.
        left = max(left / 3, left - (time.monotonic() - self.updated))
        return f"about {duration(left)} left" if left > 5 else "nearly done"

    @property
    def format_dict(self):
        return super().format_dict | {"left": self.left()}

    def close(self) -> None:
        self.closed.set()
        super().close()


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

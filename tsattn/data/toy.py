"""Synthetic series whose structure is known: carrier + event + noise, driven by a state machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# The paper's machine: states 1 -> -1 -> 0.02 -> 2 -> 1.02 -> 1, in which state 1 repeats with probability 0.1.
STATES = (1.0, -1.0, 0.02, 2.0, 1.02)
TRANSITIONS = ((0.1, 0.9, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1), (1, 0, 0, 0, 0))


@dataclass(frozen=True)
class StateMachine:
    """A generated series with its ground truth; all arrays have length ``n`` unless said otherwise.

    ``x = carrier + event + noise``; ``state`` is the state's index at every event sample and -1 elsewhere;
    ``event_starts`` and ``event_states`` have one entry per event.
    """

    x: np.ndarray
    carrier: np.ndarray
    event: np.ndarray
    noise: np.ndarray
    state: np.ndarray
    event_starts: np.ndarray
    event_states: np.ndarray


def state_machine(n: int, seed: int = 0, *, frequency: float = 0.01, period: int = 80, width: int = 10,
                  height: float = 0.5, noise: float = 0.025, states=STATES, transitions=TRANSITIONS) -> StateMachine:
    """``n`` samples of sin(2 pi f t) + triangular events + Gaussian noise of standard deviation ``noise``.

    One event of ``width`` samples starts every ``period`` samples, at a random phase; its height is ``height`` times
    the state, which follows the Markov chain ``transitions`` [S, S] (rows sum to one). The carrier's phase is random
    too. Raises ``ValueError`` if the matrix is not stochastic or an event does not fit its period.
    """
    P, levels = np.asarray(transitions, float), np.asarray(states, float)
    if P.shape != (len(levels), len(levels)) or (P < 0).any() or not np.allclose(P.sum(1), 1):
        raise ValueError(f"transitions: must be a {len(levels)}x{len(levels)} matrix of probabilities whose rows sum "
                         f"to one; got shape {P.shape} with row sums {np.round(P.sum(-1), 3).tolist()}.")
    if not 0 < width <= period:
        raise ValueError(f"width={width}: an event must be at least 1 sample and fit into period={period}.")
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    carrier = np.sin(2 * np.pi * (frequency * t + rng.random()))
    phase = int(rng.integers(period))
    event_starts = np.arange(phase - period, n, period)
    event_states = np.empty(len(event_starts), int)
    event_states[0] = rng.integers(len(levels))
    cumulative, draws = P.cumsum(1), rng.random(len(event_starts))
    for i in range(1, len(event_starts)):  # a chain is sequential; this is one step per event, not per sample
        event_states[i] = min(np.searchsorted(cumulative[event_states[i - 1]], draws[i], side="right"), len(levels) - 1)
    triangle = 1 - np.abs(np.arange(width) - (width - 1) / 2) / (width / 2)
    at = event_starts[:, None] + np.arange(width)
    inside = (at >= 0) & (at < n)
    event, state = np.zeros(n), np.full(n, -1)
    event[at[inside]] = (height * levels[event_states][:, None] * triangle)[inside]
    state[at[inside]] = np.broadcast_to(event_states[:, None], at.shape)[inside]
    eps = rng.normal(0, noise, n)
    return StateMachine(carrier + event + eps, carrier, event, eps, state, event_starts, event_states)

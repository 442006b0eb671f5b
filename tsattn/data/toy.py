"""Synthetic series whose structure, and whose best possible forecast, are known.

state machine   carrier + event + noise; event heights follow a Markov chain (the paper's series)
recall          the horizon holds a value shown before under a key, which the last patch names again
dial            recall in which a given share of the target's variance needs the look-up"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

# The paper's machine: 1 -> -1 -> 0.02 -> 2 -> 1.02 -> 1; state 1 repeats with probability 0.1.
STATES = (1.0, -1.0, 0.02, 2.0, 1.02)
TRANSITIONS = (
    (0.1, 0.9, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1), (1, 0, 0, 0, 0))


@dataclass(frozen=True)
class Process:
    """What is known of a state-machine series beforehand: all but its phases, states and noise.

    An event of ``width`` samples starts every ``period`` samples; its height is ``height`` times
    the state, which follows the Markov chain ``transitions`` [S, S]. Raises ``ValueError`` if that
    is not stochastic or has no single stationary distribution, or an event exceeds its period."""

    frequency: float = 0.01  # of the carrier, cycles per sample; its amplitude is 1
    period: int = 80
    width: int = 10
    height: float = 0.5
    noise: float = 0.025  # standard deviation
    states: tuple = STATES
    transitions: tuple = TRANSITIONS

    def __post_init__(self):
        S, P = len(self.states), np.asarray(self.transitions, float)
        if P.shape != (S, S) or (P < 0).any() or not np.allclose(P.sum(1), 1):
            raise ValueError(
                f"transitions: must be a {S}x{S} matrix of probabilities whose rows sum to one; "
                f"got shape {P.shape} with row sums {np.round(P.sum(-1), 3).tolist()}.")
        if np.linalg.matrix_rank(P.T - np.eye(S)) != S - 1:
            raise ValueError("transitions: the chain falls apart into groups of states that never "
                             "meet; give one in which a single group is left in the long run.")
        if not 0 < self.width <= self.period:
            raise ValueError(f"width={self.width}: an event must be at least 1 sample and fit into "
                             f"period={self.period}.")
        if not self.noise > 0:
            raise ValueError(f"noise={self.noise}: must be greater than 0.")

    @property
    def P(self) -> np.ndarray:
        """Transition matrix [S, S]."""
        return np.asarray(self.transitions, float)

    @property
    def levels(self) -> np.ndarray:
        """Height of the event of each state [S]."""
        return self.height * np.asarray(self.states, float)

    @property
    def triangle(self) -> np.ndarray:
        """Shape of an event [width], of height 1 between its two middle samples."""
        return 1 - np.abs(np.arange(self.width) - (self.width - 1) / 2) / (self.width / 2)

    @property
    def stationary(self) -> np.ndarray:
        """How often each state occurs in the long run [S]."""
        S = len(self.states)
        A = np.vstack([self.P.T - np.eye(S), np.ones(S)])
        return np.linalg.lstsq(A, np.append(np.zeros(S), 1.0), rcond=None)[0].clip(0)


@dataclass(frozen=True)
class StateMachine:
    """A generated series with its ground truth; all arrays have length ``n`` unless said otherwise.

    ``x = carrier + event + noise``. ``number`` and ``state``: of the event at a sample, -1 for
    none; ``event_starts`` and ``event_states`` have one entry per event, the latter an index."""

    process: Process
    x: np.ndarray
    carrier: np.ndarray
    event: np.ndarray
    noise: np.ndarray
    number: np.ndarray
    event_starts: np.ndarray
    event_states: np.ndarray

    @property
    def state(self) -> np.ndarray:
        return np.where(self.number >= 0, self.event_states[self.number], -1)

    def patch_events(self, starts, seq_len: int, patch_len: int, stride: int,
                     n_tokens: int) -> np.ndarray:
        """Number [N, n_tokens] of the event that each patch of the windows at ``starts`` [N] shows.

        It shows one if the event's middle sample (of two, the later) lies in it; -1: none."""
        middle, at = np.full(len(self.x), -1), self.event_starts + self.process.width // 2
        inside = (at >= 0) & (at < len(self.x))
        middle[at[inside]] = np.flatnonzero(inside)
        offset = np.arange(n_tokens)[:, None] * stride + np.arange(patch_len)  # [T, patch_len]
        at = np.asarray(starts)[:, None, None] + offset
        return np.where(offset < seq_len, middle[np.minimum(at, len(middle) - 1)], -1).max(-1)

    def heights(self, starts, forecast) -> tuple[np.ndarray, np.ndarray]:
        """States that ``forecast`` [N, pred_len] from the samples ``starts`` [N] shows; true ones.

        For every event that lies wholly in a horizon: least-squares height of its triangle above
        the true carrier, in units of ``height``, and the index of its state."""
        p, at = self.process, np.asarray(starts)[:, None] + np.arange(forecast.shape[1])
        row, column = np.nonzero(self.number[at] >= 0)
        at = at[row, column]
        number, shape = self.number[at], p.triangle[at - self.event_starts[self.number[at]]]
        _, event = np.unique(row * len(self.event_starts) + number, return_inverse=True)
        height = (np.bincount(event, (forecast[row, column] - self.carrier[at]) * shape)
                  / np.bincount(event, shape**2) / p.height)
        states = np.empty(len(height), int)
        states[event] = self.event_states[number]
        whole = np.bincount(event) == p.width
        return height[whole], states[whole]


def state_machine(n: int, seed: int = 0, **parameters) -> StateMachine:
    """``n`` samples of sin(2 pi f t) + triangular events + Gaussian noise, with random phases.

    A longer series of the same seed has the phases and the states of a shorter one, and goes on;
    its noise is another. ``parameters`` are those of ``Process``."""
    p = Process(**parameters)
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    carrier = np.sin(2 * np.pi * (p.frequency * t + rng.random()))
    phase = int(rng.integers(p.period))
    event_starts = np.arange(phase - p.period, n, p.period)
    event_states = np.empty(len(event_starts), int)
    event_states[0] = rng.integers(len(p.levels))
    cumulative, draws = p.P.cumsum(1), rng.random(len(event_starts))
    for i in range(1, len(event_starts)):  # a chain is sequential; one step per event, not sample
        event_states[i] = min(np.searchsorted(cumulative[event_states[i - 1]], draws[i],
                                              side="right"), len(p.levels) - 1)
    at = event_starts[:, None] + np.arange(p.width)
    inside = (at >= 0) & (at < n)
    event, number = np.zeros(n), np.full(n, -1)
    event[at[inside]] = (p.levels[event_states][:, None] * p.triangle)[inside]
    number[at[inside]] = np.broadcast_to(np.arange(len(at))[:, None], at.shape)[inside]
    eps = rng.normal(0, p.noise, n)
    return StateMachine(p, carrier + event + eps, carrier, event, eps, number, event_starts,
                        event_states)


@dataclass(frozen=True)
class BestForecast:
    """``mean`` and ``variance`` (noise included) [N, pred_len] of the future given the past.

    ``event`` [N, pred_len] marks the future event samples; ``offset`` [N] is the sample of the
    window, modulo the period, at which events start; ``state`` [N, K, S] is the probability of each
    state for the K events that end in the horizon or begin in it, in their order."""

    mean: np.ndarray
    variance: np.ndarray
    event: np.ndarray
    offset: np.ndarray
    state: np.ndarray


def best_forecast(x, pred_len: int, process: Process = Process(), chunk: int = 512) -> BestForecast:
    """Mean of the next ``pred_len`` samples given state-machine windows ``x`` [N, seq_len].

    The forecast with the least mean squared error: no model can do better on average. Four steps:

    1. Phase of the events: for each of the ``period`` possible ones, carrier and events are a
       linear model of the window (sine, cosine, a triangle per event); the one of least residual is
       taken. With a few events in view the next is exp(-50) times as likely: no need to average.
    2. Phase of the carrier: from the coefficients of sine and cosine; its error, about
       noise * sqrt(2 / seq_len) radians, adds 0.3 % of the noise's variance in windows of 336.
    3. Filter: likelihood of each state for each event seen, pushed through the Markov chain.
    4. Forecast: carrier and events go on, each at the mean of its level, whose variance remains."""
    x = np.asarray(x, float)
    parts = [_best_forecast(x[i:i + chunk], pred_len, process) for i in range(0, len(x), chunk)]
    return BestForecast(*(np.concatenate([getattr(b, name) for b in parts])
                          for name in BestForecast.__annotations__))


def _best_forecast(x, pred_len, p):
    (N, L), S = x.shape, len(p.states)
    t, omega = np.arange(L + pred_len), 2 * np.pi * p.frequency
    waves = np.stack([np.sin(omega * t), np.cos(omega * t)])  # [2, L + pred_len]
    firsts = np.arange(p.period) - p.period  # an event begun before the window may be under way
    n_events = -(-(L + pred_len) // p.period) + 1
    at = firsts[:, None, None] + np.arange(n_events)[:, None] * p.period + np.arange(p.width)
    inside = (at >= 0) & (at < L + pred_len)
    shapes = np.zeros((p.period, n_events, L + pred_len))  # of every event, for every phase
    phase, event, _ = np.nonzero(inside)
    shapes[phase, event, at[inside]] = np.broadcast_to(p.triangle, at.shape)[inside]

    residual, weights = np.empty((p.period, N)), np.empty((p.period, N, 2))
    for i, seen in enumerate(shapes[:, :, :L]):
        A = np.concatenate([waves[:, :L], seen[seen.any(1)]]).T  # [L, 2 + events seen]
        Q, R = np.linalg.qr(A)
        projected = x @ Q
        residual[i] = -(projected**2).sum(1)
        weights[i] = np.linalg.solve(R, projected.T).T[:, :2]
    best = residual.argmin(0)
    weights = weights[best, np.arange(N)]
    carrier = (weights / np.linalg.norm(weights, axis=1, keepdims=True)) @ waves  # amplitude is 1
    shapes = shapes[best]  # [N, K, L + pred_len]

    # log p(window | state of event k) = (height x'shape - height^2 shape'shape / 2) / noise^2 + c
    seen = shapes[:, :, :L]
    match = np.einsum("nl,nkl->nk", x - carrier[:, :L], seen)[..., None]
    energy = (seen**2).sum(-1)[..., None]
    log_likelihood = (p.levels * match - p.levels**2 * energy / 2) / p.noise**2  # [N, K, S]
    belief, beliefs = np.broadcast_to(p.stationary, (N, S)), np.empty((N, n_events, S))
    for k in range(n_events):
        belief = belief if k == 0 else belief @ p.P
        with np.errstate(divide="ignore"):  # the logarithm of an impossible state is -inf
            log = np.log(belief) + log_likelihood[:, k]
        weight = np.exp(log - log.max(1, keepdims=True))
        belief = beliefs[:, k] = weight / weight.sum(1, keepdims=True)
    mean = beliefs @ p.levels
    variance = beliefs @ p.levels**2 - mean**2
    future = shapes[:, :, L:]
    return BestForecast(carrier[:, L:] + np.einsum("nk,nkl->nl", mean, future),
                        p.noise**2 + np.einsum("nk,nkl->nl", variance, future**2),
                        future.any(1), best, beliefs)


@dataclass(frozen=True)
class Recall:
    """Independent windows of the recall task with their ground truth.

    ``x`` [n, seq_len + pred_len]. ``key`` [n, patches] of a patch, -1 for a distractor, and
    ``value`` [n, patches] that it shows, 0 for none. The last patch asks for a key; ``slot`` [n]
    is the patch that has it with its value, ``target`` [n] the height of the horizon's bump."""

    x: np.ndarray
    key: np.ndarray
    value: np.ndarray
    slot: np.ndarray
    target: np.ndarray
    seq_len: int


def count_keys(pairs: int) -> int:
    """Keys to choose from for so many pairs."""
    return 8 if pairs <= 8 else 16


def key_shapes(n_keys: int, length: int, parity: bool = False) -> np.ndarray:
    """The waveforms of each key, [n_keys, variants, length], of root mean square 1.

    One each: cosines at right angles, then their negatives. With ``parity`` there are 8 keys of
    three bits and 8 waveforms of each: six cosines are added, each with a sign, and a bit is the
    product of two signs. Every sign is as often + as - under every key, so the waveforms of a key
    add up to zero: no linear projection says anything about it on average (least squares and
    logistic regression stay at chance), while the signs, and so the key, are read without error."""
    if n_keys > 2 * length or (parity and (n_keys, length >= 6) != (8, True)):
        raise ValueError(f"n_keys={n_keys}: at most {2 * length} waveforms of length {length} can "
                         "be told apart well"
                         + ("; with parity exactly 8 keys of length 6 or more." if parity else "."))
    waves = np.cos(np.pi * np.arange(length)[:, None] * (np.arange(length) + 0.5) / length)
    waves /= np.sqrt((waves**2).mean(1, keepdims=True))
    if not parity:
        return np.concatenate([waves, -waves])[:n_keys, None]
    signs = np.array(list(itertools.product((1, -1), repeat=6)))  # [64, 6]
    key = (signs[:, ::2] * signs[:, 1::2] < 0) @ [4, 2, 1]
    return (signs @ waves[:6] / np.sqrt(6))[np.argsort(key, kind="stable")].reshape(8, 8, length)


def bump(length: int) -> np.ndarray:
    """A smooth bump [length] of height 1."""
    return np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2


def pairs_shown(rng, n: int, patches: int, pairs: int, lookup: float | None = None):
    """What ``n`` windows of recall show: ``key``, ``value``, ``slot`` and ``target`` of ``Recall``.

    Raises ``ValueError`` if the pairs exceed the window."""
    n_keys, rows = count_keys(pairs), np.arange(n)[:, None]
    if not 1 <= pairs <= min(patches - 1, n_keys):
        raise ValueError(f"pairs={pairs}: must be 1 to {min(patches - 1, 16)}.")
    if lookup is not None and not (0 <= lookup <= 1 and pairs > 1):
        raise ValueError(f"lookup={lookup}: must be a share from 0 to 1, with at least 2 pairs.")
    place = rng.permuted(np.tile(np.arange(patches - 1), (n, 1)), axis=1)[:, :pairs]
    keys = rng.permuted(np.tile(np.arange(n_keys), (n, 1)), axis=1)[:, :pairs]
    values = rng.standard_normal((n, pairs))
    if lookup is not None:
        values = (values - values.mean(1, keepdims=True)) * np.sqrt(pairs / (pairs - 1))
    key, value = np.full((n, patches), -1), np.zeros((n, patches))
    key[rows, place], value[rows, place] = keys, values
    key[:, -1] = keys[:, 0]  # places and keys are in random order, so the first pair is any of them
    target = values[:, 0]
    if lookup is not None:
        value[:, -1] = rng.standard_normal(n)
        target = np.sqrt(lookup) * target + np.sqrt(1 - lookup) * value[:, -1]
    return key, value, place[:, 0], target


def recall(n: int, pairs: int, seed: int = 0, *, lookup: float | None = None, parity: bool = False,
           seq_len: int = 336, pred_len: int = 96, patch_len: int = 16,
           noise: float = 0.025) -> Recall:
    """``n`` windows of associative recall.

    The first half of a patch has room for a waveform, the second for a bump. ``pairs`` patches at
    random places are cues: the waveform is a key (one of 8, or of 16 for more than 8 pairs; all
    different), the height of the bump its value, Gaussian of variance 1. The last patch shows one
    of these keys and no value; the horizon is one bump of its value. All other patches have a
    random waveform and no bump. Gaussian noise of standard deviation ``noise`` lies over all.

    With ``lookup``, a share of the target's variance, the target is sqrt(lookup) * value +
    sqrt(1 - lookup) * u, where u is shown plainly as a bump in the last patch, and the values of a
    window sum to zero, so that no sum over patches says anything about the one asked for: without a
    look-up exactly that share is left. With ``parity`` every patch with a key shows one of its 8
    waveforms at random (``key_shapes``). Raises ``ValueError`` if the pairs exceed the window."""
    rng, half = np.random.default_rng(seed), patch_len // 2
    if seq_len % patch_len:
        raise ValueError(f"seq_len={seq_len}: must be a multiple of patch_len={patch_len}.")
    patches = seq_len // patch_len
    key, value, slot, target = pairs_shown(rng, n, patches, pairs, lookup)
    x = rng.standard_normal((n, seq_len + pred_len), dtype=np.float32)
    x *= noise
    cut = x[:, :seq_len].reshape(n, patches, 2, half)  # a copy, put back below
    waves = rng.standard_normal((n, patches, half), dtype=np.float32)
    is_key = key >= 0
    shapes = key_shapes(count_keys(pairs), half, parity)
    waves[is_key] = shapes[
        key[is_key], rng.integers(shapes.shape[1], size=is_key.sum()) if parity else 0]
    cut[:, :, 0] += waves
    cut[:, :, 1] += (value[..., None] * bump(half)).astype(np.float32)
    x[:, :seq_len] = cut.reshape(n, seq_len)
    x[:, seq_len:] += target[:, None] * bump(pred_len)
    return Recall(x, key, value, slot, target, seq_len)


def look_up(x, pairs: int, lookup: float | None = None, *, parity: bool = False, pred_len: int = 96,
            patch_len: int = 16) -> np.ndarray:
    """Forecasts [n, pred_len] by the look-up written out, from recall windows ``x`` [n, seq_len].

    What can be reached. The last patch's key is that of the waveform nearest to it; the patch
    nearest to a waveform of this key is asked for; its value is the least-squares height of its
    bump. What is left is the noise, and the value's own error from it."""
    half = patch_len // 2
    cut = x.reshape(len(x), -1, 2, half)
    shapes, b = key_shapes(count_keys(pairs), half, parity), bump(half)
    distance = np.stack([((cut[:, :, 0, None] - of_key) ** 2).sum(-1).min(-1)
                         for of_key in shapes], -1)  # [n, patches, keys]
    asked = distance[:, -1].argmin(1)
    slot = distance[np.arange(len(x)), :-1, asked].argmin(1)
    value = cut[:, :, 1] @ b / (b @ b)  # [n, patches]
    found = value[np.arange(len(x)), slot]
    if lookup is not None:
        found = np.sqrt(lookup) * found + np.sqrt(1 - lookup) * value[:, -1]
    return found[:, None] * bump(pred_len)


# Windows of recall and dial for training, validation and test.
RECALL_WINDOWS = (48_000, 2_000, 4_000)
RECALL = {f"recall-{n}": dict(pairs=n) for n in (1, 2, 4, 8, 16)} | \
    {f"dial-{w:g}": dict(pairs=4, lookup=w) for w in (0, 0.05, 0.1, 0.25, 0.5, 1)} | \
    {"recall-4-nonlinear": dict(pairs=4, parity=True)}

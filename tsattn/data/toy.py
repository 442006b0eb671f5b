"""Synthetic series whose structure, and whose best possible forecast, are known.

state machine   carrier + event + noise; event heights follow a Markov chain (the paper's series)
recall          the horizon holds a value shown before under a key, which the last patch names again
dial            recall in which a given share of the target's variance needs the look-up"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NOISE = 0.025  # standard deviation of the Gaussian noise over every synthetic series
PATCH = 16  # samples of a patch of recall


@dataclass(frozen=True)
class Process:
    """What is known of a state-machine series beforehand: all but its phases, states and noise.

    An event of ``width`` samples starts every ``period`` samples; its height is ``height`` times
    the state, which follows the Markov chain ``P`` [S, S]. That of the paper is 1 -> -1 -> 0.02 ->
    2 -> 1.02 -> 1; state 1 repeats with probability 0.1."""

    noise: float = NOISE
    frequency = 0.01  # of the carrier, cycles per sample; its amplitude is 1
    period, width, height = 80, 10, 0.5
    states = (1.0, -1.0, 0.02, 2.0, 1.02)
    P = np.array([[0.1, 0.9, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1],
                  [1, 0, 0, 0, 0]])
    levels = height * np.array(states)  # height of the event of each state [S]
    # Shape of an event [width], of height 1 between its two middle samples.
    triangle = 1 - np.abs(np.arange(width) - (width - 1) / 2) / (width / 2)
    # How often each state occurs in the long run [S].
    stationary = np.linalg.lstsq(np.vstack([P.T - np.eye(len(P)), np.ones(len(P))]),
                                 np.append(np.zeros(len(P)), 1.0), rcond=None)[0].clip(0)


@dataclass(frozen=True)
class StateMachine:
    """A generated series ``x = carrier + event + noise`` with its ground truth, by sample.

    ``number``: of the event at a sample, -1 for none; ``event_starts`` and ``event_states`` (an
    index) have one entry per event."""

    process: Process
    x: np.ndarray
    carrier: np.ndarray
    event: np.ndarray
    noise: np.ndarray
    number: np.ndarray
    event_starts: np.ndarray
    event_states: np.ndarray

    @property
    def middles(self) -> np.ndarray:
        """Number of the event whose middle sample (of two, the later) a sample is, -1 for none."""
        into = np.arange(len(self.x)) - self.event_starts[self.number]
        return np.where(into == self.process.width // 2, self.number, -1)

    def patch_events(self, starts, seq_len: int, patch_len: int, stride: int,
                     n_tokens: int) -> np.ndarray:
        """Number [N, n_tokens] of the event that each patch of the windows at ``starts`` [N] shows:
        that whose middle sample lies in it; -1: none."""
        offset = np.arange(n_tokens)[:, None] * stride + np.arange(patch_len)  # [T, patch_len]
        at = np.minimum(np.asarray(starts)[:, None, None] + offset, len(self.x) - 1)
        return np.where(offset < seq_len, self.middles[at], -1).max(-1)

    def heights(self, starts, forecast) -> tuple[np.ndarray, np.ndarray]:
        """States that ``forecast`` [N, pred_len] from the samples ``starts`` [N] shows; true ones.

        For every event that lies wholly in a horizon: least-squares height of its triangle above
        the true carrier, in units of ``height``, and the index of its state."""
        p, first = self.process, self.event_starts - np.asarray(starts)[:, None]  # [N, events]
        row, event = np.nonzero((first >= 0) & (first + p.width <= forecast.shape[1]))
        into = np.arange(p.width)[:, None]  # [width, 1]
        left = (forecast[row, first[row, event] + into]
                - self.carrier[self.event_starts[event] + into])
        height = (left * p.triangle[:, None]).sum(0) / (p.triangle @ p.triangle) / p.height
        return height, self.event_states[event]


def state_machine(n: int, seed: int = 0) -> StateMachine:
    """``n`` samples of sin(2 pi f t) + triangular events + Gaussian noise, with random phases.

    A longer series of the same seed has the phases and the states of a shorter one, and goes on;
    its noise is another."""
    p, rng = Process(), np.random.default_rng(seed)
    t = np.arange(n)
    carrier = np.sin(2 * np.pi * (p.frequency * t + rng.random()))
    phase = int(rng.integers(p.period))
    event_starts = np.arange(phase - p.period, n, p.period)
    event_states = np.empty(len(event_starts), int)
    event_states[0] = rng.integers(len(p.levels))
    cumulative, draws = p.P.cumsum(1), rng.random(len(event_starts))
    for i in range(1, len(event_starts)):  # a chain is sequential; one step per event, not sample
        event_states[i] = np.searchsorted(cumulative[event_states[i - 1]], draws[i], side="right")
    into, nth = (t - phase) % p.period, (t - phase) // p.period + 1
    number = np.where(into < p.width, nth, -1)
    shape = p.triangle[np.minimum(into, p.width - 1)]
    event = np.where(number >= 0, p.levels[event_states[nth]] * shape, 0)
    eps = rng.normal(0, p.noise, n)
    return StateMachine(p, carrier + event + eps, carrier, event, eps, number, event_starts,
                        event_states)


class BestForecast(NamedTuple):
    """``mean`` and ``variance`` (noise included) [N, pred_len] of the future given the past.

    ``state`` [N, K, S] is the probability of each state for the K events that end in the horizon or
    begin in it, in their order."""

    mean: np.ndarray
    variance: np.ndarray
    state: np.ndarray


def best_forecast(x, pred_len: int, process: Process = Process()) -> BestForecast:
    """Mean of the next ``pred_len`` samples given state-machine windows ``x`` [N, seq_len].

    The forecast with the least mean squared error: no model can do better on average. Four steps:

    1. Phase of the events: for each of the ``period`` possible ones, carrier and events are a
       linear model of the window (sine, cosine, a triangle per event); the one of least residual is
       taken. With a few events in view the next is exp(-50) times as likely: no need to average.
    2. Phase of the carrier: from the coefficients of sine and cosine; its error, about
       noise * sqrt(2 / seq_len) radians, adds 0.3 % of the noise's variance in windows of 336.
    3. Filter: likelihood of each state for each event seen, pushed through the Markov chain.
    4. Forecast: carrier and events go on, each at the mean of its level, whose variance remains."""
    x, p = np.asarray(x, float), process
    if len(x) > 512:  # in parts, for what follows takes memory
        parts = (best_forecast(x[i:i + 512], pred_len, p) for i in range(0, len(x), 512))
        return BestForecast(*map(np.concatenate, zip(*parts, strict=True)))
    (N, L), S = x.shape, len(p.states)
    t, omega = np.arange(L + pred_len), 2 * np.pi * p.frequency
    waves = np.stack([np.sin(omega * t), np.cos(omega * t)])  # [2, L + pred_len]
    firsts = np.arange(p.period) - p.period  # an event begun before the window may be under way
    n_events = -(-(L + pred_len) // p.period) + 1
    # Of every event, for every phase: [period, K, L + pred_len].
    into = t - (firsts[:, None] + np.arange(n_events) * p.period)[..., None]
    shapes = np.where((into >= 0) & (into < p.width), p.triangle[into.clip(0, p.width - 1)], 0)
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
                        p.noise**2 + np.einsum("nk,nkl->nl", variance, future**2), beliefs)


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


def count_keys(pairs: int) -> int:
    return 8 if pairs <= 8 else 16


def key_shapes(n_keys: int, length: int, parity: bool = False) -> np.ndarray:
    """The waveforms of each key, [n_keys, variants, length], of root mean square 1.

    One each: cosines at right angles, then their negatives. With ``parity`` there are 8 keys of
    three bits and 8 waveforms of each: six cosines are added, each with a sign, and a bit is the
    product of two signs. Every sign is as often + as - under every key, so the waveforms of a key
    add up to zero: no linear projection says anything about it on average (least squares and
    logistic regression stay at chance), while the signs, and so the key, are read without error."""
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
        raise ValueError(f"pairs={pairs}: {patches} patches have room for 1 to "
                         f"{min(patches - 1, n_keys)}; take a longer window.")
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
           seq_len: int = 336, pred_len: int = 96) -> Recall:
    """``n`` windows of associative recall.

    The first half of a patch has room for a waveform, the second for a bump. ``pairs`` patches at
    random places are cues: the waveform is a key (one of 8, or of 16 for more than 8 pairs; all
    different), the height of the bump its value, Gaussian of variance 1. The last patch shows one
    of these keys and no value; the horizon is one bump of its value. All other patches have a
    random waveform and no bump. Gaussian noise lies over all.

    With ``lookup``, a share of the target's variance, the target is sqrt(lookup) * value +
    sqrt(1 - lookup) * u, where u is shown plainly as a bump in the last patch, and the values of a
    window sum to zero, so that no sum over patches says anything about the one asked for: without a
    look-up exactly that share is left. With ``parity`` every patch with a key shows one of its 8
    waveforms at random (``key_shapes``). Raises ``ValueError`` if the pairs exceed the window."""
    rng, half = np.random.default_rng(seed), PATCH // 2
    if seq_len % PATCH:
        raise ValueError(f"seq_len={seq_len}: must be a multiple of patch_len={PATCH}.")
    patches = seq_len // PATCH
    key, value, slot, target = pairs_shown(rng, n, patches, pairs, lookup)
    x = rng.standard_normal((n, seq_len + pred_len), dtype=np.float32)
    x *= NOISE
    waves = rng.standard_normal((n, patches, half), dtype=np.float32)
    is_key, shapes = key >= 0, key_shapes(count_keys(pairs), half, parity)
    waves[is_key] = shapes[key[is_key], rng.integers(shapes.shape[1], size=is_key.sum())]
    bumps = (value[..., None] * bump(half)).astype(np.float32)
    x[:, :seq_len] += np.concatenate([waves, bumps], -1).reshape(n, seq_len)
    x[:, seq_len:] += target[:, None] * bump(pred_len)
    return Recall(x, key, value, slot, target)


def look_up(x, pairs: int, lookup: float | None = None, *, parity: bool = False,
            pred_len: int = 96) -> np.ndarray:
    """Forecasts [n, pred_len] by the look-up written out, from recall windows ``x`` [n, seq_len].

    What can be reached. The last patch's key is that of the waveform nearest to it; the patch
    nearest to a waveform of this key is asked for; its value is the least-squares height of its
    bump. What is left is the noise, and the value's own error from it."""
    half, rows = PATCH // 2, np.arange(len(x))
    cut = x.reshape(len(x), -1, 2, half)
    shapes, b = key_shapes(count_keys(pairs), half, parity), bump(half)
    distance = np.stack([((cut[:, :, 0, None] - of_key) ** 2).sum(-1).min(-1)
                         for of_key in shapes], -1)  # [n, patches, keys]
    value = cut[:, :, 1] @ b / (b @ b)  # [n, patches]
    asked = distance[:, -1].argmin(1)
    found = value[rows, distance[rows, :-1, asked].argmin(1)]
    if lookup is not None:
        found = np.sqrt(lookup) * found + np.sqrt(1 - lookup) * value[:, -1]
    return found[:, None] * bump(pred_len)


# Windows of recall and dial for training, validation and test.
RECALL_WINDOWS = (48_000, 2_000, 4_000)
RECALL = {f"recall-{n}": dict(pairs=n) for n in (1, 2, 4, 8, 16)} | \
    {f"dial-{w:g}": dict(pairs=4, lookup=w) for w in (0, 0.05, 0.1, 0.25, 0.5, 1)} | \
    {"recall-4-nonlinear": dict(pairs=4, parity=True)}

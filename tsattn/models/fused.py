"""The sublayers of a training step on a CPU, forward and backward by hand, chunk by chunk.

The mathematics is that of ``attention.py`` and ``patchtst.py``, to rounding; what changes is the order of memory access.
A training step touches some forty arrays of 10 to 30 MB, and fetching them takes longer than computing with them. Here
a chunk of sequences passes through a whole sublayer while it is in the processor's cache, the batch normalisation before
it included; every thread works on chunks of its own; and the backward pass keeps only what it cannot recompute cheaply,
which halves the memory.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..threads import chunks, side_by_side, split

CHUNK = 1056  # tokens at a time: the widest array of a chunk, [1056, 384] float32, fills 1.6 MB
DROPPED = -1e30  # gelu and its derivative are 0 there: added to pre-activations that dropout drops, so that no mask is kept


class Sublayer(torch.autograd.Function):
    """out = x + drop(f(x)) for tokens x = u * scale + shift; returns (out, mean, var, scores).

    u, out [N, T, D]. scale, shift [D] are the batch normalisation before the sublayer, None for x = u; mean and var [D],
    over all tokens of out, are what the one after it needs, None without ``moments``. Normalised tokens are not stored.
    ``rule`` is f, ``drop`` the dropout. ``below`` and scores [N, H, T, T] are the attention scores of the layer below and of
    this one, or None. Mean and variance are joined from those of chunks, so that none is a small difference of large sums.
    The backward pass overwrites what was saved for it: it runs once.
    """

    @staticmethod
    def forward(ctx, rule, drop, moments, u, scale, shift, below, *weights):
        out, kept, *room = rule.room(u, drop.dropped)
        inside, kept = rule.draw(u), drop.draw(kept)
        ctx.rule, ctx.drop, ctx.size, ctx.n_weights = rule, drop, max(1, CHUNK // u.shape[1]), len(weights)

        def work(*part):
            found = []
            for u_, out_, kept_, inside_, below_, *room_ in chunks(ctx.size, *part):
                x = normed(u_, scale, shift)
                drop.add(x, rule.forward(x, inside_, below_, room_, weights), kept_, out=out_)
                if moments:
                    rows = out_.flatten(0, 1)
                    centre = rows.mean(0)
                    found.append((centre, (rows - centre).square().sum(0), rows.new_tensor(len(rows))))
            return found

        found = sum(side_by_side(work, split(u, out, kept, inside, below, *room)), [])
        mean = var = None
        if moments:  # of all tokens, from those of the chunks
            means, squares, n = map(torch.stack, zip(*found))
            share = n / n.sum()
            mean = share @ means
            var = squares.sum(0) / n.sum() + share @ (means - mean).square()
        ctx.save_for_backward(u, scale, shift, kept, out, mean, *weights, *room)
        ctx.set_materialize_grads(False)
        return out, mean, var, room[0] if rule.has_scores else None

    @staticmethod
    def backward(ctx, g, g_mean, g_var, above):
        u, scale, shift, kept, out, mean, *rest = ctx.saved_tensors
        rule, weights, room = ctx.rule, rest[:ctx.n_weights], rest[ctx.n_weights:]
        if mean is not None:  # the gradient of out is g + g_mean / M + 2 g_var (out - mean) / M, for M tokens
            slope = 2 * g_var / u[..., 0].numel()
            level = g_mean / u[..., 0].numel() - slope * mean

        def work(*part):
            grads, d_norm = [torch.zeros_like(w) for w in weights], torch.zeros(2, u.shape[-1], dtype=u.dtype)
            for u_, g_, kept_, out_, above_, *room_ in chunks(ctx.size, *part):
                x = normed(u_, scale, shift)
                g_ = g_ if mean is None else torch.addcmul(level, out_, slope).add_(g_)
                dx = rule.backward(x, ctx.drop.keep(g_, kept_), above_, room_, weights, grads)
                dx = out_.copy_(g_) if dx is None else torch.add(g_, dx, out=out_)  # du takes the place of out
                if scale is not None:
                    before_norm(dx, u_, scale, d_norm)
            return d_norm, *grads

        parts = side_by_side(work, split(u, g.contiguous(), kept, out, above, *room))
        d_norm, *grads = map(sum, zip(*parts))
        d_norm = d_norm if scale is not None else (None, None)
        rule.spare = [None if t is None else t.detach() for t in (out, kept, *room)]
        du = out if scale is not None else out.clone()  # the caller may keep it beyond the next forward pass
        return None, None, None, du, *d_norm, room[0] if ctx.needs_input_grad[6] else None, *grads


class Head(torch.autograd.Function):
    """W x + b for the tokens x = u * scale + shift of a sequence, one after another: u [N, T, D] -> [N, pred_len]."""

    @staticmethod
    def forward(ctx, u, scale, shift, W, b):
        y = u.new_empty(len(u), len(b))
        ctx.size = max(1, 4 * CHUNK // u.shape[1])

        def work(*part):
            for u_, y_ in chunks(ctx.size, *part):
                torch.addmm(b, normed(u_, scale, shift).flatten(1), W.T, out=y_)

        side_by_side(work, split(u, y))
        ctx.save_for_backward(u, scale, shift, W)
        return y

    @staticmethod
    def backward(ctx, g):
        u, scale, shift, W = ctx.saved_tensors
        du = torch.empty_like(u)

        def work(*part):
            dW, db, d_norm = torch.zeros_like(W), torch.zeros_like(W[:, 0]), torch.zeros(2, u.shape[-1], dtype=u.dtype)
            for u_, du_, g_ in chunks(ctx.size, *part):
                dW.addmm_(g_.T, normed(u_, scale, shift).flatten(1))
                db += g_.sum(0)
                dx = torch.mm(g_, W, out=du_.flatten(1)).view_as(u_)
                before_norm(dx, u_, scale, d_norm)
            return d_norm, dW, db

        d_norm, dW, db = map(sum, zip(*side_by_side(work, split(u, du, g.contiguous()))))
        return du, *d_norm, dW, db


def normed(u, scale, shift):
    """u * scale + shift; u itself without."""
    return u if scale is None else torch.addcmul(shift, u, scale)


def before_norm(dx, u, scale, d_norm):
    """The gradient of x = u * scale + shift becomes that of u, in place; those of scale and shift are added to ``d_norm``."""
    d_norm[0] += (dx * u).sum((0, 1))
    d_norm[1] += dx.sum((0, 1))
    dx.mul_(scale)


class Rule:
    """What a sublayer computes, for a chunk of sequences at a time.

    ``forward(x, inside, below, room, weights)`` is f(x), and fills ``room``, tensors of ``shapes`` that the backward pass
    needs, the first being the scores if there are any. ``inside`` is the mask of a dropout within f, ``below`` the scores
    of the layer below. ``backward(x, df, above, room, weights, grads)`` is the gradient of x, None for zero, from ``df``,
    which it leaves as it is, and ``above``, those of f(x) and of the scores; the weights' are added to ``grads``, and that
    of ``below`` replaces the scores.
    """

    has_scores = False

    def __init__(self, n_heads=1):
        self.n_heads, self.spare = n_heads, []

    def shapes(self, N, T, D):
        return []

    def draw(self, u):
        """Mask of a dropout within f, for the forward pass only."""

    def room(self, u, masked):
        """Output, its mask, and ``shapes``: what the last backward pass gave back, if it fits, else new memory.

        Coming and going in every step, it would leave the heap full of holes.
        """
        spare, self.spare = self.spare, []
        if spare and (spare[0].shape, spare[0].dtype) == (u.shape, u.dtype):
            return spare
        return [u.new_empty(u.shape), u.new_empty(u.shape, dtype=torch.int8) if masked else None,
                *map(u.new_empty, self.shapes(*u.shape))]

    def __getstate__(self):
        return self.__dict__ | {"spare": []}  # a copy of the model needs none


class FeedForwardRule(Rule):
    """W_2 drop(gelu(W_1 x + b_1)) + b_2."""

    def __init__(self, d_ff, drop):
        super().__init__()
        self.d_ff, self.drop = d_ff, drop

    def shapes(self, N, T, D):
        return [(N, T, self.d_ff)]

    def draw(self, u):
        return self.drop.draw(torch.empty(*u.shape[:2], self.d_ff, dtype=torch.int8))

    def forward(self, x, inside, below, room, weights):
        h, (W_1, b_1, W_2, b_2) = room[0].flatten(0, 1), weights
        torch.addmm(b_1, x.flatten(0, 1), W_1.T, out=h)
        if inside is not None:
            h.add_(torch.eq(inside.flatten(0, 1), 0, out=torch.empty_like(h)), alpha=DROPPED)
        return torch.addmm(b_2, F.gelu(h), W_2.T, alpha=self.drop.scale).view_as(x)

    def backward(self, x, df, above, room, weights, grads):
        h, (W_1, b_1, W_2, b_2), df = room[0].flatten(0, 1), weights, df.flatten(0, 1)
        grads[2].addmm_(df.T, F.gelu(h), alpha=self.drop.scale)
        grads[3] += df.sum(0)
        dh = torch.ops.aten.gelu_backward(df @ W_2, h).mul_(self.drop.scale)
        grads[0].addmm_(dh.T, x.flatten(0, 1))
        grads[1] += dh.sum(0)
        return (dh @ W_1).view_as(x)


class SoftmaxRule(Rule):
    """W_o concat_h(A_h V_h) + b_o with A = softmax(Q K' + scores of the layer below, if there are any).

    W [3 D, D] and b hold the query (scaled by 1 / sqrt(d_k)), key and value projections one above the other. The scores
    are log A: they differ from Q K' + ... by a constant in every row, which the softmax above does not see. All products
    are written for transposed tokens, [d_k, T]: with d_k = 8 columns they would take twice the time.
    """

    has_scores = True

    def shapes(self, N, T, D):
        return [(N, self.n_heads, T, T), *[(N, self.n_heads, D // self.n_heads, T)] * 3]

    def forward(self, x, inside, below, room, weights):
        W, b, W_o, b_o = weights
        for z, projected in zip(room[1:], torch.addmm(b[:, None], W, x.flatten(0, 1).T).chunk(3)):
            z.copy_(self.split(projected, x))
        log_A, q, k, v = (z.flatten(0, 1) for z in room)
        torch.bmm(q.mT, k, out=log_A) if below is None else torch.baddbmm(below.flatten(0, 1), q.mT, k, out=log_A)
        torch.log_softmax(log_A, -1, out=log_A)
        return torch.addmm(b_o, self.join(v @ log_A.exp().mT, x).T, W_o.T).view_as(x)

    def backward(self, x, da, above, room, weights, grads):
        (W, b, W_o, b_o), (log_A, q, k, v), da = weights, (z.flatten(0, 1) for z in room), da.flatten(0, 1)
        A = log_A.exp()
        grads[2].addmm_(da.T, self.join(v @ A.mT, x).T)
        grads[3] += da.sum(0)
        do = self.split(W_o.T @ da.T, x).reshape(v.shape)
        dl = torch.ops.aten._softmax_backward_data(do.mT @ v, A, -1, A.dtype)
        if above is not None:  # its rows sum to 0, as all gradients through a softmax: log_softmax adds nothing to them
            dl += above.flatten(0, 1)
        log_A.copy_(dl)
        d = x.new_empty(3 * x.shape[-1], x.shape[0] * x.shape[1])
        for z, dz in zip(d.chunk(3), (k @ dl.mT, q @ dl, do @ A)):
            self.join(dz, x, out=z)
        grads[0].addmm_(d, x.flatten(0, 1))
        grads[1] += d.sum(1)
        return (d.T @ W).view_as(x)

    def split(self, z, x):
        """[D, n T] -> [n, H, d_k, T]"""
        return z.view(self.n_heads, -1, *x.shape[:2]).permute(2, 0, 1, 3)

    def join(self, z, x, out=None):
        """[n H, d_k, T] -> [D, n T]"""
        out = x.new_empty(x.shape[-1], x.shape[0] * x.shape[1]) if out is None else out
        self.split(out, x).copy_(z.view(len(x), self.n_heads, *z.shape[1:]))
        return out


class ZeroRule(Rule):
    """b_o."""

    def forward(self, x, inside, below, room, weights):
        return weights[0].expand_as(x)

    def backward(self, x, da, above, room, weights, grads):
        grads[0] += da.sum((0, 1))


class IdentityRule(Rule):
    """W_o M(W_v x + b_v) + b_o, M being what mixes the tokens: here nothing."""

    def shapes(self, N, T, D):
        return [(N, T, D)]

    def forward(self, x, inside, below, room, weights):
        (v,), (W_v, b_v, W_o, b_o, *A) = room, weights
        torch.addmm(b_v, x.flatten(0, 1), W_v.T, out=v.flatten(0, 1))
        return torch.addmm(b_o, self.mix(v, *A).flatten(0, 1), W_o.T).view_as(x)

    def backward(self, x, da, above, room, weights, grads):
        (v,), (W_v, b_v, W_o, b_o, *A) = room, weights
        grads[2].addmm_(da.flatten(0, 1).T, self.mix(v, *A).flatten(0, 1))
        grads[3] += da.sum((0, 1))
        dv = self.unmix((da.flatten(0, 1) @ W_o).view_as(x), v, *A, *grads[4:]).flatten(0, 1)
        grads[0].addmm_(dv.T, x.flatten(0, 1))
        grads[1] += dv.sum(0)
        return (dv @ W_v).view_as(x)

    def mix(self, v):
        return v

    def unmix(self, do, v):
        return do


class MeanRule(IdentityRule):
    """IdentityRule of the mean token: the mean of the values is the value of the mean."""

    def shapes(self, N, T, D):
        return [(N, 1, D)]

    def forward(self, x, *rest):
        return super().forward(x.mean(1, keepdim=True), *rest)

    def backward(self, x, da, *rest):
        return super().backward(x.mean(1, keepdim=True), da.sum(1, keepdim=True), *rest) / x.shape[1]


class FixedRule(IdentityRule):
    """IdentityRule with M(V)_h = A_h V_h for a matrix A [H, T, T] that does not depend on x."""

    def mix(self, v, A):
        return self.tokens(A @ self.heads(v, A), v)

    def unmix(self, do, v, A, dA):
        do = self.heads(do, A)
        dA.baddbmm_(do, self.heads(v, A).mT)
        return self.tokens(A.mT @ do, v)

    @staticmethod
    def heads(v, A):
        """[n, T, D] -> [H, T, n d_k]: all sequences share one product."""
        return v.unflatten(-1, (len(A), -1)).permute(2, 1, 0, 3).flatten(2)

    @staticmethod
    def tokens(z, v):
        """[H, T, n d_k] -> [n, T, D]"""
        return z.unflatten(-1, (len(v), -1)).permute(2, 1, 0, 3).flatten(2)

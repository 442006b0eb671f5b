"""The two sublayers of a training step on a CPU, forward and backward by hand, chunk by chunk.

The mathematics is that of ``attention.py`` and ``patchtst.py``, to rounding; what changes is the order of memory access.
A training step touches some forty arrays of 10 to 30 MB, and fetching them takes longer than computing with them. Here
a chunk of sequences passes through a whole sublayer while it is in the processor's cache, every thread works on chunks
of its own, and the backward pass keeps only what it cannot recompute cheaply. Dropout masks come from the same stream in
the same order as in ``dropout.py``.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..threads import chunks, side_by_side, split

CHUNK = 704  # tokens at a time: the widest array of a chunk, [704, 256] float32, fills 0.7 MB


class FeedForwardStep(torch.autograd.Function):
    """x + drop(W_2 drop(gelu(W_1 x + b_1)) + b_2) for tokens x [M, D].

    ``bits_h``, ``bits_o`` are the random bits of the two masks and ``keep_h``, ``keep_o`` apply them (``Dropout.keep``).
    """

    @staticmethod
    def forward(ctx, x, W_1, b_1, W_2, b_2, bits_h, keep_h, bits_o, keep_o):
        h, out = x.new_empty(len(x), len(b_1)), torch.empty_like(x)

        def work(*part):
            for x_, h_, out_, m_h, m_o in chunks(CHUNK, *part):
                torch.addmm(b_1, x_, W_1.T, out=h_)
                f = torch.addmm(b_2, keep_h(F.gelu(h_), m_h), W_2.T)
                torch.add(x_, keep_o(f, m_o), out=out_)

        side_by_side(work, split(x, h, out, bits_h, bits_o))
        ctx.save_for_backward(x, h, W_1, W_2, bits_h, bits_o)
        ctx.keep = keep_h, keep_o
        return out

    @staticmethod
    def backward(ctx, g):
        x, h, W_1, W_2, bits_h, bits_o = ctx.saved_tensors
        keep_h, keep_o = ctx.keep
        dx = torch.empty_like(x)

        def work(*part):
            dW_1, db_1, dW_2, db_2 = zeros(W_1, W_1[:, 0], W_2, W_2[:, 0])
            for x_, h_, g_, dx_, m_h, m_o in chunks(CHUNK, *part):
                df = keep_o(g_.clone(), m_o)
                dW_2.addmm_(df.T, keep_h(F.gelu(h_), m_h))
                db_2 += df.sum(0)
                dh = torch.ops.aten.gelu_backward(keep_h(df @ W_2, m_h), h_)
                dW_1.addmm_(dh.T, x_)
                db_1 += dh.sum(0)
                torch.addmm(g_, dh, W_1, out=dx_)
            return dW_1, db_1, dW_2, db_2

        parts = side_by_side(work, split(x, h, g.contiguous(), dx, bits_h, bits_o))
        return dx, *map(sum, zip(*parts)), None, None, None, None


class AttentionStep(torch.autograd.Function):
    """x + drop(W_o concat_h(A_h V_h) + b_o) with A = softmax(Q K' + scores), for sequences x [N, T, D].

    ``W`` [3 D, D] and ``b`` hold the query (scaled by 1 / sqrt(d_k)), key and value projections one above the other.
    ``scores`` [N, H, T, T], or None, are those of the layer below. Returns the output and this layer's scores.
    """

    @staticmethod
    def forward(ctx, x, W, b, W_o, b_o, scores, n_heads, bits, keep):
        (N, T, D), H = x.shape, n_heads
        qkv, o, out = x.new_empty(N, 3, H, T, D // H), torch.empty_like(x), torch.empty_like(x)
        A, logits = x.new_empty(N, H, T, T), x.new_empty(N, H, T, T)

        def work(*part):
            for x_, qkv_, o_, out_, A_, logits_, below, m in chunks(max(1, CHUNK // T), *part):
                qkv_.copy_(torch.addmm(b, x_.flatten(0, 1), W.T).view(-1, T, 3, H, D // H).permute(0, 2, 3, 1, 4))
                q, k, v = (qkv_[:, i].reshape(-1, T, D // H) for i in range(3))
                flat = logits_.flatten(0, 1)
                torch.bmm(q, k.mT, out=flat) if below is None else torch.baddbmm(below.flatten(0, 1), q, k.mT, out=flat)
                torch.softmax(logits_, -1, out=A_)
                o_.view(-1, T, H, D // H).copy_((A_.flatten(0, 1) @ v).view(-1, H, T, D // H).transpose(1, 2))
                a = torch.addmm(b_o, o_.flatten(0, 1), W_o.T).view_as(x_)
                torch.add(x_, keep(a, m), out=out_)

        side_by_side(work, split(x, qkv, o, out, A, logits, scores, bits))
        ctx.save_for_backward(x, W, W_o, qkv, A, o, bits)
        ctx.keep, ctx.below = keep, scores is not None
        ctx.set_materialize_grads(False)
        return out, logits

    @staticmethod
    def backward(ctx, g, g_logits):
        x, W, W_o, qkv, A, o, bits = ctx.saved_tensors
        (N, T, D), H = x.shape, A.shape[1]
        dx, dlogits = torch.empty_like(x), torch.empty_like(A) if ctx.below else None

        def work(*part):
            dW, db, dW_o, db_o = zeros(W, W[:, 0], W_o, W_o[:, 0])
            for x_, qkv_, A_, o_, g_, above, dl_, dx_, m in chunks(max(1, CHUNK // T), *part):
                q, k, v = (qkv_[:, i].reshape(-1, T, D // H) for i in range(3))
                da = ctx.keep(g_.clone(), m).flatten(0, 1)
                dW_o.addmm_(da.T, o_.flatten(0, 1))
                db_o += da.sum(0)
                do = (da @ W_o).view(-1, T, H, D // H).transpose(1, 2).reshape(-1, T, D // H)
                a = A_.flatten(0, 1)
                dl = torch.ops.aten._softmax_backward_data(do @ v.mT, a, -1, a.dtype)
                if above is not None:
                    dl += above.flatten(0, 1)
                if dl_ is not None:
                    dl_.copy_(dl.view_as(dl_))
                dqkv = x.new_empty(len(x_), T, 3, H, D // H)
                for i, d in enumerate((dl @ k, dl.mT @ q, a.mT @ do)):
                    dqkv[:, :, i].copy_(d.view(-1, H, T, D // H).transpose(1, 2))
                dqkv = dqkv.view(-1, 3 * D)
                dW.addmm_(dqkv.T, x_.flatten(0, 1))
                db += dqkv.sum(0)
                torch.addmm(g_.flatten(0, 1), dqkv, W, out=dx_.flatten(0, 1))
            return dW, db, dW_o, db_o

        parts = side_by_side(work, split(x, qkv, A, o, g.contiguous(), g_logits, dlogits, dx, bits))
        return dx, *map(sum, zip(*parts)), dlogits, None, None, None


def zeros(*tensors):
    return [torch.zeros_like(t) for t in tensors]

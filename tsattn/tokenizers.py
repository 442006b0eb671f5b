"""Codebooks fitted on the training patches of a run, and what they keep and lose.

k-means   scikit-learn; with several levels residual k-means: each level clusters what is left
vq-vae    vector-quantize-pytorch: encoder, codebook by moving averages, decoder; with several
          levels an RQ-VAE
random    Gaussian vectors with the mean and the covariance of the patches, not fitted further: the
          placebo
"""

from __future__ import annotations

import time

import torch

from . import data, models
from .models import revin
from .models.codebook import Codebook
from .settings import Settings

PATCHES_PER_CODE = 256  # to fit on; more hardly move the vectors (faiss draws as many)
COLLAPSED = 0.1  # a level whose perplexity is below this share of its codes
VQ_VAE_STEPS = 2000


def patches(s: Settings, windows: data.Windows, n: int) -> torch.Tensor:
    """At least ``n`` patches [N, patch_len] of windows drawn at random from the seed, normalised
    and padded as the model of ``s`` sees them; all of them where there are fewer."""
    per_window = len(windows.series) * s.n_tokens
    draw = torch.randperm(len(windows), generator=torch.Generator().manual_seed(s.seed))
    x = windows.batch(draw[: -(-n // per_window)])[0]
    x = revin.normalise(x)[0] if s.revin else x
    return models.build(s, len(windows.series)).patches(x.flatten(0, 1)).flatten(0, 1).contiguous()


def fit(s: Settings, windows: data.Windows) -> Codebook:
    """The codebook of ``s``, fitted on patches of the training ``windows`` alone, the same for
    every attention.

    On one thread, from the seed; random states of NumPy and PyTorch stay as they are. Raises
    ``ValueError`` if there are fewer different patches than codes, or the ``codebook`` extra is not
    installed for vq-vae.
    """
    x = patches(s, windows, PATCHES_PER_CODE * s.codes).cpu()
    if len(x.unique(dim=0)) < s.codes:
        raise ValueError(f"codes={s.codes}: more than there are different training patches; "
                         "set codes to fewer.")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s.seed)
            book = Codebook(s.patch_len, s.codes, s.code_levels, s.tokenizer == "vq-vae")
            {"k-means": _k_means, "vq-vae": _vq_vae, "random": _random}[s.tokenizer](book, s, x)
    finally:
        torch.set_num_threads(threads)
    with torch.no_grad():
        left = book.encoder(x)
        for level, codes in enumerate(book(x).unbind(-1)):
            book.counts[level] = torch.bincount(codes, minlength=s.codes)
            left = left - book.vectors[level, codes]
            book.error[level] = left.square().sum(-1).mean()
    return book


def _k_means(book, s, x):
    from sklearn.cluster import KMeans  # here: a run without a codebook does not need it
    from threadpoolctl import threadpool_limits

    for level in range(s.code_levels):
        with threadpool_limits(1):
            found = KMeans(s.codes, n_init=1, max_iter=50, random_state=s.seed + level)
            found.fit(x.numpy())
        book.vectors[level] = torch.from_numpy(found.cluster_centers_)
        x = x - book.vectors[level, found.labels_]


def _random(book, s, x):
    for level in range(s.code_levels):
        small = 1e-6 * x.var(0).mean() * torch.eye(s.patch_len)  # where patches lie in a plane
        root = torch.linalg.cholesky(torch.cov(x.T) + small)
        book.vectors[level] = x.mean(0) + torch.randn(s.codes, s.patch_len) @ root.T
        x = x - book.vectors[level, torch.cdist(x, book.vectors[level]).argmin(-1)]


def _vq_vae(book, s, x):
    try:
        from vector_quantize_pytorch import ResidualVQ
    except ImportError:
        raise ValueError("tokenizer='vq-vae' needs vector-quantize-pytorch; "
                         "pip install -e .[codebook].") from None
    quantise = ResidualVQ(dim=s.patch_len, num_quantizers=s.code_levels, codebook_size=s.codes,
                          kmeans_init=True, decay=0.95, commitment_weight=0.25,
                          threshold_ema_dead_code=2, rotation_trick=False)
    book.encoder.requires_grad_(True), book.decoder.requires_grad_(True)
    optimiser = torch.optim.Adam([*book.encoder.parameters(), *book.decoder.parameters()], lr=1e-3)
    for _ in range(VQ_VAE_STEPS):
        batch = x[torch.randint(len(x), (min(1024, len(x)),))]
        z, _, commitment = quantise(book.encoder(batch))
        ((book.decoder(z) - batch).square().mean() + commitment.sum()).backward()
        optimiser.step()
        optimiser.zero_grad()
    book.requires_grad_(False)
    book.vectors.copy_(quantise.codebooks.detach())


def quality(book: Codebook, x: torch.Tensor) -> dict:
    """What ``book`` does to patches x [N, P]; of several levels, that which uses its codes least.

    ``codebook_loss``: share of the patches' variance that is lost. ``codes_used``: codes that
    occur. ``code_perplexity``: exp(entropy) of the codes, K if all are as frequent. ``codebook``:
    "sound", or which level has collapsed: its perplexity is below ``COLLAPSED`` of its codes.
    """
    with torch.no_grad():
        codes = book(x)
        lost = (book.decode(codes) - x).square().sum() / (x - x.mean(0)).square().sum()
    K = book.vectors.shape[1]
    share = torch.stack([torch.bincount(c, minlength=K) for c in codes.unbind(-1)]) / len(x)
    perplexity = torch.special.entr(share.double()).sum(1).exp()
    collapsed = [f"level {level} collapsed: perplexity {p:.1f} of {K} codes"
                 for level, p in enumerate(perplexity.tolist(), 1) if p < COLLAPSED * K]
    return dict(codebook_loss=lost.item(), codes_used=int((share > 0).sum(1).min()),
                code_perplexity=perplexity.min().item(), codebook="; ".join(collapsed) or "sound")


def fit_and_measure(s: Settings, splits: data.Splits) -> tuple[Codebook, dict]:
    """``fit`` on the training windows, its ``quality`` on test patches, and its time in seconds."""
    started = time.perf_counter()
    book = fit(s, splits.train)
    seconds = time.perf_counter() - started
    return book, quality(book, patches(s, splits.test, 50_000)) | dict(codebook_seconds=seconds)

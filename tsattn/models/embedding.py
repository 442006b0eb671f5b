"""Patches [..., patch_len] -> tokens [..., d_model], each by itself: only attention mixes them."""

from torch import nn

from .codebook import Codebook, CodeEmbedding


class ConvEmbedding(nn.Module):
    """Two convolutions over the samples of a patch, then a linear map of all their features."""

    def __init__(self, patch_len: int, d_model: int, channels: int = 8, kernel: int = 5):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, channels, kernel, padding="same"), nn.GELU(),
            nn.Conv1d(channels, channels, kernel, padding="same"), nn.GELU(),
            nn.Flatten(), nn.Linear(channels * patch_len, d_model))

    def forward(self, x):
        return self.layers(x.reshape(-1, 1, x.shape[-1])).view(*x.shape[:-1], -1)


class ResidualEmbedding(nn.Module):
    """A linear map plus a block with one hidden layer."""

    def __init__(self, patch_len: int, d_hidden: int, d_model: int):
        super().__init__()
        self.linear, self.block = nn.Linear(patch_len, d_model), mlp(patch_len, d_hidden, d_model)

    def forward(self, x):
        return self.linear(x) + self.block(x)


def mlp(patch_len: int, d_hidden: int, d_model: int):
    return nn.Sequential(nn.Linear(patch_len, d_hidden), nn.GELU(), nn.Linear(d_hidden, d_model))


def make_embedding(s, codebook: Codebook | None = None) -> nn.Module:
    """The embedding that ``s.embedding`` names; lacking a fitted codebook, an empty one to load."""
    if s.coded:
        return CodeEmbedding(s, codebook or Codebook(s.patch_len, s.codes, s.code_levels,
                                                     s.tokenizer == "vq-vae"))
    return {**dict.fromkeys(("linear", "oracle"), lambda: nn.Linear(s.patch_len, s.d_model)),
            "mlp": lambda: mlp(s.patch_len, s.d_ff, s.d_model),
            "conv": lambda: ConvEmbedding(s.patch_len, s.d_model),
            "residual": lambda: ResidualEmbedding(s.patch_len, s.d_ff, s.d_model)}[s.embedding]()

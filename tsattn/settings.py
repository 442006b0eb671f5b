"""What one run is: a frozen dataclass, its validation, and the identifier that names its result.

The defaults are the settings of the lab talk (learning rate 1e-3, 100 epochs, batch 128, 336 -> 96,
d_model 128, d_ff 256, patch 16); what the talk leaves open follows the PatchTST files of the
paper's authors. ``make`` knows where another model's published settings differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # of the checkout

ATTENTIONS = ("softmax", "identity", "zero", "mean", "fixed")
SERIES = ("ETTh1", "ETTh2", "ETTm1", "ETTm2", "exchange", "illness", "weather", "EPF-NP",
          "vic")  # published
ETT = SERIES[:4]  # those that have other splits than the standard one
DATASETS = (*SERIES, "state-machine", "recall-1", "recall-2", "recall-4", "recall-8", "recall-16",
            "dial-0", "dial-0.05", "dial-0.1", "dial-0.25", "dial-0.5", "dial-1",
            "recall-4-nonlinear",
            *(DOSED := tuple(f"ETTh1-dose-{d}" for d in (0, 1, 3, 10, 30))))  # tsattn.data.dose
SPLITS = ("standard", "tail", *(f"fold-{k}" for k in range(1, 6)))
PROFILES = ("paper", "quick", "smoke")

MODELS = ("PatchTST", "iTransformer", "MLP", "linear", "DLinear", "last-value", "seasonal-naive")

CODED = ("decoded", "code-init", "code", "code-soft")  # embeddings of the codes of a patch

_CHOICES = {
    "model": MODELS,
    "attention": (*ATTENTIONS, "none"),
    "norm": ("batch", "layer"),
    "norm_position": ("post", "pre"),
    "positional_encoding": ("learned", "none"),
    "head": ("flatten", "mean"),
    "embedding": ("linear", "mlp", "conv", "residual", *CODED, "oracle"),
    "tokenizer": ("k-means", "vq-vae", "random"),
    "precision": ("float32", "tf32", "bf16"),
    "profile": PROFILES,
    "split": SPLITS,
    "gaps": ("refuse", "split"),
}
_FORMS = {"int": (int, "a whole number, such as 96"), "str": (str, "text"),
          "float": ((int, float), "a number, such as 0.001 (in YAML, write exponents as 1.0e-3)"),
          "bool": (bool, "True or False, without quotes")}
# Labels of a run that cannot change its result.
_LABELS = ("profile", "device", "cuda_graph")
# Settings that came after the first measurements count in the run_id only if they differ from the
# default, so that adding one leaves every earlier run_id as it is.
_LATER = ("feed_forward", "calendar", "embedding", "split", "missing", "gaps", "season",
          "tokenizer", "codes", "code_levels")
# What a model other than PatchTST depends on; nothing else counts in its run_id.
_DATA = {"dataset", "split", "missing", "gaps", "seq_len", "pred_len", "model", "attention",
         "max_windows", "precision"}
_TRAINING = {"learning_rate", "epochs", "patience", "batch_size", "lr_hold", "lr_decay",
             "max_steps", "seed"}
_DEPENDS = {
    "iTransformer": _DATA | _TRAINING | {
        "d_model", "d_ff", "n_heads", "n_layers", "dropout", "norm", "norm_position",
        "residual_attention", "revin", "feed_forward", "calendar"},
    "MLP": _DATA | _TRAINING | {"d_ff", "n_layers", "dropout", "revin"},
    "linear": _DATA | _TRAINING | {"revin"},
    "DLinear": _DATA | _TRAINING | {"revin"},
    "last-value": _DATA,
    "seasonal-naive": _DATA | {"season"},
}


@dataclass(frozen=True)
class Settings:
    """Everything that defines one training run; lengths are in time steps. Raises ``ValueError``
    naming the field if a value is impossible."""

    # data
    dataset: str = "ETTh1"  # a name in DATASETS, or the path of a CSV file
    split: str = "standard"  # tail, fold-1 to fold-5: other parts of an ETT series (data.ett_rows)
    # Values that stand for a missing one, e.g. "-9999,nan": that of the row before is held.
    missing: str = ""
    gaps: str = "refuse"  # irregular steps: refuse, or split, with which no window crosses one
    seq_len: int = 336
    pred_len: int = 96
    # model
    model: str = "PatchTST"
    attention: str = "softmax"  # "none" for a model that has no attention
    patch_len: int = 16
    stride: int = 16
    pad_end: bool = True  # repeat the last value `stride` times, which adds one token
    d_model: int = 128
    d_ff: int = 256
    n_heads: int = 16
    n_layers: int = 3
    dropout: float = 0.2
    norm: str = "batch"
    norm_position: str = "post"
    residual_attention: bool = True  # pre-softmax scores are added from layer to layer
    positional_encoding: str = "learned"
    head: str = "flatten"
    # Of a patch; mlp, conv and residual are not linear, those of CODED see its codes, and the
    # oracle is told what a patch of a synthetic series shows.
    embedding: str = "linear"
    # Gives the codes (tsattn.tokenizers); with several levels residual k-means or RQ-VAE.
    tokenizer: str = "k-means"
    codes: int = 256  # of each level
    code_levels: int = 2
    revin: bool = True
    feed_forward: bool = True  # False: encoder layers of attention alone
    season: int = 0  # steps that seasonal-naive repeats; 0: a day, or a season of the data's step
    calendar: bool = False  # the window's calendar features become extra tokens (iTransformer)
    # training
    learning_rate: float = 1e-3
    epochs: int = 100
    patience: int = 10  # epochs without a better validation MSE before the run stops
    batch_size: int = 128
    lr_hold: int = 3  # epochs at the full learning rate ...
    lr_decay: float = 0.9  # ... which is then multiplied by this after every epoch
    max_steps: int = 0  # training steps per epoch; 0 is the whole split
    max_windows: int = 0  # validation and test windows evaluated; 0 is all of them
    seed: int = 2021
    precision: str = "float32"
    # labels
    profile: str = "paper"
    device: str = "auto"
    cuda_graph: bool = False  # on a CUDA device: launch each training step as one graph

    def __post_init__(self):
        if isinstance(self.missing, (int, float)):  # -9999 on a command line is a number
            object.__setattr__(self, "missing", str(self.missing))
        for name, holds, words in self._rules():
            if not holds:
                raise ValueError(f"{name}={getattr(self, name)!r}: {words}.")

    def _rules(self):
        """(field, whether its value is possible, what it must be), each only if those before it
        are."""
        for field in fields(self):
            value, (kind, form) = getattr(self, field.name), _FORMS[field.type]
            right = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            yield field.name, right, f"expected {form}"
        for name, allowed in _CHOICES.items():
            yield name, getattr(self, name) in allowed, f"choose one of {', '.join(allowed)}"
        for field in (f for f in fields(self) if f.type == "int"):
            least = int(field.name not in ("max_steps", "max_windows", "seed", "season"))
            yield (field.name, getattr(self, field.name) >= least,
                   f"must be an integer of at least {least}")
        yield "seed", self.seed < 2**32, f"must be less than 2**32 = {2**32}"
        yield "dropout", 0 <= self.dropout < 1, "must be at least 0 and less than 1"
        yield ("learning_rate", 0 < self.learning_rate < float("inf"),
               "must be greater than 0 and finite")
        yield "lr_decay", 0 < self.lr_decay <= 1, "must be greater than 0 and at most 1"
        yield "n_heads", self.d_model % self.n_heads == 0, f"must divide d_model={self.d_model}"
        patches, name = self.model == "PatchTST", self.dataset_name
        attends = patches or self.model == "iTransformer"
        use = f"needs one of {', '.join(ATTENTIONS)}" if attends else "has no attention; use none"
        yield "attention", attends == (self.attention != "none"), f"model={self.model!r} {use}"
        yield ("calendar", not self.calendar or self.model == "iTransformer" and self.dated,
               "only iTransformer takes calendar features, and only of data with dates; this is "
               f"{self.model} on {name}")
        yield ("embedding", self.embedding != "oracle" or patches and not self.dated,
               "only PatchTST takes it, and only of a synthetic series is the truth known; this is "
               f"{self.model} on {name}")
        if patches:
            yield ("patch_len", self.patch_len <= self.seq_len,
                   f"must be at most seq_len={self.seq_len}")
            yield ("stride", self.stride <= self.patch_len,
                   f"the steps between patches of {self.patch_len} would not be seen; choose at "
                   f"most patch_len={self.patch_len}")
            rest = (self.seq_len - self.patch_len) % self.stride
            yield ("pad_end", self.pad_end or not rest,
                   f"the newest {rest} of {self.seq_len} steps would not be seen; set pad_end to "
                   "true, or choose patch_len and stride that end with the window")
        yield ("dataset", self.dataset in DATASETS or self.dataset.lower().endswith(".csv"),
               f"choose one of {', '.join(DATASETS)}, or give the path of a .csv file")
        yield ("split", self.split == "standard" or self.dataset in (*ETT, *DOSED),
               f"a part of the ETT series; for {name} use standard")
        for given in ("missing", "gaps"):
            yield (given, self.dated or getattr(self, given) == getattr(Settings, given),
                   f"{name} is synthetic and complete; leave it out")
        yield ("missing", all(map(_is_number, self.missing.split(","))) or not self.missing,
               "give numbers separated by commas, or nan, e.g. -9999,nan")
        yield ("device", bool(re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device)),
               "choose auto, cpu, cuda or cuda:N")

    @property
    def n_tokens(self) -> int:
        """Number of patches T of one channel's window; 0 for a model without patches."""
        if self.model != "PatchTST":
            return 0
        return (self.seq_len - self.patch_len) // self.stride + 1 + self.pad_end

    @property
    def dataset_name(self) -> str:
        """Name of the data without any folder, fit for a table or a title."""
        return self.dataset if self.dataset in DATASETS else " ".join(
            Path(self.dataset).name.split())

    @property
    def dated(self) -> bool:
        """Whether the data have dates, as every file has and a synthetic series has not."""
        return self.dataset in (*SERIES, *DOSED) or self.dataset not in DATASETS

    @property
    def coded(self) -> bool:
        """Whether the model sees the codes of a codebook instead of the patches."""
        return self.model == "PatchTST" and self.embedding in CODED

    @property
    def seeded(self) -> bool:
        """Whether the seed can change the result."""
        return "seed" in _DEPENDS.get(self.model, _TRAINING)

    @cached_property
    def run_id(self) -> str:
        """Stable name of the result: a prefix to read, a hash of all that can change the numbers.

        A setting that the model does not have does not count, so that one result has one name. A
        user's CSV counts by its content: an edited file is a new run and a moved one is not. It is
        read once: these settings keep their name while it changes.
        """
        idle = {"residual_attention"} if self.attention != "softmax" else set()
        idle |= {"n_heads"} if self.attention not in ("softmax", "fixed") else set()
        idle |= {"season"} if self.model != "seasonal-naive" else set()
        idle |= {"d_ff"} if not (
            self.feed_forward or self.embedding in ("mlp", "residual")) else set()
        idle |= {"tokenizer", "codes", "code_levels"} if not self.coded else set()
        depends = _DEPENDS.get(self.model, {f.name for f in fields(self)} - {*_LABELS})
        content = {k: float(v) if k in ("learning_rate", "dropout", "lr_decay") else v
                   for k, v in vars(self).items() if k in depends and k not in idle
                   and not (k in _LATER and v == getattr(Settings, k))}
        if self.dataset not in DATASETS:
            try:
                content["dataset"] = hashlib.sha256(
                    Path(self.dataset).expanduser().read_bytes()).hexdigest()
            except OSError as error:
                raise FileNotFoundError(f"{self.dataset_name}: {error.strerror.lower()}; give the "
                                        "path of an existing CSV file.") from None
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
        name = self.dataset if self.dataset in DATASETS else _plain(Path(self.dataset).stem)
        parts = [self.model, name, self.seq_len, self.pred_len, self.attention,
                 *([f"s{self.seed}"] if self.seeded else []), digest]
        return "-".join(map(str, parts))

    def but(self, **changes) -> Settings:
        """A copy with some fields changed, validated again."""
        unknown = set(changes) - {f.name for f in fields(self)}
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: no such setting; choose among "
                             f"{', '.join(f.name for f in fields(self))}.")
        return replace(self, **changes)


def _is_number(text: str) -> bool:
    try:
        return isinstance(float(text), float)
    except ValueError:
        return False


def _plain(stem: str) -> str:
    """At most 40 characters of a file's name that any file system, shell and page can hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-")[:40] or "csv"


# Where a model's own settings differ from the defaults. iTransformer's (Liu et al., ICLR 2024)
# sizes and schedule come close to the row which the paper's authors published for it. DLinear (Zeng
# et al., AAAI 2023) has no instance normalisation.
_MODEL_CHANGES = {
    "iTransformer": dict(d_model=512, d_ff=512, n_heads=8, n_layers=2, dropout=0.1, norm="layer",
                         residual_attention=False, learning_rate=1e-4, lr_hold=1, lr_decay=0.5,
                         batch_size=32, epochs=10, patience=3),
    "DLinear": dict(revin=False),
}
_PROFILE_CHANGES = {
    "paper": {},
    "quick": dict(epochs=2, max_windows=1024),
    "smoke": dict(epochs=2, max_steps=3, max_windows=64, batch_size=16, d_model=16, d_ff=32,
                  n_heads=4, n_layers=2, codes=16),
}
SEEDS = {"paper": (2021, 2022, 2023), "quick": (2021,), "smoke": (2021, 2022)}


def make(profile: str = "paper", **changes) -> Settings:
    """Settings of a profile: ``paper`` (full), ``quick`` (full model, 2 epochs), ``smoke`` (tests).

    Another ``model`` brings its own published settings; ``changes`` come last. iTransformer gets
    calendar features where the data have dates. A window shorter than PatchTST's usual patch is cut
    into quarters.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile={profile!r}: choose one of {', '.join(PROFILES)}.")
    model = changes.get("model", "PatchTST")
    own = dict(_MODEL_CHANGES.get(model, {}))
    if model == "iTransformer":
        own["calendar"] = Settings(dataset=changes.get("dataset", Settings.dataset)).dated
    elif model != "PatchTST":
        own["attention"] = "none"
    seq_len = changes.get("seq_len")
    if isinstance(seq_len, int) and 1 <= seq_len < Settings.patch_len:
        own |= dict.fromkeys(("patch_len", "stride"), max(1, seq_len // 4))
    return Settings(profile=profile).but(**own | _PROFILE_CHANGES[profile] | changes)

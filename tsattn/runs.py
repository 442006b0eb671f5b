"""The settings that chapters and commands share, and the runs they compare, by importance."""

from __future__ import annotations

import functools

import torch

from . import settings
from .models import match
from .settings import ATTENTIONS, Settings, make

FEW_SEEDS = settings.SEEDS["paper"]
MORE_SEEDS = (*FEW_SEEDS, 2024, 2025)
# Most important first.
CELLS = (("ETTh1", 96), ("ETTh1", 720), ("ETTh2", 96), ("ETTh2", 720), ("ETTh1", 192),
         ("ETTh1", 336), ("ETTh2", 192), ("ETTh2", 336))
LOW_RATE = 1e-4  # of the authors' example script, which validation prefers to the talk's 1e-3
PATIENCE = 5  # of later designs; it would have kept the same epoch in 236 of 260 earlier runs
# At its own rate, 1e-4 halved every epoch, iTransformer with softmax is kept after its first epoch.
# Ten epochs at a constant tenth move the weights about as far, with ten occasions to stop.
SMALL_STEPS = dict(model="iTransformer", learning_rate=1e-5, lr_decay=1.0)
# iTransformer's own scripts for ETT have d_model = d_ff = 256 (ETTh1, short horizons) and 128
# (ETTh2) where ours have 512.
NARROWER = {width: dict(model="iTransformer", d_model=width, d_ff=width) for width in (256, 128)}
# What makes attention redundant: one change of the architecture at a time, beside none.
CHANGES = {
    "as it is": {},
    "residual attention off": dict(residual_attention=False),
    "pre-norm": dict(norm_position="pre"),
    "1 layer": dict(n_layers=1),
    "1 head": dict(n_heads=1),
    "4 heads": dict(n_heads=4),
    "stride 8": dict(stride=8),
    "without RevIN": dict(revin=False),
    "mean-pool head": dict(head="mean"),
}
# What leaves the shapes of a model alone, as usual: one matched width serves all such runs.
SHAPELESS = {name: getattr(Settings, name) for name in (
    "dataset", "split", "missing", "gaps", "dropout", "learning_rate", "epochs", "patience",
    "batch_size", "lr_hold", "lr_decay", "max_steps", "max_windows", "seed", "profile", "device")}


def attentions(profile: str = "paper", seeds=FEW_SEEDS, **changes) -> list[Settings]:
    """The five attentions seed by seed, so that what is done first can already be compared."""
    return [make(profile, attention=a, seed=seed, **changes) for seed in seeds for a in ATTENTIONS]


def matched(s: Settings, target: Settings, cost: str = "parameters") -> Settings:
    """``models.match``, by the shapes of the models alone."""
    with torch.device("meta"):
        return s.but(d_ff=match(s.but(**SHAPELESS), target.but(**SHAPELESS), cost).d_ff)


def baselines(profile: str = "paper", seeds=FEW_SEEDS, **data) -> dict[str, list[Settings]]:
    """Baselines by name, on ``data`` (dataset, seq_len, pred_len); one run where no seed counts.

    The MLP has as many parameters as PatchTST with softmax attention, and zero attention is widened
    (``d_ff``) until it uses as many parameters or multiply-adds.
    """
    like = functools.partial(make, profile, **data)
    softmax, zero = like(), like(attention="zero")
    named = {"last value": like(model="last-value"), "seasonal naive": like(model="seasonal-naive"),
             "linear": like(model="linear"), "DLinear": like(model="DLinear"),
             "MLP (equal parameters)": matched(like(model="MLP"), softmax),
             "zero (equal parameters)": matched(zero, softmax),
             "zero (equal multiply-adds)": matched(zero, softmax, "multiply-adds"),
             "attention only": like(feed_forward=False)}
    return {name: [s.but(seed=seed) for seed in seeds] if s.seeded else [s]
            for name, s in named.items()}


def with_attention_only(profile: str = "paper", seeds=MORE_SEEDS, **changes) -> list[Settings]:
    """The five attentions and softmax without the feed-forward networks, seed by seed."""
    return [s for seed in seeds for s in (*attentions(profile, (seed,), **changes),
                                          make(profile, seed=seed, feed_forward=False, **changes))]


def redundancy(profile: str = "paper", seeds=FEW_SEEDS, **data) -> dict[str, list[Settings]]:
    """Softmax and zero attention with each of ``CHANGES``, by its name, on ``data``."""
    return {name: [make(profile, **data, attention=a, seed=seed, learning_rate=LOW_RATE, **change)
                   for seed in seeds for a in ("softmax", "zero")]
            for name, change in CHANGES.items()}


def toy(dataset: str, profile: str = "paper", **changes) -> Settings:
    """A run on a synthetic series (chapters 5, 6): smaller steps than on ETT, until it converges.

    Recall and the dial go without RevIN: their windows are centred already, and one scale for the
    whole window would tell every patch about the others.
    """
    look_up = dataset.startswith(("recall", "dial"))
    short = dict(batch_size=32, epochs=10, max_steps=100 if look_up else 800, max_windows=1000,
                 lr_decay=0.75)
    own = (short if profile == "paper" else {}) | (dict(revin=False) if look_up else {})
    return make(profile, dataset=dataset, **own | changes)


def new_months(profile: str = "paper") -> dict[str, list[Settings]]:
    """The runs of the pre-registered cells (results/PREREGISTRATION.md), most important first."""
    tail = dict(split="tail")
    return {
        "PatchTST ETTh1-96": with_attention_only(profile, learning_rate=LOW_RATE, **tail),
        "iTransformer ETTh1-96, 1e-4 halved": attentions(profile, model="iTransformer", **tail),
        "iTransformer ETTh1-96, constant 1e-5": attentions(profile, **SMALL_STEPS, **tail),
        "PatchTST ETTh2-96": with_attention_only(profile, learning_rate=LOW_RATE, dataset="ETTh2",
                                                 **tail),
    }


# Learning rate -> its seeds (R1, as amended: one below LOW_RATE, which shows if more are needed).
RATES = {5e-5: MORE_SEEDS[:1], 2e-4: MORE_SEEDS, LOW_RATE: MORE_SEEDS}
ABOVE = {5e-4: FEW_SEEDS}  # of zero, which picks the highest of them; outside the tests


def rate_of_each_arm(profile: str = "paper", rates=RATES,
                     arms=("softmax", "zero", "mean")) -> list[Settings]:
    """R1 of the second registration: PatchTST on ETTh1-96 at each of ``rates``, the longest runs
    first, tested on the standard months and on those after them."""
    return [make(profile, attention=a, seed=seed, learning_rate=rate, split=split)
            for rate, seeds in rates.items() for seed in seeds
            for a in arms for split in ("standard", "tail")]


# What is put in the place of a trained A, to tell content from mixing (P5 of the registration).
EXCHANGES = ("A = data-set average", "A = another window's")


def exchanged(profile: str = "paper") -> list[tuple[str, list[Settings], list[dict]]]:
    """(table, models, points) of the measurements that tell content from mixing, and two matrices.

    The registered ones on the new months, the same models on the standard test months, and, as the
    positive control, the synthetic series on which content decides.
    """
    models = [s for s in new_months(profile)["PatchTST ETTh1-96"]
              if s.attention == "softmax" and s.feed_forward]
    months = [dict(intervention=name, split=split) for split in ("test", "standard")
              for name in EXCHANGES]
    shown = [s for s in new_months(profile)["PatchTST ETTh1-96"]
             if s.attention in ("softmax", "fixed") and s.feed_forward and s.seed == FEW_SEEDS[0]]
    control = [toy(dataset, profile, seed=seed) for dataset in ("recall-4", "state-machine")
               for seed in FEW_SEEDS]
    return [("content_or_mixing", models, months),
            ("trained_matrices", shown, [dict(layer=1, head=1)]),
            ("toy_errors", control, [dict(windows=1000, intervention=name, draw=0)
                                     for name in ("none", *EXCHANGES)])]


def other_series(profile: str = "paper") -> dict[str, list[Settings]]:
    """Softmax, zero and mean on series of other kinds: electricity, exchange rates, illness."""
    lengths = {"EPF-NP": {}, "vic": {}, "exchange": {}, "illness": dict(seq_len=104, pred_len=24)}
    return {dataset: [make(profile, dataset=dataset, attention=a, seed=seed, learning_rate=LOW_RATE,
                           patience=PATIENCE, **length)
                      for seed in FEW_SEEDS for a in ("softmax", "zero", "mean")]
            for dataset, length in lengths.items()}


def evidence(profile: str = "paper") -> dict[str, list[Settings]]:
    """Named lists of runs, most important first; a run that several of them need is in each.

    Beyond the first five ``CELLS`` PatchTST is trained with softmax and zero alone: on the months
    where all were compared, the four replacements lose in the same windows.
    """
    plan = {f"new months: {name}": runs for name, runs in new_months(profile).items()}
    plan |= {f"other series: {name}": runs for name, runs in other_series(profile).items()}
    # iTransformer in small steps: is a lead of the replacements a matter of where training stopped?
    for dataset, pred_len in CELLS[1:]:
        plan[f"rates: iTransformer {dataset}-{pred_len}, constant 1e-5"] = attentions(
            profile, **SMALL_STEPS, dataset=dataset, pred_len=pred_len)
    # Rolling origin: five folds of 12, 2 and 2 months.
    plan["rolling origin ETTh1"] = [
        s for k in range(1, 6) for s in with_attention_only(
            profile, FEW_SEEDS, split=f"fold-{k}", patience=PATIENCE, learning_rate=LOW_RATE)
        if s.attention in ("softmax", "zero", "mean")]
    for rate in ("1e-3", "1e-4"):
        plan[f"PatchTST ETTh1-96, learning rate {rate}"] = attentions(
            profile, MORE_SEEDS, learning_rate=float(rate))
    for rate in ("1e-3", "1e-4"):
        plan[f"baselines ETTh1-96, learning rate {rate}"] = [
            s for name, of in baselines(profile, learning_rate=float(rate)).items() for s in of
            if (name, rate) != ("attention only", "1e-3")]
    plan["iTransformer ETTh1-96"] = attentions(profile, model="iTransformer")
    plan["iTransformer ETTh1-96, constant learning rate 1e-5"] = attentions(profile, **SMALL_STEPS)
    for width, changes in NARROWER.items():
        plan[f"iTransformer ETTh1-96, width {width}"] = attentions(profile, **changes)
    simple = ("last value", "seasonal naive", "linear", "DLinear", "MLP (equal parameters)")
    for i, (dataset, pred_len) in enumerate(CELLS[1:], 1):
        data, name = dict(dataset=dataset, pred_len=pred_len), f"{dataset}-{pred_len}"
        if i == 3:
            plan |= {f"redundancy: {name}": of for name, of in redundancy(profile).items()}
        plan[f"iTransformer {name}"] = attentions(profile, model="iTransformer", **data)
        if dataset == "ETTh2":
            plan[f"iTransformer {name}, width 128"] = attentions(profile, **NARROWER[128], **data)
        low = attentions(profile, learning_rate=LOW_RATE, **data)
        plan[f"PatchTST {name}"] = [s for s in low if i < 5 or s.attention in ("softmax", "zero")]
        if i < 5:
            named = baselines(profile, learning_rate=LOW_RATE, **data)
            plan[f"baselines {name}"] = [s for of in simple for s in named[of]]
    return plan


EMBEDDINGS = ("linear", "mlp", "conv", "residual")  # of chapter 7
# Embeddings of chapter 8, one change at a time; two levels of 256 codes unless said otherwise. The
# random codebook is the placebo.
CODEBOOKS = {
    "linear": {},
    "mlp": dict(embedding="mlp"),
    "decoded": dict(embedding="decoded"),
    "code-init": dict(embedding="code-init"),
    "code": dict(embedding="code"),
    "RQ-VAE": dict(embedding="code", tokenizer="vq-vae"),
    "random": dict(embedding="code", tokenizer="random"),
}
MORE_CODEBOOKS = {
    "random, code-init": dict(embedding="code-init", tokenizer="random"),
    "code-soft": dict(embedding="code-soft"),
    "code-init, 1024": dict(embedding="code-init", codes=1024, code_levels=1),
    "code, 1024": dict(embedding="code", codes=1024, code_levels=1),
}
# Told the true key or state of every patch: what a codebook could reach at best.
ORACLE = {"oracle": dict(embedding="oracle")}
EMBEDDED = {e: dict(embedding=e) for e in EMBEDDINGS} | CODEBOOKS | MORE_CODEBOOKS | ORACLE
ORACLE_DATA = ("recall-4-nonlinear", "state-machine")
# Trained four times as long too, one seed, softmax and zero: is a code only slower to learn?
LONGER = {"recall-4": ("code",),
          "recall-4-nonlinear": ("linear", "mlp", "code-init", "code", "RQ-VAE")}
CODEBOOK_SEEDS = {"state-machine": MORE_SEEDS, "recall-4": FEW_SEEDS,
                  "recall-4-nonlinear": FEW_SEEDS, "ETTh1": FEW_SEEDS}


def embeddings(dataset: str, profile: str = "paper", names=EMBEDDINGS,
               attentions=("softmax", "zero"), seeds=None,
               **changes) -> dict[tuple[str, str, int], Settings]:
    """Runs of chapters 7 and 8 by embedding (a name in ``EMBEDDED``), attention and seed, but for
    those ``left_out``. ``changes`` are for all of them. The synthetic series have their own
    training (``toy``); others are trained at the lower rate, unless one is given."""
    run, usual = functools.partial(toy, dataset, profile), {}
    if Settings(dataset=dataset).dated:
        run, usual = functools.partial(make, profile, dataset=dataset), dict(learning_rate=LOW_RATE)
    return {(name, a, seed): run(attention=a, seed=seed, **usual | changes | EMBEDDED[name])
            for seed in seeds or CODEBOOK_SEEDS.get(dataset, FEW_SEEDS) for name in names
            for a in attentions if not left_out(dataset, name, a)}


def longer(dataset: str, name: str, profile: str = "paper") -> list[Settings]:
    """A run of ``LONGER`` with softmax and zero."""
    return [s.but(max_steps=4 * s.max_steps)
            for s in embeddings(dataset, profile, [name], seeds=FEW_SEEDS[:1]).values()]


def left_out(dataset: str, name: str, attention: str) -> bool:
    """Whether a run of ``CODEBOOKS`` is not asked for: *random* and *fixed* attention on ETTh1,
    which cannot change the answer, as another condition of the rule is excluded there already."""
    return Settings(dataset=dataset).dated and (
        name == "random" or attention == "fixed" and name not in ("linear", "mlp"))


def _of_the_rule(dataset: str, name: str, profile: str) -> list[Settings]:
    """What the rule needs of an embedding."""
    return [*embeddings(dataset, profile, [name], ("softmax", "zero", "fixed")).values()]


def codebook(profile: str = "paper") -> dict[str, list[Settings]]:
    """Named lists of runs of chapter 8, most important first: ``CODEBOOKS``, ``LONGER``,
    ``MORE_CODEBOOKS``."""
    plan = {f"{dataset}: {name}": _of_the_rule(dataset, name, profile)
            for dataset in CODEBOOK_SEEDS for name in CODEBOOKS}
    plan |= {f"{dataset}: {name}, four times the steps": longer(dataset, name, profile)
             for dataset, names in LONGER.items() for name in names}
    plan |= {f"{dataset}: {name}": _of_the_rule(dataset, name, profile)
             for name in MORE_CODEBOOKS
             for dataset in ("state-machine", "recall-4", "recall-4-nonlinear")
             if dataset != "state-machine" or name == "random, code-init"}
    return {name: of for name, of in plan.items() if of}


def doses(profile: str = "paper") -> dict[str, list[Settings]]:
    """The runs of the registered doses of look-up (results/PREREGISTRATION-2.md, R2), by dose."""
    return {f"dose {dose} %": [
                make(profile, dataset=f"ETTh1-dose-{dose}", attention=a, seed=seed,
                     learning_rate=LOW_RATE)
                for seed in FEW_SEEDS for a in ("softmax", "zero", "mean")]
            for dose in (0, 3, 10, 30, 1)}


def oracle(profile: str = "paper") -> dict[str, list[Settings]]:
    """The oracle, where its truth is known."""
    return {f"{dataset}: oracle": _of_the_rule(dataset, "oracle", profile)
            for dataset in ORACLE_DATA}


# Planned once and left out, as no claim rests on them: six layers and LayerNorm in ``CHANGES``; a
# rolling origin on ETTh2; the authors' perturbation on ETTm2; in chapter 8 a VQ-VAE of 1024 codes,
# *mean* attention, and on the state machine longer training and further codebooks.
PLANS = {"evidence": evidence, "codebook": codebook,
         "registered": lambda profile: {
             "R1, the rate of each arm": rate_of_each_arm(profile),
             "a rate above them": rate_of_each_arm(profile, ABOVE, ["zero"])},
         "dose": doses, "oracle": oracle}

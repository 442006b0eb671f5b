# ruff: noqa: F401
"""Ledger to tables of comparisons. Numbers only: ``claims`` decides, ``text`` words."""

from . import embeddings
from .cells import (
    CHOSEN,
    EVERYWHERE,
    FAMILIES,
    RATES,
    TALK,
    WIDTHS,
    attention_alone,
    everywhere,
    families,
    family,
    larger_rate,
    patchtst,
    published,
    published_by_authors,
    simple_models,
    talk_table,
    what_changes,
)
from .compare import (
    against,
    at_last_epoch,
    at_preferred_rates,
    by_attention,
    one_family,
    past_kept,
    preferred,
    relative_mse,
    replacements,
)
from .trained import (
    after_training,
    beside,
    changes,
    event_multiples_of,
    share_of_zero,
    toy_rows,
)

# ruff: noqa: F401
"""Intervals and tests. Every comparison in the report says which of these it uses."""

from .blocks import (
    FEW_BLOCKS,
    Difference,
    block_error,
    block_length,
    difference,
    over_blocks,
    pooled_seeds,
)
from .families import (
    MARGIN,
    MIN_SEEDS,
    TOO_FEW,
    as_family,
    compare,
    holm,
    verdict,
)
from .samples import detectable, equivalence, interval, least_found, paired
from .several import RandomEffects, random_effects

"""Ledger to tables of comparisons. Numbers only: ``claims`` decides, ``text`` words."""

from .cells import (CHOSEN, EVERYWHERE, FAMILIES, RATES, TALK, WIDTHS, at_its_best, attention_alone,
                    baselines_elsewhere, elsewhere, families, family, larger_rate, one_token, published,
                    published_by_authors, simple_models, talk_table, what_changes)
from .compare import (against, at_last_epoch, baselines, by_attention, learning_rates, moves_with_blocks, one_family,
                      past_kept, preferred, redundancy, relative_mse, replacements)
from .trained import (changes, event_errors, event_multiples, event_weights, removal_on_events, share_of_zero, toy_rows)

__all__ = ["CHOSEN", "EVERYWHERE", "FAMILIES", "RATES", "TALK", "WIDTHS", "against", "at_its_best", "at_last_epoch", "attention_alone",
           "baselines", "baselines_elsewhere", "by_attention", "changes", "elsewhere", "event_errors",
           "event_multiples", "event_weights", "families", "family", "larger_rate", "learning_rates", "moves_with_blocks",
           "one_family", "one_token", "past_kept", "preferred", "published", "published_by_authors", "redundancy", "relative_mse",
           "removal_on_events", "replacements", "share_of_zero", "simple_models", "talk_table", "toy_rows", "what_changes"]

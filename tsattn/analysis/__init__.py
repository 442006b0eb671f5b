# ruff: noqa: F401
"""Tables of several chapters: the embeddings of 7 and 8, and what the authors published."""

from . import embeddings
from .published import published

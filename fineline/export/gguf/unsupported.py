"""The error for a model that llama.cpp does not have, and the configuration that decides it."""

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]
"""A configuration of transformers as a dictionary, that of the text model if there are several."""


class Unsupported(Exception):
    """A model that no graph of llama.cpp computes; the message is the reason."""

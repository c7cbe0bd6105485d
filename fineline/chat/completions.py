"""Completions that are JSON objects, and their fields."""

import json
from typing import Any


def field(completion: str, name: str) -> Any:
    """The value of a field; None if the completion is no JSON object or lacks it."""
    content = _parsed(completion)
    return content.get(name) if isinstance(content, dict) else None


def is_object(completion: str) -> bool:
    """Whether a completion is a JSON object."""
    return isinstance(_parsed(completion), dict)


def _parsed(completion: str) -> Any:
    try:
        return json.loads(completion)
    except (ValueError, RecursionError):
        return None

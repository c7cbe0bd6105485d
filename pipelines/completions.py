"""Completions that are JSON objects, and their fields."""

import json
from typing import Any


def field(completion: str, name: str) -> Any:
    """The value of a field; None if the completion is no JSON object or lacks it."""
    try:
        content = json.loads(completion)
    except (ValueError, RecursionError):
        return None
    return content.get(name) if isinstance(content, dict) else None

"""Fields of completions that are JSON objects."""

import json
from typing import Any


def field(completion: str, name: str) -> Any:
    """Return the value of a field; None if the completion is not a JSON object or lacks the field."""
    content = _parsed(completion)
    return content.get(name) if isinstance(content, dict) else None


def is_object(completion: str) -> bool:
    """True if a completion is a JSON object."""
    return isinstance(_parsed(completion), dict)


def _parsed(completion: str) -> Any:
    try:
        return json.loads(completion)
    except (ValueError, RecursionError):
        return None

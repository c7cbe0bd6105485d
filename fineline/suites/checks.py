"""Instructions that a program can verify: `{"kind": ..., "value": ...}` in the `checks` of an item; all must pass."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fineline.chat.tokens import json_object


def passed(text: str, checks: Sequence[Mapping[str, Any]]) -> bool:
    """True if an answer follows every instruction."""
    return all(KINDS[check["kind"]](text.strip(), check["value"]) for check in checks)


def problems(checks: Any) -> list[str]:
    """Return the problems of the checks of an item; empty if they are valid."""
    if not isinstance(checks, list) or not checks:
        return ["`checks` must be a list with at least one check"]
    found = []
    for check in checks:
        if not isinstance(check, dict) or set(check) != {"kind", "value"}:
            found.append(f"a check needs `kind` and `value`, found {check!r}")
        elif check["kind"] not in KINDS:
            found.append(f"unknown check {check['kind']!r}; accepted: {', '.join(KINDS)}")
        elif not _FITTING[_VALUES[check["kind"]]](check["value"]):
            found.append(f"the check {check['kind']!r} needs {_VALUES[check['kind']]}, found {check['value']!r}")
    return found


def _is_pattern(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return True


_TEXT, _NUMBER, _FLAG, _NAMES, _PATTERN = "a text", "a whole number", "true or false", "a list of texts", "a regular expression"
_FITTING: Mapping[str, Callable[[Any], bool]] = {
    _TEXT: lambda value: isinstance(value, str),
    _NUMBER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    _FLAG: lambda value: isinstance(value, bool),
    _NAMES: lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    _PATTERN: _is_pattern,
}


def _bare(text: str) -> str:
    """Return a text in lower case, without the punctuation around a one-word answer."""
    return text.casefold().strip(" \t\n.!?\"'`*")


def _keys(text: str, wanted: Sequence[str]) -> bool:
    content = json_object(text)
    return content is not None and set(content) == set(wanted)


def _parts(text: str) -> int:
    return len([part for part in text.split(",") if part.strip()])


def _lines(text: str) -> int:
    return len([line for line in text.splitlines() if line.strip()])


KINDS: Mapping[str, Callable[[str, Any], bool]] = {
    "equals": lambda text, value: _bare(text) == _bare(value),
    "contains": lambda text, value: value.casefold() in text.casefold(),
    "lacks": lambda text, value: value.casefold() not in text.casefold(),
    "starts": lambda text, value: text.casefold().startswith(value.casefold()),
    "ends": lambda text, value: text.casefold().endswith(value.casefold()),
    "max_words": lambda text, value: len(text.split()) <= value,
    "min_words": lambda text, value: len(text.split()) >= value,
    "max_characters": lambda text, value: len(text) <= value,
    "json_keys": _keys,
    "list_items": lambda text, value: _parts(text) == value,
    "lines": lambda text, value: _lines(text) == value,
    "lower": lambda text, value: (text == text.lower()) is value,
    "upper": lambda text, value: (text == text.upper()) is value,
    "regex": lambda text, value: re.search(value, text) is not None,
}

_VALUES: Mapping[str, str] = {
    **dict.fromkeys(("equals", "contains", "lacks", "starts", "ends"), _TEXT),
    **dict.fromkeys(("max_words", "min_words", "max_characters", "list_items", "lines"), _NUMBER),
    **dict.fromkeys(("lower", "upper"), _FLAG),
    "json_keys": _NAMES,
    "regex": _PATTERN,
}
"""Kind -> the accepted value."""

"""Recognizers as users may write them, good and bad."""

import re
from collections.abc import Iterator

NOT_CALLABLE = 1


def names(text: str) -> Iterator[tuple[str, int, int]]:
    """Every capitalised pair of words is a person."""
    for match in re.finditer(r"[A-Z][a-z]+ [A-Z][a-z]+", text):
        yield "person", match.start(), match.end()


def capitals(text: str) -> list[tuple[str, int, int]]:
    """Every capital is a code name, those in placeholders included."""
    return [("code_name", place, place + 1) for place, character in enumerate(text) if character.isupper()]


def broken(text: str) -> list[tuple[str, int, int]]:
    raise ValueError(f"cannot read {text}")


def beyond(text: str) -> list[tuple[str, int, int]]:
    return [("person", 0, len(text) + 1)]


def empty_span(text: str) -> list[tuple[str, int, int]]:
    return [("person", 1, 1)]


def odd_kind(text: str) -> list[tuple[str, int, int]]:
    return [(text, 0, 1)]


def odd_type(text: str) -> list[str]:
    return [text]

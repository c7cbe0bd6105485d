"""Records as Markdown in which nothing of a record is markup: it cannot end a table, a code block or the YAML header."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fineline.evaluate.tables import NOTHING, grid

_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_MARKUP = re.compile(r"([\\`*\[\]<|~&])")
_BEGINNING = re.compile(r"^(\d{0,9})([#>+=_.)-])")
NONE = "None."


def text(value: Any) -> str:
    """A value of a record as one line within prose or a cell; marks that turn a line around or cannot be seen are left out."""
    return _MARKUP.sub(r"\\\1", " ".join(_UNSHOWABLE.sub("", _plain(value)).split()))


def line(value: Any) -> str:
    """The same where a line begins: no heading, quotation, list or rule can begin there either."""
    return _BEGINNING.sub(lambda found: f"{found[1]}\\{found[2]}", text(value))


def code(value: Any) -> str:
    """A value of a record as inline code, with as many backticks as it takes; not for cells, where `|` ends code too."""
    content = " ".join(_UNSHOWABLE.sub("", _plain(value)).split())
    if not content:
        return ""
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", content)), default=0))
    space = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{space}{content}{space}{ticks}"


def block(content: str, language: str = "") -> str:
    """A fenced block whose fence is longer than any run of backticks in it."""
    content = _UNSHOWABLE.sub("", content).rstrip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", content)), default=0))
    return f"{fence}{language}\n{content}\n{fence}"


def bullets(lines: Sequence[Any]) -> str:
    """A list, an entry a line."""
    return "\n".join(f"- {line(one)}" for one in lines) or NONE


def table(heading: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[int] = ()) -> str:
    """A table of values of records."""
    if not rows:
        return NONE
    return grid(heading, [[text(cell) for cell in row] for row in rows], numeric=numeric)


def value(content: Any) -> str:
    """Any JSON value: text as a paragraph, a list as bullets, mappings as a table."""
    if isinstance(content, Mapping):
        return table(("what", "value"), [(_words(key), one) for key, one in content.items()])
    if isinstance(content, list) and content and all(isinstance(row, Mapping) for row in content):
        heading = list(dict.fromkeys(key for row in content for key in row))
        return table([_words(key) for key in heading], [[_or_nothing(row, key) for key in heading] for row in content])
    if isinstance(content, list):
        return bullets(content)
    return line(content)


def _or_nothing(row: Mapping[str, Any], key: str) -> Any:
    """In a table of many rows, a cell that does not apply is a dash."""
    return NOTHING if row.get(key) is None else row[key]


def _words(key: Any) -> str:
    return str(key).replace("_", " ")


def _plain(content: Any) -> str:
    """A JSON value in one line, numbers as people write them."""
    match content:
        case None:
            return "not known"
        case bool():
            return "yes" if content else "no"
        case int():
            return f"{content:,}" if abs(content) >= 10_000 else str(content)
        case float():
            return f"{content:,.0f}" if content.is_integer() and abs(content) < 1e9 else f"{content:.4g}"
        case str():
            return content
        case list():
            return ", ".join(_plain(one) for one in content) or "none"
        case dict():
            return ", ".join(f"{_words(key)} {_plain(one)}" for key, one in content.items()) or "none"
        case _:
            return json.dumps(content)

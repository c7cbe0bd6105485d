"""Records as Markdown. Text of a record is never markup: it cannot end a table, a code block or the YAML header.

A template next to this file holds the words of a document. Every value in it is escaped by `text`, except what the filters
`code`, `block`, `bullets`, `value` and the function `table` return, which escape it in their own way.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

from fineline.evaluate.tables import NOTHING, grid

_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_MARKUP = re.compile(r"([\\`*\[\]<|~&])")
_BEGINNING = re.compile(r"^(\d{0,9})([#>+=_.)-])")
NONE = "None."


class Markup(str):
    """Text that is Markdown already, and that a template does not escape."""


def render(template: str, **values: Any) -> str:
    """Return a document.

    Args:
        template: A file of this package.
        values: The values that it names.

    Raises:
        KeyError: A value that the template names is missing.
    """
    from jinja2 import Environment, StrictUndefined, UndefinedError  # here, not above: the command line starts faster

    def markup(function: Callable[..., str]) -> Callable[..., Markup]:
        return lambda *arguments: Markup(function(*arguments))

    def escaped(content: Any) -> str:
        return (
            content if isinstance(content, Markup) else text(str(content) if isinstance(content, StrictUndefined) else content)
        )

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=escaped
    )
    environment.filters |= {one.__name__: markup(one) for one in (code, block, bullets, value)} | {"raw": Markup}
    environment.globals["table"] = markup(table)
    source = resources.files(__package__).joinpath(template).read_text(encoding="utf-8")
    try:
        return environment.from_string(source).render(values)
    except UndefinedError as error:
        raise KeyError(str(error)) from error


def text(value: Any) -> str:
    """Return a value as one line of prose or a cell, without invisible characters and marks that change the direction."""
    return _MARKUP.sub(r"\\\1", " ".join(_UNSHOWABLE.sub("", _plain(value)).split()))


def line(value: Any) -> str:
    """Return the same for the beginning of a line: it cannot begin a heading, quotation, list or rule."""
    return _BEGINNING.sub(lambda found: f"{found[1]}\\{found[2]}", text(value))


def code(value: Any) -> str:
    """Return a value as inline code, with enough backticks. Not for cells, where `|` ends code too."""
    content = " ".join(_UNSHOWABLE.sub("", _plain(value)).split())
    if not content:
        return ""
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", content)), default=0))
    space = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{space}{content}{space}{ticks}"


def block(content: str, language: str = "") -> str:
    """Return a fenced block whose fence is longer than any run of backticks in it."""
    content = _UNSHOWABLE.sub("", content).rstrip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", content)), default=0))
    return f"{fence}{language}\n{content}\n{fence}"


def bullets(lines: Sequence[Any]) -> str:
    """Return a list, one entry per line."""
    return "\n".join(f"- {line(one)}" for one in lines) or NONE


def table(heading: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[int] = ()) -> str:
    """Return a table of values."""
    if not rows:
        return NONE
    return grid(heading, [[text(cell) for cell in row] for row in rows], numeric=numeric)


def value(content: Any) -> str:
    """Return any JSON value: text as a paragraph, a list as bullets, mappings as a table."""
    if isinstance(content, Mapping):
        return table(("item", "value"), [(_words(key), one) for key, one in content.items()])
    if isinstance(content, list) and content and all(isinstance(row, Mapping) for row in content):
        heading = list(dict.fromkeys(key for row in content for key in row))
        return table([_words(key) for key in heading], [[_or_nothing(row, key) for key in heading] for row in content])
    if isinstance(content, list):
        return bullets(content)
    return line(content)


def _or_nothing(row: Mapping[str, Any], key: str) -> Any:
    """Return a value of a row; a dash if it does not apply."""
    return NOTHING if row.get(key) is None else row[key]


def _words(key: Any) -> str:
    return str(key).replace("_", " ")


def _plain(content: Any) -> str:
    """Return a JSON value in one line, with readable numbers."""
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

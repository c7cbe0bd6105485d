"""JSON lines, one object a line, and JSON documents: a list of objects, or an object that contains one such list."""

import codecs
import io
from collections.abc import Iterator
from typing import IO, Any

import orjson

from fineline.errors import InputError
from fineline.project.params.sources import Part
from fineline.sources.readers import MAX_ROW, RawRow, text

MAX_DOCUMENT = 1 << 30  # bytes: a document is parsed whole and takes several times its size


def lines(stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
    """Yield the rows of a JSONL file, numbered by line; blank lines are skipped.

    Raises:
        InputError: A line is longer than 64 MiB, or the encoding is unknown.
    """
    if not text.is_utf8(part.encoding):
        yield from _recoded(stream, name, part.encoding)
        return
    number = 0
    while line := stream.readline(MAX_ROW + 1):
        number += 1
        if len(line) > MAX_ROW:
            raise text.too_long(name, number)
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if raw := line.strip():
            yield _row(number, raw)


def _recoded(stream: IO[bytes], name: str, encoding: str) -> Iterator[RawRow]:
    for number, line in enumerate(text.lines(stream, name, encoding, newline="\n"), 1):
        raw = text.as_stored(line).strip()
        problem = text.problem(line, encoding)
        if problem:
            yield RawRow(number, None, raw, problem)
        elif raw:
            yield _row(number, raw)


def _row(number: int, raw: bytes) -> RawRow:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return RawRow(number, None, raw, text.not_utf8(raw) or f"invalid JSON at character {error.pos + 1}: {error.msg}")
    if not isinstance(content, dict):
        return RawRow(number, None, raw, "not a JSON object")
    return RawRow(number, content, raw)


def document(stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
    """Yield the rows of a JSON file, numbered by their place in the list. JSON lines in a .json file are read as such.

    Raises:
        InputError: The file is larger than 1 GiB, not in its encoding, not JSON, or has not exactly one list of rows.
    """
    stored = stream.read(MAX_DOCUMENT + 1)
    if len(stored) > MAX_DOCUMENT:
        raise InputError(f"{name}: a JSON document larger than 1 GiB; write it as JSON lines (.jsonl), which are streamed")
    data = text.as_utf8(stored, name, part.encoding)
    if not data.strip():
        return
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if not _begins_with_a_line_of_json(data):
            raise InputError(f"{name}: invalid JSON in line {error.lineno}, column {error.colno}: {error.msg}") from error
        yield from lines(io.BytesIO(data), name, part.model_copy(update={"encoding": "utf-8"}))
        return
    for number, item in enumerate(_list(content, name), 1):
        if isinstance(item, dict):
            yield RawRow(number, item)
        else:
            yield RawRow(number, None, orjson.dumps(item), "not a JSON object")


def _begins_with_a_line_of_json(data: bytes) -> bool:
    first, _, rest = data.partition(b"\n")
    try:
        return isinstance(orjson.loads(first), dict) and bool(rest.strip())
    except orjson.JSONDecodeError:
        return False


def _list(document: Any, name: str) -> list[Any]:
    """Return the list of rows in a document; empty lists count only if there is no other."""
    if isinstance(document, list):
        return document
    values = document.items() if isinstance(document, dict) else ()
    lists = {key: value for key, value in values if isinstance(value, list) and all(isinstance(item, dict) for item in value)}
    filled = {key: value for key, value in lists.items() if value}
    if len(filled) > 1 or not lists:
        found = str(len(filled)) if filled else "none"
        raise InputError(f"{name}: must be a list of objects, or an object that contains exactly one; found {found}")
    return next(iter(filled.values()), [])

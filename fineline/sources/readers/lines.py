"""JSON lines: one object a line."""

import codecs
from collections.abc import Iterator
from typing import IO

import orjson

from fineline.project.params.sources import Part
from fineline.sources.readers import MAX_ROW, RawRow, text


def rows(stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
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

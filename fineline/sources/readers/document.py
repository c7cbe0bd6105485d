"""JSON documents: a list of objects, or an object that contains one such list."""

import io
from collections.abc import Iterator
from typing import IO, Any

import orjson

from fineline.errors import InputError
from fineline.project.params.sources import Part
from fineline.sources.readers import RawRow, lines, text

MAX_DOCUMENT = 1 << 30  # bytes: a document is parsed whole and takes several times its size


def rows(stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
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
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if not _begins_with_a_line_of_json(data):
            raise InputError(f"{name}: invalid JSON in line {error.lineno}, column {error.colno}: {error.msg}") from error
        yield from lines.rows(io.BytesIO(data), name, part.model_copy(update={"encoding": "utf-8"}))
        return
    for number, item in enumerate(_list(document, name), 1):
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

"""Parquet files, batch by batch."""

import math
import shutil
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from tempfile import TemporaryFile
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fineline.errors import InputError
from fineline.project.params.sources import Part
from fineline.sources.readers import CHUNK, RawRow

_BATCH = 2_000  # rows held at a time


class _NotJson(ValueError):
    """A value that cannot be represented in JSON. The message does not quote it."""


def rows(stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
    """Yield the rows of a Parquet file, numbered from 1. The footer is last, so the stream is copied to a temporary file.

    Times become ISO 8601, decimals their digits, durations seconds, bytes their text if it is UTF-8.

    Raises:
        InputError: It is not a Parquet file, or damaged, or has two columns with the same name.
    """
    with TemporaryFile() as whole:
        shutil.copyfileobj(stream, whole, CHUNK)
        if not whole.tell():
            return
        whole.seek(0)
        try:
            file = pq.ParquetFile(whole)
            _check_columns(file.schema_arrow.names, name)
            number = 0
            for batch in file.iter_batches(_BATCH):
                for content, problem in _contents(batch):
                    number += 1
                    yield content_row(number, content, problem)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{name}: not a Parquet file, or a damaged one; fetch or write it again") from error


def content_row(number: int, content: dict[str, Any], problem: str | None) -> RawRow:
    """Return a row of JSON values, or one with a problem and the closest text that can be shown."""
    if problem is None:
        try:
            return RawRow(number, {key: _json(value) for key, value in content.items()})
        except _NotJson as error:
            problem = str(error)
    return RawRow(number, None, repr(content).encode("utf-8", "replace"), problem)


def _check_columns(names: list[str], name: str) -> None:
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise InputError(f"{name}: several columns have the name {', '.join(twice)}; rename them")


def _contents(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield every row as Python values; a row with broken text has its readable part and the problem."""
    try:
        contents = batch.to_pylist()
    except UnicodeDecodeError:
        yield from (_salvaged(batch.slice(index, 1)) for index in range(batch.num_rows))
        return
    for content in contents:
        yield content, None


def _salvaged(row: pa.RecordBatch) -> tuple[dict[str, Any], str | None]:
    content: dict[str, Any] = {}
    problem = None
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            content[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            content[name] = error.object
            problem = f"not UTF-8 at byte {error.start + 1} of column {name!r}"
    return content, problem


def _json(value: Any) -> Any:
    """Return the value as JSON. Raises `_NotJson` if it cannot be represented."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NotJson("NaN or infinity, which JSON does not have")
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise _NotJson("bytes that are not text") from error
    if isinstance(value, dict):
        return {str(_json(key)): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    raise _NotJson(f"a value of type {type(value).__name__}, which JSON does not have")

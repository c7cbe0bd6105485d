"""CSV and TSV: a header, then a record per row. The first lines decide the delimiter."""

import csv
from collections.abc import Iterator
from itertools import chain, islice
from typing import IO

from fineline.errors import InputError
from fineline.project.params.sources import Part
from fineline.sources.readers import MAX_ROW, RawRow, text

COMMON = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAMPLE = 50  # lines that decide the delimiter


def tab_separated(stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
    """Yield the rows of a TSV file, as `rows` does."""
    return rows(stream, name, part.model_copy(update={"delimiter": part.delimiter or "\t"}))


def rows(stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
    """Yield the rows of a CSV file, numbered by the line that each begins in; every value is text.

    A stray quote joins the lines up to the next quote to one record. So each line of a record that cannot be read becomes a
    row with a problem: every lost line is counted.

    Raises:
        InputError: The header is not text or has a column twice, the delimiter is wrong, a quote is never closed, or a record
            is longer than 64 MiB.
    """
    csv.field_size_limit(MAX_ROW)
    given = text.lines(stream, name, part.encoding, newline="")
    sample = list(islice(given, _SAMPLE))
    lines = _Lines(chain(sample, given), name)
    records = _records(lines, chosen_delimiter(sample, part.delimiter, name), name, part.encoding)
    header: list[str] | None = None
    for fields, problem in records:
        if header is None:
            header = _checked(fields, problem, f"{name}:{lines.first}")
        elif problem is None and len(fields) == len(header):
            yield RawRow(lines.first, dict(zip(header, fields, strict=True)))
        else:
            why = problem or f"{len(fields)} fields where the header has {len(header)}"
            for number, line in enumerate(lines.record, lines.first):
                yield RawRow(number, None, text.as_stored(line).rstrip(b"\r\n"), why)


class _Lines:
    """Passes lines to the csv module and keeps those of the current record."""

    def __init__(self, lines: Iterator[str], name: str) -> None:
        self.record: list[str] = []
        self.ended = False
        self._lines = lines
        self._name = name
        self._number = 0
        self._size = 0

    @property
    def first(self) -> int:
        """Return the line that the current record begins in, from 1."""
        return self._number - len(self.record) + 1

    def begin(self) -> None:
        """Begin the next record."""
        self.record = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self._number += 1
        self.record.append(line)
        self._size += len(line)
        if self._size > MAX_ROW:
            raise text.too_long(self._name, self.first)
        return line


def _records(lines: _Lines, separator: str, name: str, encoding: str) -> Iterator[tuple[list[str], str | None]]:
    """Yield the fields of every record with its problem, if any; blank lines are skipped."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.begin()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if lines.ended:
                raise InputError(
                    f"{name}:{lines.first}: a quote is opened in this record and never closed;"
                    " check whether the file is truncated, and write a quote inside a quoted field twice"
                ) from error
            yield [], f"not CSV: {error}"
            continue
        if fields is None:
            return
        if fields:
            yield fields, text.problem("".join(lines.record), encoding)


def _checked(header: list[str], problem: str | None, place: str) -> list[str]:
    if problem:
        raise InputError(f"{place}: the header is {problem}; set `encoding` of this part, such as cp1252 or utf-16")
    twice = [number for number, column in enumerate(header, 1) if header.count(column) > 1]
    if twice:  # by number: if the header is missing, the names are values of a row
        raise InputError(f"{place}: columns {', '.join(map(str, twice))} have the same name; rename them, or add the header")
    return header


def chosen_delimiter(sample: list[str], given: str | None, name: str) -> str:
    """Return the delimiter to read with: the given one, or the one that the first lines indicate.

    Raises:
        InputError: The given one gives a single column, and another one splits every line into equally many.
    """
    likely = _likely(sample)
    if given is None:
        return likely or ","
    widths = _widths(sample, given)
    if likely and likely != given and widths and widths[0] == 1 and len(set(_widths(sample, likely))) == 1:
        raise InputError(
            f"{name}: there is one column with the delimiter {given!r}, but every line seems to be separated by"
            f" {likely!r} ({COMMON[likely]}); set `delimiter: {likely!r}` or leave it out"
        )
    return given


def _likely(sample: list[str]) -> str | None:
    """Return the common delimiter that splits most records into as many fields as the header; None without one."""
    best: tuple[float, int] = (0, 1)
    likely = None
    for candidate in COMMON:
        widths = _widths(sample, candidate)
        if not widths or widths[0] == 1:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if (alike, widths[0]) > best:
            best, likely = (alike, widths[0]), candidate
    return likely


def _widths(sample: list[str], candidate: str) -> list[int]:
    """Return the number of fields of each record, without blank lines and a last record that may be cut."""
    records = [len(record) for record in csv.reader(sample, delimiter=candidate) if record]
    return records[:-1] if len(records) > 2 else records

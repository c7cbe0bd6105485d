"""Text in any encoding, line by line. Undecodable bytes stay recognizable and do not stop the run."""

import codecs
import io
import re
from collections.abc import Iterator
from typing import IO

from fineline.errors import InputError
from fineline.sources.readers import MAX_ROW

_STRAY = re.compile("[\udc80-\udcff]")  # the form in which `surrogateescape` keeps an undecodable byte


def is_utf8(encoding: str) -> bool:
    """True if the name of an encoding means UTF-8, with or without byte-order mark."""
    return encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}


def lines(stream: IO[bytes], name: str, encoding: str, newline: str) -> Iterator[str]:
    """Yield the lines of a text file with their ends, without a byte-order mark.

    Undecodable bytes are kept by `surrogateescape`.

    Args:
        newline: As in `open`: "" ends a line at any of the three line ends, "\\n" only there.

    Raises:
        InputError: The encoding is unknown or cannot be read past an error, or a line is longer than 64 MiB.
    """
    text = io.TextIOWrapper(stream, _known(encoding, name), errors="surrogateescape", newline=newline)
    number = 0
    try:
        while line := text.readline(MAX_ROW + 1):
            number += 1
            if len(line) > MAX_ROW:
                raise too_long(name, number)
            yield line
    except UnicodeError as error:
        raise InputError(f"{name}: not {encoding} after line {number}; set `encoding` of this part") from error


def problem(text: str, encoding: str) -> str | None:
    """Return the problem with the bytes of a text that `lines` read, or None."""
    if text.isascii() or not (stray := _STRAY.search(text)):
        return None
    before = text[: stray.start()].encode(encoding, "surrogateescape")
    return f"not {encoding.upper()} at byte {len(before) + 1}"


def not_utf8(raw: bytes) -> str | None:
    """Return the problem with bytes that should be UTF-8, or None."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1}"
    return None


def as_stored(text: str) -> bytes:
    """Return the text in UTF-8, with undecodable bytes as they were."""
    return text.encode("utf-8", "surrogateescape")


def as_utf8(data: bytes, name: str, encoding: str) -> bytes:
    """Return a whole file in UTF-8, without byte-order mark.

    Raises:
        InputError: The encoding is unknown, or a byte cannot be decoded.
    """
    try:
        return data.decode(_known(encoding, name)).encode()
    except UnicodeError as error:
        place = f" at byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else ""
        raise InputError(f"{name}: not {encoding.upper()}{place}; set `encoding` of this part") from error


def too_long(name: str, number: int) -> InputError:
    """Return the error for a row that exceeds the limit."""
    return InputError(f"{name}:{number}: longer than {MAX_ROW >> 20} MiB, which is not a row; check the format of the file")


def _known(encoding: str, name: str) -> str:
    try:
        known = codecs.lookup(encoding).name
        "".encode(known)  # some codecs do not encode text
    except LookupError as error:
        raise InputError(f"{name}: unknown encoding {encoding!r}; common ones are utf-8, cp1252, latin-1, utf-16") from error
    return "utf-8-sig" if is_utf8(known) else known

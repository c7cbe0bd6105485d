"""Text in any encoding, line by line; bytes that do not belong to it stay recognisable instead of ending the run."""

import codecs
import io
import re
from collections.abc import Iterator
from typing import IO

from fineline.errors import InputError
from fineline.sources.readers import MAX_ROW

_STRAY = re.compile("[\udc80-\udcff]")  # how `surrogateescape` keeps a byte that cannot be decoded


def is_utf8(encoding: str) -> bool:
    """Whether an encoding's name means UTF-8, with or without byte-order mark."""
    return encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}


def lines(stream: IO[bytes], name: str, encoding: str, newline: str) -> Iterator[str]:
    """The lines of a text file, ends included. A byte-order mark is dropped, undecodable bytes are kept by `surrogateescape`.

    Args:
        newline: As of `open`: "" ends a line at any of the three line ends, "\\n" only there.

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
    """What is wrong with the bytes of a text that was read by `lines`, or None."""
    if text.isascii() or not (stray := _STRAY.search(text)):
        return None
    before = text[: stray.start()].encode(encoding, "surrogateescape")
    return f"not {encoding.upper()} at byte {len(before) + 1}"


def not_utf8(raw: bytes) -> str | None:
    """What is wrong with bytes that should be UTF-8, or None."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1}"
    return None


def as_stored(text: str) -> bytes:
    """The text in UTF-8, with bytes that could not be decoded as they were."""
    return text.encode("utf-8", "surrogateescape")


def as_utf8(data: bytes, name: str, encoding: str) -> bytes:
    """A whole file in UTF-8, without byte-order mark.

    Raises:
        InputError: The encoding is unknown, or some byte does not belong to it.
    """
    try:
        return data.decode(_known(encoding, name)).encode()
    except UnicodeError as error:
        place = f" at byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else ""
        raise InputError(f"{name}: not {encoding.upper()}{place}; set `encoding` of this part") from error


def too_long(name: str, number: int) -> InputError:
    """The error for a row that no memory bound holds."""
    return InputError(f"{name}:{number}: longer than {MAX_ROW >> 20} MiB: no single row; is the file of another format?")


def _known(encoding: str, name: str) -> str:
    try:
        known = codecs.lookup(encoding).name
        "".encode(known)  # some codecs are no encodings of text
    except LookupError as error:
        raise InputError(f"{name}: there is no encoding {encoding!r}; common are utf-8, cp1252, latin-1, utf-16") from error
    return "utf-8-sig" if is_utf8(known) else known

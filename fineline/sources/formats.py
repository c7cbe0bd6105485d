"""Formats: the reader and the decompression for a file name."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

import pyarrow as pa

from fineline.errors import InputError
from fineline.project.params.sources import Part
from fineline.sources.readers import CHUNK, RawRow, Reader, json_files, parquet, table

Decompression = Callable[[IO[bytes]], Any]
"""Takes the stored stream and returns a raw stream of the decompressed data."""


def _zstd(stream: IO[bytes]) -> pa.NativeFile:
    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")


READERS: dict[str, Reader] = {
    ".jsonl": json_files.lines,
    ".ndjson": json_files.lines,
    ".json": json_files.document,
    ".csv": table.rows,
    ".tsv": table.tab_separated,
    ".parquet": parquet.rows,
}
_DECOMPRESSION: dict[str, Decompression] = {
    ".gz": lambda stream: gzip.GzipFile(fileobj=stream),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstd,
}
ACCEPTED = f"{', '.join(READERS)}, each also with {', '.join(_DECOMPRESSION)}"
_SIDECARS = {".dvc", ".md5", ".sha256"}  # files that tools write next to a data file


@dataclass(frozen=True)
class Format:
    """The way to read a file."""

    reader: Reader
    decompress: Decompression | None

    def rows(self, stream: IO[bytes], name: str, part: Part) -> Iterator[RawRow]:
        """Yield the rows of a stored file, in order, with bounded memory (a JSON document is loaded whole).

        Raises:
            InputError: The file as a whole cannot be read: it is truncated, damaged, or of another format.
        """
        try:
            plain = io.BufferedReader(self.decompress(stream), CHUNK) if self.decompress else stream
            yield from self.reader(plain, name, part)
        except EOFError as error:
            raise InputError(f"{name}: the compressed data are truncated; fetch the file again") from error
        except (OSError, zlib.error, lzma.LZMAError) as error:
            if "Truncated" in str(error):  # as Arrow says it
                raise InputError(f"{name}: the compressed data are truncated; fetch the file again") from error
            raise InputError(f"{name}: the compressed data are damaged or of another kind; fetch the file again") from error


def format_of(name: str) -> Format:
    """Return the format of a file by its name.

    Raises:
        InputError: The name does not have an accepted ending.
    """
    endings = [ending.lower() for ending in PurePosixPath(name).suffixes]
    decompress = _DECOMPRESSION.get(endings.pop()) if endings and endings[-1] in _DECOMPRESSION else None
    if not endings or endings[-1] not in READERS:
        raise InputError(f"{name}: cannot be read; accepted are {ACCEPTED}")
    return Format(READERS[endings[-1]], decompress)


def accepts(name: str) -> bool:
    """True if a file that a glob matched contains rows; a README next to the data does not.

    Raises:
        InputError: It looks like data in a form that cannot be read (`x.csv.zip`): skipping it would lose rows.
    """
    endings = {ending.lower() for ending in PurePosixPath(name).suffixes}
    if not endings & READERS.keys() or endings & _SIDECARS:
        return False
    format_of(name)
    return True

"""Which reader and which decompression a file's name asks for."""

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
from fineline.sources.readers import Reader, Row, document, lines, parquet, table
from fineline.sources.storage import CHUNK

Decompression = Callable[[IO[bytes]], Any]
"""Takes the stored stream, gives a raw stream of what was compressed."""


def _zstd(stream: IO[bytes]) -> pa.NativeFile:
    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")


READERS: dict[str, Reader] = {
    ".jsonl": lines.rows,
    ".ndjson": lines.rows,
    ".json": document.rows,
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
_BESIDE = {".dvc", ".md5", ".sha256"}  # notes that tools lay beside a data file


@dataclass(frozen=True)
class Format:
    """How to read a file."""

    reader: Reader
    decompress: Decompression | None

    def rows(self, stream: IO[bytes], name: str, part: Part) -> Iterator[Row]:
        """The rows of a stored file, in order, with bounded memory (a JSON document is held whole).

        Raises:
            InputError: The file as a whole cannot be read: cut off, damaged, not of its format.
        """
        try:
            plain = io.BufferedReader(self.decompress(stream), CHUNK) if self.decompress else stream
            yield from self.reader(plain, name, part)
        except EOFError as error:
            raise InputError(f"{name}: the compressed data are cut off; fetch the file again") from error
        except (OSError, zlib.error, lzma.LZMAError) as error:
            if "Truncated" in str(error):  # Arrow's word for it
                raise InputError(f"{name}: the compressed data are cut off; fetch the file again") from error
            raise InputError(f"{name}: the compressed data are damaged or of another kind; fetch the file again") from error


def of(name: str) -> Format:
    """The format of a file by its name.

    Raises:
        InputError: The name has none of the accepted endings.
    """
    endings = [ending.lower() for ending in PurePosixPath(name).suffixes]
    decompress = _DECOMPRESSION.get(endings.pop()) if endings and endings[-1] in _DECOMPRESSION else None
    if not endings or endings[-1] not in READERS:
        raise InputError(f"{name}: cannot be read; accepted are {ACCEPTED}")
    return Format(READERS[endings[-1]], decompress)


def accepts(name: str) -> bool:
    """Whether a file found by a glob holds rows; a README beside the data does not.

    Raises:
        InputError: It looks like data, but in a form that cannot be read (`x.csv.zip`): passing over it would lose rows.
    """
    endings = {ending.lower() for ending in PurePosixPath(name).suffixes}
    if not endings & READERS.keys() or endings & _BESIDE:
        return False
    of(name)
    return True

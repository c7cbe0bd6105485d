"""Reading of one stored file, of any format, compression and storage."""

import io
from dataclasses import dataclass

from fineline.project.params.sources import Part
from fineline.sources import formats
from fineline.sources.envelope import Writer
from fineline.sources.storage import CHUNK, HashingStream, Stored, unreadable


@dataclass(frozen=True)
class FileRecord:
    """The entry of a file in parts.json: the file as it was stored when its rows were read."""

    path: str
    size: int
    """Bytes, of the compressed file if it is compressed."""
    sha256: str
    rows: int


def read(stored: Stored, part: Part, writer: Writer) -> FileRecord:
    """Pass every row of a file to the writer and return the record of the file.

    Raises:
        InputError: The file cannot be read as a whole.
        FinelineError: It has vanished since it was listed.
    """
    try:
        opened = stored.open()
    except Exception as error:  # each storage raises different exceptions
        raise unreadable(stored.name, error) from error
    before = writer.rows
    with opened as stream:
        hashing = HashingStream(stored.name, stream)
        for row in formats.format_of(stored.name).rows(io.BufferedReader(hashing, CHUNK), stored.name, part):
            writer.add(stored.name, row)
        sha256 = hashing.finish()
    return FileRecord(stored.name, hashing.size, sha256, writer.rows - before)

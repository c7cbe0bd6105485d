"""The rows of one stored file, whatever its format, compression and place."""

import io

from fineline.project.params.sources import Part
from fineline.sources import formats
from fineline.sources.envelope import Writer
from fineline.sources.record import FileRecord
from fineline.sources.storage import CHUNK, Stored, Tally, unreadable


def read(stored: Stored, part: Part, writer: Writer) -> FileRecord:
    """Hand every row of a file to the writer; what the file was.

    Raises:
        InputError: The file cannot be read as a whole.
        FinelineError: It has vanished since it was listed.
    """
    try:
        opened = stored.open()
    except Exception as error:  # each storage has exceptions of its own
        raise unreadable(stored.name, error) from error
    before = writer.rows
    with opened as stream:
        tally = Tally(stored.name, stream)
        for row in formats.of(stored.name).rows(io.BufferedReader(tally, CHUNK), stored.name, part):
            writer.add(stored.name, row)
        sha256 = tally.finish()
    return FileRecord(stored.name, tally.size, sha256, writer.rows - before)

"""The envelope around a raw row: an id for life, where the row stands, and its content or why there is none."""

import hashlib
from collections import Counter
from typing import IO, Any

import orjson

from fineline.sources.readers import Row

_SHOWN = 4_000  # characters of an unreadable row; curation keeps half of it, and sees what stands across its cut


class Writer:
    """Writes the rows of one part as JSON lines and counts them.

    The id of a row is the first 16 hex digits of sha256 over the part's name and what the row is known by: the value in its
    id column, else its content in canonical JSON, else its bytes. It depends on nothing beside the row, so it stays when
    rows come and go around it. A row that repeats an id gets `-2`, `-3` and so on behind it.
    """

    def __init__(self, sink: IO[bytes], part: str, id_column: str | None = None) -> None:
        self.rows = 0
        self.unreadable = 0
        self.without_id = 0
        """Readable rows that lack a value in the id column."""
        self._sink = sink
        self._part = part.encode() + b"\0"
        self._id_column = id_column
        self._seen: set[int] = set()
        self._repeats: Counter[str] = Counter()

    def add(self, place: str, row: Row) -> None:
        """Write one row of the file that is called `place`."""
        self.rows += 1
        at = f"{place}:{row.number}"
        if row.content is not None:
            try:
                known_by = self._known_by(row.content)
                envelope = {"id": self._id(known_by), "at": at, "content": row.content}
                self._sink.write(orjson.dumps(envelope, option=orjson.OPT_APPEND_NEWLINE))
                return
            except orjson.JSONEncodeError as error:  # such as nesting that may be read but not written
                row = row._replace(problem=f"cannot be written as JSON: {error}")
        self.unreadable += 1
        raw = row.raw.decode("utf-8", "replace")[:_SHOWN]
        broken = {"id": self._id(row.raw), "at": at, "problem": row.problem, "raw": raw}
        self._sink.write(orjson.dumps(broken, option=orjson.OPT_APPEND_NEWLINE))

    def _known_by(self, content: dict[str, Any]) -> bytes:
        canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        if self._id_column is None:
            return canonical
        value = content.get(self._id_column)
        if value in (None, "") or isinstance(value, dict | list | bool):
            self.without_id += 1
            return canonical
        return str(value).encode()

    def _id(self, known_by: bytes) -> str:
        identity = hashlib.sha256(self._part + known_by).hexdigest()[:16]
        number = int(identity, 16)  # a set of numbers takes half the memory of one of texts
        if number not in self._seen:
            self._seen.add(number)
            return identity
        self._repeats[identity] += 1
        return f"{identity}-{self._repeats[identity] + 1}"

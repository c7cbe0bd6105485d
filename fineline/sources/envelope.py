"""The envelope of a raw row: a permanent id, the place of the row, and its content or the reason why there is none."""

import hashlib
from collections import Counter
from typing import IO, Any

import orjson

from fineline.sources.readers import RawRow

_SHOWN = 4_000  # characters of an unreadable row; curation keeps half of them, and so sees values that span its cut


class Writer:
    """Writes the rows of one part as JSON lines and counts them.

    The id of a row is the first 16 hex digits of sha256 over the part's name and the row's identity: the value in its id
    column, or its content in canonical JSON, or its bytes. It depends on no other row, so it stays the same when rows are added
    or removed. A repeated id gets the suffix `-2`, `-3` and so on.
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

    def add(self, place: str, row: RawRow) -> None:
        """Write one row of the file with the name `place`."""
        self.rows += 1
        at = f"{place}:{row.number}"
        if row.content is not None:
            try:
                identity = self._identity(row.content)
                envelope = {"id": self._id(identity), "at": at, "content": row.content}
                self._sink.write(orjson.dumps(envelope, option=orjson.OPT_APPEND_NEWLINE))
                return
            except orjson.JSONEncodeError as error:  # such as nesting that can be read but not written
                row = row._replace(problem=f"cannot be written as JSON: {error}")
        self.unreadable += 1
        raw = row.raw.decode("utf-8", "replace")[:_SHOWN]
        broken = {"id": self._id(row.raw), "at": at, "problem": row.problem, "raw": raw}
        self._sink.write(orjson.dumps(broken, option=orjson.OPT_APPEND_NEWLINE))

    def _identity(self, content: dict[str, Any]) -> bytes:
        canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        if self._id_column is None:
            return canonical
        value = content.get(self._id_column)
        if value in (None, "") or isinstance(value, dict | list | bool):
            self.without_id += 1
            return canonical
        return str(value).encode()

    def _id(self, identity: bytes) -> str:
        digest = hashlib.sha256(self._part + identity).hexdigest()[:16]
        number = int(digest, 16)  # a set of numbers takes half the memory of a set of texts
        if number not in self._seen:
            self._seen.add(number)
            return digest
        self._repeats[digest] += 1
        return f"{digest}-{self._repeats[digest] + 1}"

"""Sources of raw examples: files, URLs, the Hugging Face Hub, and the commands of Home Assistant.

Rows are written as the source has them; curation judges them. The result is one `<part>.jsonl` per part (`storage.Writer`) and
`parts.json`, which describes each part and the files that it was read from. The same source gives the same bytes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from fineline.errors import FinelineError, InputError
from fineline.project.params.sources import Column, Part, Source
from fineline.sources import listing, storage
from fineline.sources.storage import FileRecord, Stored, Writer

PARTS = "parts.json"
_CHANGED = "changed while it was being read; run again when nothing writes to it"


@dataclass(frozen=True)
class PartRecord:
    """The entry of a part in parts.json: its settings in params.yaml, its origin, and its numbers of rows."""

    layout: str | None
    columns: dict[Column, str]
    prompt: str | None
    weight: float
    license: str | None
    """License of these rows, if params.yaml gives one."""
    origin: str
    """`files`, `hub` or `home_assistant`."""
    rows: int
    """Unreadable ones included."""
    unreadable: int
    files: list[FileRecord]


def fetch(source: Source, into: Path) -> dict[str, PartRecord]:
    """Write the rows of every part of a `source:` block, and parts.json, into the directory `into`.

    Returns:
        The content of parts.json.

    Raises:
        InputError: A source is missing, unreadable as a whole or of an unknown format, or there are no rows.
        FinelineError: Files were changed, added or removed while they were read.
    """
    root = Path(source.path)
    parts = dict(sorted(source.all_parts().items()))
    listed = _listed(parts, root)
    try:
        records = {name: _write(name, part, listed.get(name, []), root, into) for name, part in parts.items()}
    except FinelineError:
        _check_unchanged(listed, parts, root)  # a file that was cut meanwhile is not a broken file
        raise
    _check_unchanged(listed, parts, root)
    if not any(record.rows for record in records.values()):
        raise InputError(f"{source.path}: no rows; a training set needs at least a few hundred")
    content = {name: asdict(record) for name, record in records.items()}
    (into / PARTS).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return records


def _listed(parts: dict[str, Part], root: Path) -> dict[str, list[Stored]]:
    """Return the files of each part that names files."""
    return {
        name: listing.find_remote(part.files) if listing.is_url(part.files) else listing.find_local(part.files, root)
        for name, part in parts.items()
        if part.files is not None
    }


def _write(name: str, part: Part, listed: list[Stored], root: Path, into: Path) -> PartRecord:
    """Write one part; raise `InputError` if its id column is in no row."""
    id_column = part.columns.get("id")
    with (into / f"{name}.jsonl").open("wb") as sink:
        writer = Writer(sink, name, id_column)
        origin, read = _read(part, listed, root, writer)
    if id_column is not None and 0 < writer.rows - writer.unreadable == writer.without_id:
        raise InputError(f"parts.{name}.columns.id: no row has a value in {id_column!r}; check the column name")
    return PartRecord(
        part.layout, part.columns, part.prompt, part.weight, part.license, origin, writer.rows, writer.unreadable, read
    )


def _read(part: Part, listed: list[Stored], root: Path, writer: Writer) -> tuple[str, list[FileRecord]]:
    """Read a part from its origin and return the name of the origin and its files."""
    if part.hub is not None:
        with listing.download(part.hub) as (directory, shown):
            found = listing.find_local(part.hub.files, directory, shown)
            return "hub", [storage.read(file, part, writer) for file in found]
    if part.home_assistant is not None:
        from fineline.sources import home_assistant  # its templates take a while to load

        return "home_assistant", home_assistant.read(part.home_assistant, root, writer)
    return "files", [storage.read(file, part, writer) for file in listed]


def _check_unchanged(before: dict[str, list[Stored]], parts: dict[str, Part], root: Path) -> None:
    """Raise `FinelineError` if a file was changed, added or removed."""
    try:
        now = _listed(parts, root)
    except InputError as error:
        raise FinelineError(f"{error}: it was there before: {_CHANGED}") from error
    for name, stored in before.items():
        differing = sorted({file.name for file in set(stored) ^ set(now[name])})
        if differing:
            raise FinelineError(f"{', '.join(differing[:3])}{' and more' if len(differing) > 3 else ''}: {_CHANGED}")

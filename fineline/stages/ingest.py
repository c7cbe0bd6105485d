"""Stage `ingest@A`: raw rows as the source has them."""

from typing import Any

from fineline import artifacts, sources
from fineline.project import layout, params
from fineline.project.params.sources import Source
from fineline.sources import listing


def run(name: str) -> None:
    """Fetch the raw rows of adapter `name` into data/raw/<name>."""
    adapter = params.load_for(name).adapter(name)
    parameters = _public(adapter.source)
    with artifacts.create(layout.raw(name), kind="raw-data", name=name, stage="ingest", parameters=parameters) as directory:
        parts = sources.fetch(adapter.source, directory)
    for part, record in parts.items():
        print(f"{part}: {record.rows} rows from {len(record.files)} files, {record.unreadable} unreadable")
    print(f"{sum(record.rows for record in parts.values())} raw rows in {layout.raw(name)}")


def _public(source: Source) -> dict[str, Any]:
    """Return the parameters that were set, without credentials."""
    block = source.model_dump(exclude_unset=True, exclude_none=True)
    for part in block.get("parts", {}).values():
        if "files" in part:
            part["files"] = listing.public(part["files"])
    return block

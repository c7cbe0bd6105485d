"""`fineline document`: the documents of a release, from its records."""

from pathlib import Path
from typing import Annotated

import typer

from fineline.documents import writing
from fineline.documents.chain import license_chain
from fineline.documents.compatibility import conflicts
from fineline.errors import Refused
from fineline.project import layout, params

AdapterName = Annotated[str, typer.Argument(metavar="ADAPTER", help="A name under `adapters:` in params.yaml.")]


def document(
    name: AdapterName,
    target: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Where to; reports/<adapter>/documents/ if left out.")
    ] = None,
) -> None:
    """Model card, bill of materials, technical documentation and license chain, from the records.

    License conflicts are told in the documents, and at the end as a refusal.
    """
    params.load().adapter(name)  # an unknown name is told as such
    for file in writing.write(name, target or layout.reports(name) / "documents"):
        print(file)
    if found := conflicts(license_chain(name)):
        raise Refused("\n".join(f"license conflict: {conflict}" for conflict in found))

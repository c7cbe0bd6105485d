"""`fineline document`: the documents of a release, from its records."""

from pathlib import Path
from typing import Annotated

import typer

from fineline.documents import writing
from fineline.documents.chain import conflicts, license_chain
from fineline.errors import Refused
from fineline.project import layout, params
from fineline.project.argument import AdapterName


def document(
    name: AdapterName,
    target: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Target directory; reports/<adapter>/documents/ if not given.")
    ] = None,
) -> None:
    """Write model card, bill of materials, technical documentation and license chain from the records.

    License conflicts are listed in the documents, and the command then exits with 3.
    """
    params.load().adapter(name)  # reports an unknown name
    for file in writing.write(name, target or layout.reports(name) / "documents"):
        print(file)
    if found := conflicts(license_chain(name)):
        raise Refused("\n".join(f"license conflict: {conflict}" for conflict in found))

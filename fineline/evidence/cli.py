"""`fineline evidence`: import and stamp the results of other tools (evidence/README.md)."""

from pathlib import Path
from typing import Annotated

import typer

from fineline import artifacts
from fineline.errors import InputError
from fineline.evidence import importing
from fineline.evidence.files import read, stamp_file
from fineline.evidence.schema import Evidence
from fineline.project import candidate, layout, params

app = typer.Typer(no_args_is_help=True, help="Results of other tools, bound to the artifact that they judged.")


@app.command("stamp")
def stamp_evidence(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A draft without digest, as in evidence/README.md.")],
) -> None:
    """Check a draft and stamp it in place."""
    show(file, stamp_file(file))


@app.command("import")
def import_report(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="garak or promptfoo.")],
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="The report that the tool wrote.")],
    adapter: Annotated[str, typer.Option(help="A name under `adapters:` in params.yaml.")],
    by: Annotated[str, typer.Option(help="The person or system that ran the tool and is responsible for the result.")],
    subject: Annotated[str, typer.Option(help="The model that was tested: adapter, merged or exported.")] = "exported",
    minimum: Annotated[float, typer.Option(help="Required share of passed answers; its lower 95% bound counts.")] = 0.95,
    name: Annotated[str | None, typer.Option(help="Name of the evidence, if not that of the tool.")] = None,
) -> None:
    """Import the report of a tool about the current candidate."""
    params.load().adapter(adapter)
    file = importing.import_report(
        tool,
        report,
        directory=layout.evidence(adapter),
        subject=subject_of(adapter, subject),
        by=by,
        minimum=minimum,
        name=name,
    )
    show(file, read(file))


def subject_of(adapter: str, variant: str) -> dict[str, str]:
    """Return kind and digest of the current `adapter`, `merged` or `exported` artifact of an adapter.

    Raises:
        InputError: The variant is unknown, or there is no such artifact.
    """
    places = {
        "adapter": layout.adapter(adapter),
        "merged": layout.merged(adapter),
        "exported": candidate.shipped(adapter),
    }
    if variant not in places:
        raise InputError(f"--subject: found {variant!r}; accepted: {', '.join(places)}")
    record = artifacts.read(places[variant])
    return {"kind": record.kind, "digest": record.digest}


def show(file: Path, found: Evidence) -> None:
    """Print the verdict of a file of evidence."""
    print(f"{file}: {found.verdict}: {found.reason}")
    print(f"about {found.subject.kind} {found.subject.digest}, by {found.by}")

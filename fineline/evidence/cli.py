"""`fineline evidence` and `fineline preference`: what others found, brought in and stamped (evidence/README.md)."""

from pathlib import Path
from typing import Annotated

import typer

from fineline.evidence import directory, importing, stamp_file
from fineline.evidence.schema import Evidence
from fineline.project import params

app = typer.Typer(no_args_is_help=True, help="Results of other tools, bound to what they judged.")

AdapterName = Annotated[str, typer.Argument(metavar="ADAPTER", help="A name under `adapters:` in params.yaml.")]


@app.command("stamp")
def stamp_evidence(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A draft without digest, as evidence/README.md shows it.")],
) -> None:
    """Check a draft that was written by hand, and stamp it in place."""
    tell(file, stamp_file(file))


@app.command("import")
def import_report(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="garak or promptfoo.")],
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="The file that the tool wrote.")],
    adapter: Annotated[str, typer.Option(help="A name under `adapters:` in params.yaml.")],
    by: Annotated[str, typer.Option(help="Who ran the tool and answers for it.")],
    subject: Annotated[str, typer.Option(help="What it was run on: adapter, merged or exported.")] = "exported",
    minimum: Annotated[float, typer.Option(help="Share of answers that must surely be right.")] = 0.95,
    name: Annotated[str | None, typer.Option(help="Of the evidence, if not the tool's.")] = None,
) -> None:
    """Bring in what a tool reported about the present candidate."""
    params.load().adapter(adapter)
    of = importing.subject(adapter, subject)
    file = importing.bring(tool, report, directory=directory(adapter), subject=of, by=by, minimum=minimum, name=name)
    from fineline.evidence import read

    tell(file, read(file))


def prefer(
    name: AdapterName,
    endpoint: Annotated[str, typer.Option(metavar="URL", help="An OpenAI-compatible API, such as https://judge.example/v1.")],
    model: Annotated[str, typer.Option(help="The judge, as the server calls it.")],
    key_variable: Annotated[str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key.")] = None,
    against: Annotated[str, typer.Option(help="base or champion.")] = "base",
    task: Annotated[list[str] | None, typer.Option(help="A task whose answers are compared; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many pairs.")] = None,
    margin: Annotated[float | None, typer.Option(help="Judge `not worse by this share of pairs` instead of `better`.")] = None,
    confidence: Annotated[float, typer.Option(help="One-sided.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(help="Of a reply.")] = 8,
    allow_plain_http: Annotated[bool, typer.Option("--allow-plain-http", help="Also to another machine.")] = False,
) -> None:
    """Let a judge say which of two models answers better. It sends questions and answers to the endpoint."""
    from fineline import preference

    params.load().adapter(name)
    settings = preference.Settings(tuple(task or ()), limit, margin, confidence, max_tokens)
    where = preference.connect(endpoint, model, key_variable=key_variable, allow_plain_http=allow_plain_http)
    found = preference.prefer(name, where, settings, against=against)
    tell(directory(name) / "preference.json", found)


def tell(file: Path, found: Evidence) -> None:
    """Print what a file of evidence says."""
    print(f"{file}: {found.verdict}: {found.reason}")
    print(f"about {found.subject.kind} {found.subject.digest}, by {found.by}")

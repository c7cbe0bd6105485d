"""The `fineline` command: look before you run, and check after."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from pipelines import artifacts, doctor, layout, params, reports
from pipelines.errors import FinelineError, InputError, Refused

_WIDTH = 132  # of tables that go to a file or a log

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)

AdapterName = Annotated[str, typer.Argument(metavar="ADAPTER", help="A name under `adapters:` in params.yaml.")]
ArtifactPath = Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A directory with an artifact.json.")]


def main() -> None:
    """Run a command; tell errors in their own words and leave with their exit code."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except FinelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@app.command("doctor")
def show_health() -> None:
    """Versions, hardware, configuration, and which stages would run."""
    findings = doctor.examine()
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.holds else "[red]!![/]"
        table.add_row(mark, finding.subject, finding.state)
    console.print(table)
    wrong = [finding for finding in findings if not finding.holds]
    if wrong:
        raise InputError("; ".join(f"{finding.subject}: {finding.state}" for finding in wrong))


@app.command("plan")
def show_plan(name: AdapterName) -> None:
    """Memory of each method on this machine, and the one that is recommended."""
    from pipelines.plan.__main__ import plan

    report = plan(name)
    device = report["device"]
    console.print(f"{name} on {device['name']} with {_gib(device['memory_bytes'])}")
    console.print(f"{report['parameters']:,} parameters; {report['rows']:,} rows, {report['tokens']:,} tokens an epoch")
    parts = list(report["methods"][0]["memory_bytes"])
    table = Table("method", "trained", *parts, "fits")
    for column in table.columns[1:]:
        column.justify = "right"
    for entry in report["methods"]:
        sizes = [_gib(entry["memory_bytes"][part]) for part in parts]
        table.add_row(entry["method"], f"{entry['trained_parameters']:,}", *sizes, "yes" if entry["fits"] else "no")
    console.print(table)
    console.print(f"recommended: {report['recommended']}. {report['reason']}")
    console.print(f"configured: {report['configured']} (adapters.{name}.train.method)")


@app.command("report")
def show_report(name: AdapterName) -> None:
    """The result of an adapter: scores of base, adapter and exported model, and the verdict."""
    params.load().adapter(name)  # an unknown name is told as such
    directory = layout.reports(name)
    gate, candidate, export = (reports.read(directory / f"{part}.json") for part in ("gate", "candidate", "export"))
    exported = {entry["task"]: entry for entry in candidate["tasks"]}
    form = export["forms"]["quantized"]
    table = Table("task", "rule", "items", "base", "adapter", f"exported ({form['precision']})", "verdict")
    for column in table.columns[2:6]:
        column.justify = "right"
    for entry in gate["tasks"]:
        shipped = exported[entry["task"]]
        scores = [f"{score:.3f}" for score in (entry["base"], entry["candidate"], shipped["candidate"])]
        table.add_row(entry["task"], entry["rule"], str(entry["items"]), *scores, shipped["verdict"])
    console.print(table)
    for reason in candidate["reasons"]:
        console.print(f"  {reason}", highlight=False)
    console.print(f"exported: {form['bytes'] / 1e6:.0f} MB, {form['tokens_per_second']} tokens/s on this machine's CPU")
    console.print(f"verdict: [bold]{candidate['verdict']}[/], candidate {candidate['candidate']['digest']}")


@app.command()
def verify(artifact: ArtifactPath) -> None:
    """Recompute every digest of an artifact and of everything it was made from."""
    wrong: list[str] = []
    for path, record in _ancestry(artifact):
        found = [*artifacts.problems(path)]
        for role, source in record.inputs.items():
            now = artifacts.read(Path(source.path)).digest
            if now != source.digest:
                found.append(f"{path}: made from {role} {source.digest}, but {source.path} is {now}")
        console.print(f"{'[red]!![/]' if found else '[green]ok[/]'} {path}  {record.digest}")
        wrong += found
    if wrong:
        raise Refused("\n".join(wrong))


@app.command()
def lineage(artifact: ArtifactPath) -> None:
    """What an artifact was made from, back to the sources, as a tree."""
    console.print(_tree(artifact))


def _ancestry(path: Path) -> list[tuple[Path, artifacts.Artifact]]:
    """The artifact and all it was made from, each once, the sources first."""
    found: dict[Path, artifacts.Artifact] = {}

    def visit(current: Path) -> None:
        if current not in found:
            record = artifacts.read(current)
            for source in record.inputs.values():
                visit(Path(source.path))
            found[current] = record

    visit(path)
    return list(found.items())


def _tree(path: Path, role: str = "") -> Tree:
    record = artifacts.read(path)
    label = f"{role + ': ' if role else ''}[bold]{path}[/] ({record.kind}, {record.owner}, {record.license})"
    tree = Tree(f"{label}\n{record.digest}, {record.approval['state']}", highlight=True)
    for source_role, source in record.inputs.items():
        tree.add(_tree(Path(source.path), source_role))
    return tree


def _gib(size: Any) -> str:
    return f"{size / 2**30:.2f} GiB"


if __name__ == "__main__":
    main()

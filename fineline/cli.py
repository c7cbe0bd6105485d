"""The `fineline` command: look before you run, and check after."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fineline.artifacts import reports
from fineline.documents import cli as documents
from fineline.errors import FinelineError, InputError, parameters_of
from fineline.evidence import cli as evidence
from fineline.governance import audit
from fineline.governance import cli as governance
from fineline.preference import cli as preference
from fineline.project import layout, params
from fineline.scaffold import cli as roster
from fineline.scaffold import doctor

_WIDTH = 132  # of tables that go to a file or a log

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(evidence.app, name="evidence")
app.command("preference")(preference.prefer)
app.command("document")(documents.document)
governance.register(app)
audit.register(app)
roster.register(app)
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
def show_plan(
    name: Annotated[str | None, typer.Argument(metavar="[ADAPTER]", help="A name under `adapters:`; or give --base.")] = None,
    device_name: Annotated[
        str | None, typer.Option("--device", help="Such as rtx4090 or h100; this machine if left out.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="NAME|PATH|REPO", help="A base without data: of params.yaml, a config.json, the Hub.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="With --base: rows per micro-step.")] = 4,
    length: Annotated[int, typer.Option(min=2, help="With --base: tokens per row.")] = 1024,
    rows: Annotated[int, typer.Option(min=1, help="With --base: rows in an epoch.")] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON.")] = False,
) -> None:
    """Memory, time and cost of each method, and the settings that are chosen."""
    from fineline.hardware import device
    from fineline.plan import table
    from fineline.stages import plan

    if (name is None) == (base is None):
        raise InputError("fineline plan: give the name of an adapter, or --base; `fineline plan --help` shows both")
    configured = params.load() if name is not None or params.FILE.is_file() else None
    costs = configured.costs if configured else None
    if name is not None and configured:
        configured.adapter(name)  # an unknown name is told before anything is measured
    machine = device.named(device_name) if device_name else None
    if name is not None:
        with parameters_of(f"adapters.{name}"):
            run = plan.plan(plan.read(name), machine or device.detect())
    else:
        run = plan.suppose(str(base), machine or device.detect(), batch_size=batch, length=length, rows=rows)
    report = run.report()
    if as_json:
        print(json.dumps(report, indent=2))
        return
    where = report["device"]
    precision = report["chosen"]["precision"]
    rate = f"{where['tflops'][precision]:.3g} TFLOP/s in {precision}"
    console.print(f"{name or base} on {where['name']}: {_gib(where['memory_bytes'])}, {rate}{_noted(where['note'])}")
    amounts = f"{report['rows']:,} rows, {report['tokens']:,} tokens an epoch, epochs: {report['epochs']:g}"
    console.print(f"{report['parameters']:,} parameters; {amounts}")
    shown = Table(*table.COLUMNS, pad_edge=False, box=None)
    for column in shown.columns[1:]:
        column.justify = "right"
    for line in table.cells(report, costs):
        shown.add_row(*line)
    console.print(shown)
    console.print("Memory in GiB. batch: rows x micro-steps; r: blocks are recomputed; u: four-bit weights are unpacked.")
    for entry in report["methods"]:
        if "not_possible" in entry:
            console.print(f"{entry['method']}: {entry['not_possible']}", highlight=False)
    console.print(f"recommended: {report['recommended']}. {report['reason']}", highlight=False)
    if name is not None:
        console.print(f"configured: {report['configured']} (adapters.{name}.train.method)")
        console.print(f"chosen: {report['chosen']['reason']}", highlight=False)
    share = report["chosen"]["share_of_base_compute"]
    if share is not None:
        console.print(
            f"work: {report['chosen']['flops']:.2e} FLOPs, {share:.1e} of what training the base took", highlight=False
        )


@app.command("report")
def show_report(name: AdapterName) -> None:
    """The result of an adapter: scores of base, adapter and exported model, and the verdict."""
    params.load().adapter(name)  # an unknown name is told as such
    directory = layout.reports(name)
    gate, candidate, export = (reports.read(directory / f"{part}.json") for part in ("gate", "candidate", "export"))
    forms = candidate["forms"]
    form = export["forms"]["quantized"]
    table = Table("measure", "rule", "items", "base", "adapter", "merged", f"exported ({form['precision']})", "verdict")
    for column in table.columns[2:7]:
        column.justify = "right"
    shipped = {(entry["rule"], entry["measure"]): entry for entry in forms["exported"]["rules"]}
    for entry in gate["rules"]:
        measure = entry["measure"]
        arms = (gate["scores"]["base"], gate["scores"]["candidate"], *(forms[arm]["scores"]["candidate"] for arm in forms))
        scores = ["-" if arm[measure] is None else f"{arm[measure]:.3f}" for arm in arms]
        verdict = shipped[entry["rule"], measure]["verdict"]
        table.add_row(
            measure,
            entry["rule"],
            "-" if entry["items"] is None else str(entry["items"]),
            *scores,
            "" if verdict == "info" else verdict,
        )
    console.print(table)
    for reason in candidate["reasons"]:
        console.print(f"  {reason}", highlight=False, markup=False)
    for finding in candidate["evidence"]:
        shown = f"{finding['verdict']}: {finding['reason']} ({finding['tool']}, {finding['by']}, {finding['made']})"
        console.print(f"  evidence {finding['name']}: {shown}", highlight=False, markup=False)
    console.print(f"exported: {form['bytes'] / 1e6:.0f} MB, {form['tokens_per_second']} tokens/s on this machine's CPU")
    for line in _value(directory):
        console.print(line, highlight=False)
    console.print(f"verdict: [bold]{candidate['verdict']}[/], candidate {candidate['candidate']['digest']}")


@app.command("holdout")
def open_holdout(
    name: AdapterName,
    reason: Annotated[str, typer.Option(help="Why the sealed rows are opened; it is recorded with your name and the time.")],
) -> None:
    """Judge the exported model once on the sealed rows of its test split, before a promotion."""
    from fineline.stages import holdout

    decision = holdout.open_for(name, reason)
    for line in decision["reasons"]:
        console.print(f"  {line}", highlight=False, markup=False)
    times = len(decision["uses"])
    warning = "" if times == 1 else "; each further use makes the holdout less independent"
    console.print(f"verdict: [bold]{decision['verdict']}[/], candidate {decision['candidate']['digest']}")
    console.print(f"opened {times} time{'s' if times > 1 else ''} so far{warning}: {layout.reports(name)}/holdout_uses.jsonl")


def _value(directory: Path) -> list[str]:
    """What a percentage point cost, a line per task that was to improve; none before there is a training report."""
    if not (directory / "training.json").is_file():
        return []
    from fineline.plan import table, value

    costs = params.load().costs
    training, gate = (reports.read(directory / f"{part}.json") for part in ("training", "gate"))
    lines = []
    for entry in value.per_point(training, gate, costs):
        if entry["seconds"] is None:
            lines.append(f"{entry['measure']}: {entry['points']:+.1f} points, so no price of one")
            continue
        words = [table.duration(entry["seconds"])]
        words += [f"{entry['energy_wh']:.2f} Wh"] if entry["energy_wh"] is not None else []
        words += [f"{entry['cost']:.4f} {costs.currency}"] if costs else []
        lines.append(f"{entry['measure']}: {entry['points']:+.1f} points, each for {', '.join(words)} of training")
    return lines


def _noted(note: str) -> str:
    return f" ({note})" if note else ""


def _gib(size: Any) -> str:
    return f"{size / 2**30:.2f} GiB"


if __name__ == "__main__":
    main()

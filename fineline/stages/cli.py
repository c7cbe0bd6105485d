"""`fineline plan`, `fineline report` and `fineline holdout`: forecasts and results, shown in a terminal."""

import json
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fineline.artifacts import reports
from fineline.errors import InputError, parameters_of
from fineline.project import layout, lock, params
from fineline.project.argument import AdapterName, adapter_names
from fineline.project.candidate import shipped_form
from fineline.project.params.project import Costs

_WIDTH = 132  # of tables that are written to a file or a log

console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)


def show_plan(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADAPTER]", help="A name under `adapters:`; without one, pass --base.", autocompletion=adapter_names
        ),
    ] = None,
    device_name: Annotated[
        str | None, typer.Option("--device", help="A device such as rtx4090 or h100. Default: this machine.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH|REPO", help="A base model without data: in params.yaml, a config.json, on the Hub."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="With --base: rows per micro-step.")] = 4,
    length: Annotated[int, typer.Option(min=2, help="With --base: tokens per row.")] = 1024,
    rows: Annotated[int, typer.Option(min=1, help="With --base: rows per epoch.")] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole plan as JSON.")] = False,
) -> None:
    """Forecast memory, time and cost of each method, and show the settings that training will use."""
    from fineline.export import formats
    from fineline.hardware import device
    from fineline.stages import plan

    if (name is None) == (base is None):
        raise InputError("fineline plan: give the name of an adapter, or --base; `fineline plan --help` shows both")
    configured = params.load() if name is not None or params.FILE.is_file() else None
    if name is not None and configured:
        configured.adapter(name)  # an unknown name is reported before anything is measured
    machine = device.named(device_name) if device_name else None
    if name is not None:
        with parameters_of(f"adapters.{name}"):
            inputs = plan.read(name)
            run = plan.plan(inputs, machine or device.detect())
            exportable = formats.forecast(inputs.base, inputs.export, run.chosen.setting.method)
    else:
        exportable = {}
        run = plan.suppose(str(base), machine or device.detect(), batch_size=batch, length=length, rows=rows)
    report = run.report() | ({"formats": exportable} if exportable else {})
    if as_json:
        print(json.dumps(report, indent=2))
        return
    _show_methods(report, str(name or base), configured.costs if configured else None)
    if name is not None:
        console.print(f"configured: {report['configured']} (adapters.{name}.train.method)")
        console.print(f"chosen: {report['chosen']['reason']}", highlight=False)
    for line in formats.lines(exportable):
        console.print(f"export: {line}", highlight=False, markup=False)
    share = report["chosen"]["share_of_base_compute"]
    if share is not None:
        flops = report["chosen"]["flops"]
        console.print(f"work: {flops:.2e} FLOPs, {share:.1e} of the training of the base", highlight=False)


def _show_methods(report: dict[str, Any], subject: str, costs: Costs | None) -> None:
    """Print the device, the amount of data, and one line for each method."""
    from fineline.plan.report import COLUMNS, cells

    where = report["device"]
    precision = report["chosen"]["precision"]
    rate = f"{where['tflops'][precision]:.3g} TFLOP/s in {precision}"
    note = f" ({where['note']})" if where["note"] else ""
    console.print(f"{subject} on {where['name']}: {where['memory_bytes'] / 2**30:.2f} GiB, {rate}{note}")
    amounts = f"{report['rows']:,} rows, {report['tokens']:,} tokens an epoch, epochs: {report['epochs']:g}"
    console.print(f"{report['parameters']:,} parameters; {amounts}")
    shown = Table(*COLUMNS, pad_edge=False, box=None)
    for column in shown.columns[1:]:
        column.justify = "right"
    for line in cells(report, costs):
        shown.add_row(*line)
    console.print(shown)
    console.print(
        "Memory in GiB. batch: rows x micro-steps; r: gradient checkpointing; d: four-bit weights are dequantized once."
    )
    for entry in report["methods"]:
        if "not_possible" in entry:
            console.print(f"{entry['method']}: {entry['not_possible']}", highlight=False)
    console.print(f"recommended: {report['recommended']}. {report['reason']}", highlight=False)


def show_report(
    name: AdapterName,
    in_browser: Annotated[
        bool, typer.Option("--open", help="Open it as a page in the browser, with examples and the present approval status.")
    ] = False,
) -> None:
    """Show the result of an adapter: scores of base, adapter and exported model, and the verdict."""
    from fineline.plan.workload import file_size
    from fineline.report import page

    params.load().adapter(name)  # an unknown name is reported as such
    directory = layout.reports(name)
    if in_browser:
        _open(page.write_local(name))
        return
    gate, candidate, export = (reports.read(directory / f"{part}.json") for part in ("gate", "candidate", "export"))
    form = export["forms"][shipped_form(export)]
    console.print(_scores(gate, candidate["forms"], form["precision"]))
    for reason in candidate["reasons"]:
        console.print(f"  {reason}", highlight=False, markup=False)
    for entry in candidate["evidence"]:
        shown = f"{entry['verdict']}: {entry['reason']} ({entry['tool']}, {entry['by']}, {entry['made']})"
        console.print(f"  evidence {entry['name']}: {shown}", highlight=False, markup=False)
    console.print(f"exported: {file_size(form['bytes'])}, {form['tokens_per_second']} tokens/s on this machine's CPU")
    for other, facts in export["forms"].items():
        if "failed" in facts:
            console.print(f"{other}: failed: {facts['failed']}", highlight=False, markup=False)
    for other, found in candidate.get("others", {}).items():
        facts = export["forms"][other]
        console.print(f"{other}: {found['verdict']}; {file_size(facts['bytes'])}, {facts['tokens_per_second']} tokens/s")
    for line in [*_cost_per_point(directory), *lock.accepted_results(name)]:
        console.print(line, highlight=False)
    console.print(f"verdict: [bold]{candidate['verdict']}[/], candidate {candidate['candidate']['digest']}")
    if page.file_of(name).is_file():
        console.print(f"page: {page.file_of(name)}; `fineline report {name} --open` shows it in the browser", highlight=False)


def _open(file: Path) -> None:
    """Open a page in the browser, and print its path: there may be no browser."""
    opened = webbrowser.open(file.absolute().as_uri())
    console.print(f"page: {file}" if opened else f"page: {file}; no browser was found, so open it yourself", highlight=False)


def _scores(gate: dict[str, Any], forms: dict[str, Any], precision: str) -> Table:
    """Return a table with one line for each rule of the gate."""
    names = [f"exported ({precision})" if form == "exported" else form for form in forms]
    table = Table("measure", "rule", "items", "base", "adapter", *names, "verdict")
    for column in table.columns[2:-1]:
        column.justify = "right"
    exported = {(entry["rule"], entry["measure"]): entry["verdict"] for entry in forms["exported"]["rules"]}
    for entry in gate["rules"]:
        rule, measure = entry["rule"], entry["measure"]
        arms = (gate["scores"]["base"], gate["scores"]["candidate"], *(forms[arm]["scores"]["candidate"] for arm in forms))
        scores = ["-" if arm[measure] is None else f"{arm[measure]:.3f}" for arm in arms]
        items = "-" if entry["items"] is None else str(entry["items"])
        verdict = exported[rule, measure]
        table.add_row(measure, rule, items, *scores, "" if verdict == "info" else verdict)
    return table


def open_holdout(
    name: AdapterName,
    reason: Annotated[
        str, typer.Option(help="Why the sealed rows are opened; it is recorded with the name of the user and the time.")
    ],
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


def _cost_per_point(directory: Path) -> list[str]:
    """Return the cost of a percentage point, a line for each task that had to improve; none without a training report."""
    if not (directory / "training.json").is_file():
        return []
    from fineline.plan.workload import count, duration, money, per_point

    costs = params.load().costs
    training, gate = (reports.read(directory / f"{part}.json") for part in ("training", "gate"))
    lines = []
    for entry in per_point(training, gate, costs):
        if entry["seconds"] is None:
            lines.append(f"{entry['measure']}: {entry['points']:+.1f} points; no gain, so cost per point is undefined")
            continue
        words = [duration(entry["seconds"])]
        words += [f"{count(entry['energy_wh'])}Wh"] if entry["energy_wh"] is not None else []
        words += [money(entry["cost"], costs.currency)] if costs else []
        lines.append(f"{entry['measure']}: {entry['points']:+.1f} points, each for {', '.join(words)} of training")
    return lines

"""`fineline status`: every adapter on one screen, with what is stale, the last verdict, and what waits for whom."""

import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fineline.artifacts import reports
from fineline.errors import or_reason
from fineline.project import layout, params
from fineline.project.versions import STAGES
from fineline.scaffold.staleness import stale_stages

if TYPE_CHECKING:
    from fineline.governance.state import State

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
_LONGEST = 200  # characters of a line; the rest is in `fineline show`
_COLORS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


@dataclass(frozen=True)
class AdapterStatus:
    """The state of one adapter."""

    name: str
    stale: tuple[str, ...]
    """Stages whose inputs changed, or that never ran, in the order of the graph."""
    verdict: str | None
    """Verdict on the last candidate; None without a candidate."""
    reasons: tuple[str, ...]
    """Why the verdict is not *pass*."""
    channels: tuple[str, ...]
    """Channel by channel, what its promotion waits for. Empty without a candidate or without a policy."""
    released: tuple[str, ...]
    """Channels with a release of the adapter, and since when."""

    @property
    def next_step(self) -> str | None:
        """Return the command to run next; None if only people's decisions are left."""
        if self.stale:
            return f"fineline run {self.name}"
        if self.verdict in ("fail", "inconclusive"):
            return f"fineline report {self.name}"
        return f"fineline show {self.name}" if self.channels else None


def show_status(as_json: Annotated[bool, typer.Option("--json", help="Print the status as JSON.")] = False) -> None:
    """Show every adapter: what is stale, the last verdict, and what waits for whom."""
    found = examine()
    if as_json:
        print(json.dumps([vars(status) for status in found], indent=2))
        return
    print_status(found, Console(highlight=False, soft_wrap=False))


def print_status(found: Sequence[AdapterStatus], console: Console) -> None:
    """Print the state of adapters for people."""
    for status in found:
        _show(status, console)
    if not found:
        console.print("no adapter yet: add one with `fineline init NAME --data FILE --base MODEL`", markup=False)


def examine() -> list[AdapterStatus]:
    """Return the state of every adapter of the project, in the order of params.yaml.

    Raises:
        InputError: params.yaml or dvc.yaml cannot be read.
    """
    configured = params.load()
    stale = stale_stages() if configured.adapters else set()
    ledger = _ledger()
    return [_status(name, block.base, stale, ledger) for name, block in configured.adapters.items()]


def _ledger() -> "State | None":
    """Return the ledger; None if there is none yet, or if it cannot be read."""
    from fineline.governance import files, ledger, ledger_files

    if not ledger.ROOT.is_dir():
        return None
    from fineline.governance.state import State

    state, _ = or_reason(lambda: State(ledger_files.read(), files.now()))
    return state if state is not None and state.adoptions else None


def _status(name: str, base: str, stale: set[str], ledger: "State | None") -> AdapterStatus:
    of_adapter = tuple(stage for stage in STAGES if f"{stage}@{base if stage == 'base' else name}" in stale)
    candidate, _ = or_reason(lambda: reports.read(layout.reports(name) / "candidate.json"))
    decision: dict[str, Any] = candidate or {}
    channels: tuple[str, ...] = ()
    released: list[str] = []
    if ledger is not None:
        from fineline.governance.requirements import status_of_candidate

        approval, problem = or_reason(lambda: status_of_candidate(ledger, name, Path()))
        channels = approval.reasons if approval else (problem,) if decision and problem else ()
        known, _ = or_reason(lambda: list(ledger.present.policy.channels))
        moves = {channel: ledger.current(name, channel) for channel in known or ()}
        released = [f"{channel} since {entry.time}" for channel, entry in moves.items() if entry is not None]
    verdict = decision.get("verdict")
    reasons = () if verdict == "pass" else tuple(decision.get("reasons", ()))
    return AdapterStatus(name, of_adapter, verdict, reasons, channels, tuple(released))


def _show(status: AdapterStatus, console: Console) -> None:
    color = _COLORS.get(status.verdict or "", "dim")
    freshness = _freshness(status.stale)
    console.print(f"[bold]{status.name}[/]  [{color}]{status.verdict or 'no candidate yet'}[/]  {freshness}")
    lines = [("release", line) for line in status.released]
    lines += [("waits", _brief(line, status.name)) for line in status.channels]
    lines += [("reason", line) for line in status.reasons]
    lines += [("next", status.next_step)] if status.next_step else []
    table = Table.grid(padding=(0, 1))
    table.add_column(width=10, no_wrap=True)
    table.add_column(overflow="fold")
    for label, line in lines:
        table.add_row(Text(f"  {label}"), Text(line))
    if lines:
        console.print(table)


def _brief(line: str, name: str) -> str:
    """Return what a channel waits for with short digests, and no more of it than fits a screen."""
    short = _DIGEST.sub(r"\1", line)
    shown = textwrap.shorten(short, _LONGEST, placeholder=" ...")
    return shown if shown == short else f"{shown} (all: `fineline show {name}`)"


def _freshness(stale: tuple[str, ...]) -> str:
    stages = tuple(STAGES)
    if len(stale) > 1 and stale == stages[-len(stale) :]:
        return f"stale from {stale[0]} on"
    return f"stale: {', '.join(stale)}" if stale else "up to date"

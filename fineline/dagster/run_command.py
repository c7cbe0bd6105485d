"""`fineline run`: `dvc repro` of one adapter, with the stage, the time that is left, and the result at the end."""

import re
import shutil
import sys
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from fineline.artifacts import provenance, reports
from fineline.dagster import process_group
from fineline.errors import FinelineError, InputError, Refused
from fineline.project import layout, params
from fineline.project.argument import AdapterName
from fineline.project.versions import STAGES

_TAIL = 12  # lines of a failed stage that its error shows
_REFRESH = 2  # updates of the status line a second
_NO_SPACE = "No space left on device"


def run_adapter(
    name: AdapterName,
    force: Annotated[bool, typer.Option("--force", help="Run every stage, also those that are up to date.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print one line per stage, without its output.")] = False,
) -> None:
    """Bring an adapter up to date: run its stale stages in order, then show the result.

    The same as `dvc repro assess@ADAPTER`, with progress. An interrupted run continues where it stopped.
    """
    base = params.load().adapter(name).base
    progress = Progress([f"{stage}@{base if stage == 'base' else name}" for stage in STAGES], quiet=quiet)
    reproduce(progress, Path.cwd(), force=force)
    _show_result(name)


def reproduce(progress: "Progress", root: Path, *, force: bool = False) -> None:
    """Run `dvc repro` for the last stage of `progress`, with the stages before it.

    Raises:
        FinelineError: A stage failed, or the run was interrupted. An `InputError` or `Refused` of a stage stays one.
    """
    command = ["dvc", "--wait-for-lock", "repro", *["--force"] * force, progress.stages[-1]]
    try:
        with progress:
            status = process_group.run(command, root, progress.line)
    except KeyboardInterrupt:
        raise FinelineError(f"interrupted in {progress.running or 'dvc'}; the same command continues from here") from None
    except OSError as error:
        raise FinelineError(f"dvc cannot be started: {error.strerror}; install fineline's dependencies again") from error
    if status:
        raise progress.failure(root, status)
    progress.summarize()


def _show_result(name: str) -> None:
    from fineline.governance import policy
    from fineline.stages import cli as stages

    stages.show_report(name)
    suggestions = {f"fineline report {name} --open": "the whole result as a page in the browser"}
    passed = reports.read(layout.reports(name) / "candidate.json")["verdict"] == "pass"
    if passed and policy.FILE.is_file():
        suggestions[f"fineline show {name}"] = "what has to be signed for a release"
    elif passed:
        suggestions["fineline keygen NAME --email ADDRESS"] = "a key and a policy, the first step to an approved release"
    else:
        suggestions[f"fineline plan {name}"] = "other methods and settings, with their cost"
    suggestions["dagster dev --workspace workspace.yaml"] = "the same graph in Dagster"
    width = max(len(command) for command in suggestions)
    print("next:", *(f"  {command:<{width}}  {why}" for command, why in suggestions.items()), sep="\n")


class Progress:
    """Follows the output of `dvc repro`: a line per stage, and on a terminal a status line with the time left.

    Forecasts come from the last recorded run of each stage, scaled by how fast the finished stages were in comparison.
    """

    def __init__(self, stages: list[str], *, quiet: bool = False, console: Console | None = None) -> None:
        self.stages = stages
        """Names of the stages, as in DVC, in the order in which they run."""
        self.finished: dict[str, float] = {}
        """Seconds of each stage that ran."""
        self.running: str | None = None
        self._expected = {stage: seconds for stage in stages if (seconds := last_seconds(stage)) is not None}
        self._skipped: set[str] = set()
        self._tail: deque[str] = deque(maxlen=200)
        self._quiet = quiet
        self._console = console or Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
        self._live = Live(console=self._console, get_renderable=self._status, refresh_per_second=_REFRESH, transient=True)
        self._since = 0.0

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def line(self, line: str) -> None:
        """Take one line of the output."""
        self._tail.append(line)
        if begun := re.fullmatch(r"Running stage '(.+)':", line):
            self._end()
            self.running, self._since = begun[1], time.monotonic()
            self._console.print(self._heading(begun[1]))
        elif skipped := re.match(r"Stage '(.+)' (didn't change, skipping|is cached - skipping run)", line):
            self._end()
            self._skipped.add(skipped[1])
            how = "up to date" if skipped[2].startswith("didn't") else "restored from DVC's cache"
            self._console.print(f"{self._position(skipped[1])} {how}")
        elif line.startswith(("Updating lock file", "Use `dvc push`", "To track the changes", "To enable auto staging")):
            self._end()
        elif self.running and not self._quiet and line.strip() and not line.startswith(("> python", "\tgit add")):
            self._console.print(f"      {line}")

    def seconds_left(self) -> float | None:
        """Return the forecast of the seconds left; None if a stage that is left was never recorded."""
        left = [stage for stage in self.stages if stage not in self.finished and stage not in self._skipped]
        if any(stage not in self._expected for stage in left):
            return None
        known = [stage for stage in self.finished if stage in self._expected]
        scale = sum(self.finished[stage] for stage in known) / max(1.0, sum(self._expected[stage] for stage in known))
        scale = min(max(scale, 0.2), 5.0) if known else 1.0
        total = sum(self._expected[stage] * scale for stage in left)
        if self.running in left:
            total -= min(time.monotonic() - self._since, self._expected[self.running] * scale)
        return max(total, 0.0)

    def failure(self, root: Path, status: int) -> FinelineError:
        """Return the error of a `dvc repro` that ended with a status, with the exit code of its stage."""
        text = "\n".join(self._tail)
        codes = re.findall(r"failed to run: .*, exited with (-?\d+)", text)
        code = int(codes[-1]) if codes else status
        kind: type[FinelineError] = {2: InputError, 3: Refused}.get(code, FinelineError)
        reasons = [line.removeprefix("error: ") for line in self._tail if line.startswith("error: ")]
        refused = re.findall(r"^ERROR: (?!.*failed to run: )(.+)", text, re.MULTILINE)  # by DVC, before a stage started
        if reasons and self.running:
            why = reasons[-1]
        elif refused:
            why = refused[-1]
        else:
            why = "\n".join(["failed; the last lines were", *(f"  {line}" for line in [*self._tail][-_TAIL:])])
        if _NO_SPACE in text:
            why = f"no space left on the device of {root} ({shutil.disk_usage(root).free / 1e6:.0f} MB are free); free some"
        return kind(f"{self.running or 'dvc repro'}: {why}\nThe same command continues from here.")

    def summarize(self) -> None:
        """Print the time of each stage that ran."""
        self._end()
        if self.finished:
            each = ", ".join(f"{stage.partition('@')[0]} {clock(seconds)}" for stage, seconds in self.finished.items())
            self._console.print(f"{clock(sum(self.finished.values()))} in all: {each}")

    def _end(self) -> None:
        if self.running:
            self.finished[self.running] = time.monotonic() - self._since
            self.running = None

    def _position(self, stage: str) -> str:
        number = self.stages.index(stage) + 1 if stage in self.stages else "?"
        return f"[{number}/{len(self.stages)}] {stage}"

    def _heading(self, stage: str) -> str:
        left = self.seconds_left()
        return self._position(stage) + (f"  (about {clock(left)} left)" if left else "")

    def _status(self) -> Text:
        if not self.running:
            return Text("")
        left = self.seconds_left()
        rest = f", about {clock(left)} left" if left else ""
        clocks = f"  {clock(time.monotonic() - self._since)}{rest}"
        position = self._position(self.running)
        room = self._console.width - len(clocks)
        if len(position) > room:  # a narrow terminal keeps the times
            position = position[: max(0, room - 1)] + "…"
        return Text(position + clocks, "bold", no_wrap=True)


def last_seconds(stage: str) -> float | None:
    """Return the seconds that the last recorded run of a stage took; None if there is no record."""
    kind, _, name = stage.partition("@")
    try:
        found = provenance.read(layout.provenance(kind, name))
        if found is None:
            return None
        return (datetime.fromisoformat(found.finished) - datetime.fromisoformat(found.started)).total_seconds()
    except (InputError, ValueError):
        return None  # a forecast is not worth an error: the stage writes the file again


def clock(seconds: float) -> str:
    """Return a duration as people read it: `42 s`, `3 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"

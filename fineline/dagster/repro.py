"""The only module that starts `dvc repro`: one stage, once at a time."""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fineline.artifacts import locks
from fineline.dagster import process_group
from fineline.errors import FinelineError
from fineline.project import layout

LOCKED = "Unable to acquire lock"
BUSY = "is busy, it is being blocked by"
BUSY_WAITS = (1, 2, 4, 8, 16, 32, *[60] * 360)  # seconds between attempts while another DVC process holds a path of the stage
TAIL = 40  # lines kept for the message of a failure

Action = Literal["ran", "unchanged", "restored"]
Show = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """The result of `dvc repro`: the stage ran, was up to date, or was restored from the run cache."""

    action: Action
    seconds: float


class ReproFailed(FinelineError):
    """The stage, or DVC itself, failed; `tail` has the last lines that were printed."""

    def __init__(self, stage: str, why: str, tail: Sequence[str]) -> None:
        super().__init__(f"`dvc repro -s {stage}` {why}")
        self.stage = stage
        self.tail = list(tail)

    @property
    def stage_status(self) -> int | None:
        """Return the exit status of the stage's command, negative for a signal; None if it was not started."""
        ends = [re.search(r"failed to run: .*, exited with (-?\d+)$", line) for line in self.tail]
        return next((int(end[1]) for end in reversed(ends) if end), None)

    @property
    def is_lock(self) -> bool:
        """True if DVC's lock was held by another process."""
        return any(LOCKED in line or BUSY in line for line in self.tail)


def reproduce(
    root: Path,
    stage: str,
    *,
    force: bool = False,
    pull: bool = False,
    limit: float | None = None,
    on_line: Show | None = None,
    grace: float = process_group.GRACE,
    busy_waits: Sequence[float] = BUSY_WAITS,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Bring one stage up to date with `dvc repro -s`.

    Two simultaneous calls run it once: the second waits for the first, and then finds it up to date.

    Args:
        force: Run it even if nothing changed.
        pull: Fetch missing inputs and recorded results from the DVC remote.
        limit: Seconds after which it is stopped and counts as failed.
        on_line: Receives each line as it is printed; by default it is printed.
        grace: Seconds between SIGINT and SIGKILL when this call is interrupted.
        busy_waits: Seconds before each new attempt while a `dvc` started elsewhere works on the same paths.
        environment: Variables of the stage, in addition to those of this process.

    Raises:
        ReproFailed: DVC ended with another status than 0, or reached the limit.
    """
    command = ["dvc", "--wait-for-lock", "repro", "-s", stage]
    command += ["--force"] * force + ["--pull"] * pull
    show = on_line or _print
    with locks.hold(lock_file(root, stage), lambda: show(f"{stage}: is being run already; waiting for it to finish")):
        started = time.monotonic()
        for wait in (*busy_waits, None):
            output = _Output(stage, show)
            try:
                status = process_group.run(command, root, output.line, grace=grace, limit=limit, environment=environment)
            except process_group.TooLong as error:
                raise ReproFailed(stage, f"was stopped after {limit:g} s, its limit in dvc.yaml", output.tail) from error
            if status == 0:
                return Outcome(output.action, time.monotonic() - started)
            if wait is None or not any(BUSY in line for line in output.tail):
                break
            show(f"{stage}: another DVC process works on its files; next attempt in {wait} s")
            time.sleep(wait)
    raise ReproFailed(stage, f"ended with status {status}", output.tail)


def lock_file(root: Path, name: str) -> Path:
    """Return the lock that a stage, or a retraining, of the project at `root` holds while it runs."""
    return root.resolve() / layout.SCRATCH / "locks" / name


class _Output:
    """The output of DVC: its last lines, and the action that they report."""

    def __init__(self, stage: str, show: Show) -> None:
        self.action: Action = "ran"
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._unchanged = f"Stage '{stage}' didn't change, skipping"
        self._restored = f"Stage '{stage}' is cached - skipping run"
        self._show = show

    def line(self, line: str) -> None:
        """Take one line."""
        if line.startswith(self._unchanged):
            self.action = "unchanged"
        elif line.startswith(self._restored):
            self.action = "restored"
        self.tail.append(line)
        self._show(line)


def _print(line: str) -> None:
    print(line, flush=True)

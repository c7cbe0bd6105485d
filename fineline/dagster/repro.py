"""The only place that starts `dvc repro`: one stage, once at a time."""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fineline.dagster import group
from fineline.dagster.turns import turn
from fineline.errors import FinelineError

LOCKED = "Unable to acquire lock"
BUSY = "is busy, it is being blocked by"
BUSY_WAITS = (1, 2, 4, 8, 16, 32, *[60] * 360)  # seconds between attempts while a person's DVC holds a path of the stage
TAIL = 40  # lines kept for the failure

Action = Literal["ran", "unchanged", "restored"]
Show = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What DVC did: ran the stage, found it up to date, or restored its outs from the run cache."""

    action: Action
    seconds: float


class ReproFailed(FinelineError):
    """The stage, or DVC itself, failed; `tail` holds the last lines that were printed."""

    def __init__(self, stage: str, why: str, tail: Sequence[str]) -> None:
        super().__init__(f"`dvc repro -s {stage}` {why}")
        self.stage = stage
        self.tail = list(tail)

    @property
    def stage_status(self) -> int | None:
        """With what the command of the stage ended, negative for a signal; None if it did not come to that."""
        ends = [re.search(r"failed to run: .*, exited with (-?\d+)$", line) for line in self.tail]
        return next((int(end[1]) for end in reversed(ends) if end), None)

    @property
    def is_lock(self) -> bool:
        """Whether other DVC processes were in the way."""
        return any(LOCKED in line or BUSY in line for line in self.tail)


def reproduce(
    root: Path,
    stage: str,
    *,
    force: bool = False,
    pull: bool = False,
    limit: float | None = None,
    on_line: Show | None = None,
    grace: float = group.GRACE,
    busy_waits: Sequence[float] = BUSY_WAITS,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Bring one stage up to date with `dvc repro -s`.

    Asked for twice at a time, it runs once: the second call waits for the first, and then finds nothing to do.

    Args:
        force: Run it even if nothing changed.
        pull: Fetch missing inputs and recorded results from the DVC remote.
        limit: Seconds after which it is ended and counts as failed.
        on_line: Receives each line as it is printed; by default it is printed on.
        grace: Seconds between SIGINT and SIGKILL when this call is interrupted.
        busy_waits: Seconds to wait before each new attempt while a DVC process that is none of ours works on the same paths.
        environment: Variables of the stage, beside ours.

    Raises:
        ReproFailed: DVC ended with another status than 0, or the time was over.
    """
    command = ["dvc", "--wait-for-lock", "repro", "-s", stage]
    command += ["--force"] * force + ["--pull"] * pull
    show = on_line or _print
    with turn(root, stage, show):
        started = time.monotonic()
        for wait in (*busy_waits, None):
            said = _Said(stage, show)
            try:
                status = group.run(command, root, said.line, grace=grace, limit=limit, environment=environment)
            except group.TooLong as error:
                raise ReproFailed(stage, f"was ended after {limit:g} s, its limit in dvc.yaml", said.tail) from error
            if status == 0:
                return Outcome(said.action, time.monotonic() - started)
            if wait is None or not any(BUSY in line for line in said.tail):
                break
            show(f"{stage}: another DVC process works on its files, next attempt in {wait} s")
            time.sleep(wait)
    raise ReproFailed(stage, f"ended with status {status}", said.tail)


class _Said:
    """What DVC says, as it says it."""

    def __init__(self, stage: str, show: Show) -> None:
        self.action: Action = "ran"
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._unchanged = f"Stage '{stage}' didn't change, skipping"
        self._restored = f"Stage '{stage}' is cached - skipping run"
        self._show = show

    def line(self, line: str) -> None:
        """One more line."""
        if line.startswith(self._unchanged):
            self.action = "unchanged"
        elif line.startswith(self._restored):
            self.action = "restored"
        self.tail.append(line)
        self._show(line)


def _print(line: str) -> None:
    print(line, flush=True)

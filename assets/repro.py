"""The only place that starts DVC: one stage, in a process group that ends with us.

`dvc repro` ignores SIGINT while a stage runs, so stopping DVC alone would leave the training alive, to be recorded as a
result when it ends. Whatever interrupts us therefore ends the whole group.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.errors import FinelineError

BUSY = "is busy, it is being blocked by"
BUSY_WAITS = (1, 2, 4, 8, 16, 32, 60, 60)  # seconds between attempts while another DVC holds a path of the stage
GRACE = 10.0  # seconds that a stage has to end by itself
TAIL = 40  # lines kept for the failure

Action = Literal["ran", "unchanged", "restored"]


@dataclass(frozen=True)
class Outcome:
    """What DVC did: ran the stage, found it up to date, or restored its outs from the run cache."""

    action: Action
    seconds: float


class ReproFailed(FinelineError):
    """The stage, or DVC itself, failed; `tail` holds the last lines that were printed."""

    def __init__(self, stage: str, status: int, tail: Sequence[str]) -> None:
        super().__init__(f"`dvc repro -s {stage}` ended with status {status}")
        self.stage = stage
        self.tail = list(tail)


def reproduce(
    root: Path,
    stage: str,
    *,
    force: bool = False,
    pull: bool = False,
    on_line: Callable[[str], None] | None = None,
    grace: float = GRACE,
    busy_waits: Sequence[float] = BUSY_WAITS,
) -> Outcome:
    """Bring one stage up to date with `dvc repro -s`.

    Args:
        force: Run it even if nothing changed.
        pull: Fetch missing inputs and recorded results from the DVC remote.
        on_line: Receives each line as it is printed; by default it is printed on.
        grace: Seconds between SIGINT and SIGKILL when this call is interrupted.
        busy_waits: Seconds to wait before each new attempt while another DVC process works on the same paths.

    Raises:
        ReproFailed: DVC ended with another status than 0.
    """
    command = ["dvc", "--wait-for-lock", "repro", "-s", stage]
    command += ["--force"] * force + ["--pull"] * pull
    show = on_line or _print
    started = time.monotonic()
    for wait in (*busy_waits, None):
        action: Action = "ran"
        tail: deque[str] = deque(maxlen=TAIL)

        def keep(line: str, tail: deque[str] = tail) -> None:
            nonlocal action
            action = _action(line, stage) or action
            tail.append(line)
            show(line)

        status = _run(command, root, keep, grace)
        if status == 0:
            return Outcome(action, time.monotonic() - started)
        if wait is None or not any(BUSY in line for line in tail):
            break
        show(f"{stage}: another DVC process works on its files, next attempt in {wait} s")
        time.sleep(wait)
    raise ReproFailed(stage, status, tail)


def _action(line: str, stage: str) -> Action | None:
    if line.startswith(f"Stage '{stage}' didn't change, skipping"):
        return "unchanged"
    if line.startswith(f"Stage '{stage}' is cached - skipping run"):
        return "restored"
    return None


def _run(command: list[str], root: Path, on_line: Callable[[str], None], grace: float) -> int:
    """Exit status of the command; every line of its output and error output goes to `on_line`."""
    process = subprocess.Popen(
        command,
        cwd=root,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            on_line(line.rstrip("\n"))
        return process.wait()
    except BaseException:
        _end_group(process, grace)
        raise
    finally:
        process.stdout.close()


def _environment() -> dict[str, str]:
    """Stages say `python` and mean ours, also where Dagster was started without activating the environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1"}


def _end_group(process: subprocess.Popen[str], grace: float) -> None:
    """SIGINT to every process of the group, then SIGKILL to those that outlive the grace."""
    try:
        _signal_group(process, signal.SIGINT)
        deadline = time.monotonic() + grace
        while _group_lives(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:  # a second interrupt cuts the grace short
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _group_lives(process: subprocess.Popen[str]) -> bool:
    process.poll()  # an ended leader counts as alive until it is waited for
    return _signal_group(process, 0)


def _signal_group(process: subprocess.Popen[str], number: int) -> bool:
    """Send a signal to the group that the process leads; False if the group is gone."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _print(line: str) -> None:
    print(line, flush=True)

"""A command in a process group that ends with this process, has a time limit, and leaves no process behind.

`dvc repro` ignores SIGINT while a stage runs, so stopping DVC alone would leave the training alive, to be recorded as a
result when it ends. An interrupt therefore ends the whole group. If this process is killed, the watchdog ends it: this file
run as a script, `python -I -S process_group.py GRACE COMMAND...`, as leader of the group. It imports what loads fast only.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

GRACE = 10.0  # seconds that a command has to end after SIGINT


class TooLong(Exception):
    """The command was stopped at its time limit."""


def run(
    command: Sequence[str],
    root: Path,
    on_line: Callable[[str], None],
    *,
    grace: float = GRACE,
    limit: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run a command and return its exit status; every line of its output and error output goes to `on_line`.

    Args:
        grace: Seconds between SIGINT and SIGKILL when it is stopped early.
        limit: Seconds after which it is stopped.
        environment: Variables in addition to those of this process.

    Raises:
        TooLong: It reached the limit.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(grace), *command],
        cwd=root,
        env=_environment(environment or {}),
        stdin=subprocess.PIPE,  # open as long as this process lives
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    late = threading.Event()
    timer = threading.Timer(limit or 0, _end_late, (process, grace, late))
    timer.daemon = True
    if limit is not None:
        timer.start()
    try:
        for line in process.stdout:
            on_line(line.rstrip("\n"))
        status = process.wait()
    except BaseException:
        _end(process, grace)
        raise
    finally:
        timer.cancel()
        _signal(process, signal.SIGKILL)  # processes that the command left running in its group
        process.stdin.close()
        process.stdout.close()
    if late.is_set():
        raise TooLong
    return status


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which `python` is this one, even if Dagster was started without activating it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", **more}


def _end_late(process: subprocess.Popen[str], grace: float, late: threading.Event) -> None:
    late.set()
    _end(process, grace)


def _end(process: subprocess.Popen[str], grace: float) -> None:
    """Send SIGINT to every process of the group, then SIGKILL to those that are left after the grace."""
    try:
        _signal(process, signal.SIGINT)
        deadline = time.monotonic() + grace
        while _lives(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:  # a second interrupt cuts the grace short
        _signal(process, signal.SIGKILL)
        process.wait()


def _lives(process: subprocess.Popen[str]) -> bool:
    process.poll()  # an ended leader counts as alive until it is waited for
    return _signal(process, 0)


def _signal(process: subprocess.Popen[str], number: int) -> bool:
    """Send a signal to the group that the process leads; return False if the group is gone."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _guard() -> int:
    """Run a command as the watchdog of its group, and end all of it when the caller is gone.

    Standard input is a pipe that only the caller keeps open, so end of file means that the caller has ended.

    Returns:
        The exit status of the command; 128 plus the number of the signal that ended it, as a shell does.
    """
    grace, command = float(sys.argv[1]), sys.argv[2:]
    signal.signal(signal.SIGINT, lambda *_: None)  # meant for the command; a handler is not inherited, an ignored signal is
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_watch, args=(grace,), daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _watch(grace: float) -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGINT)
    time.sleep(grace)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(_guard())

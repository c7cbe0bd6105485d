"""Ends a command and everything it started when the calling process is gone, even if that was killed.

A script, started as `python -I -S watchdog.py GRACE COMMAND...` by `fineline.dagster.process_group`, as leader of a process
group. Its standard input is a pipe that only the caller keeps open, so end of file means that the caller has ended. It imports
only modules that load fast.
"""

import os
import signal
import subprocess
import sys
import threading
import time


def main() -> int:
    """Return the exit status of the command; 128 plus the number of the signal that ended it, as a shell does."""
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
    sys.exit(main())

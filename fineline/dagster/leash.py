"""Ends a command, and all that it started, when whoever asked for it is gone, even if that was killed.

Started as `python -I -S leash.py GRACE COMMAND...` by `fineline.dagster.group`, as leader of a process group. Its standard input
is a pipe that only the caller holds open: the end of file is the end of the caller. Nothing is imported that takes time.
"""

import os
import signal
import subprocess
import sys
import threading
import time


def main() -> int:
    """Exit status of the command; 128 and the number of the signal if one ended it, as a shell has it."""
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

"""`dvc` in processes that are forked from one that has imported DVC, which takes longer than most of what the tests ask of it.

Each command is a process with its own working directory, environment and streams. It is not in the process group of its
caller: tests that kill processes are marked `installed_dvc`.
"""

import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from dvc.cli import main as dvc
from dvc.cli import parser

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = (
    *("configobj", "dulwich.client", "flufl.lock", "fsspec.implementations.memory", "platformdirs.unix", "psutil", "pyparsing"),
    *("rich.console", "rich.highlighter", "rich.json", "rich.text", "ruamel.yaml", "ruamel.yaml.mergevalue", "zc.lockfile"),
    *("dvc.cachemgr", "dvc.data_cloud", "dvc.dependency", "dvc.dirs", "dvc.dvcfile", "dvc.lock", "dvc.output", "dvc.parsing"),
    *("dvc.repo.artifacts", "dvc.repo.checkout", "dvc.repo.commit", "dvc.repo.datasets", "dvc.repo.index", "dvc.repo.init"),
    *("dvc.repo.metrics", "dvc.repo.open_repo", "dvc.repo.params", "dvc.repo.plots", "dvc.repo.reproduce", "dvc.repo.stage"),
    *("dvc.repo.status", "dvc.rwlock", "dvc.scm", "dvc.stage.cache", "dvc.stage.run", "dvc.utils.strictyaml", "dvc_render"),
    *("dvc_data.hashfile.db.local", "dvc_data.hashfile.status", "dvc_data.index.checkout", "scmrepo.git"),
)
"""What DVC imports when it runs; a command imports what is missing here."""
COMMAND = f"""#!{sys.executable} -IS
import json, os, signal, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.path.dirname(sys.argv[0]) + "/socket")
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(request)
    process = int.from_bytes(server.recv(8, socket.MSG_WAITALL), "big")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(process, number))
    status = server.recv(1)
sys.exit(status[0] if status else 255)
"""


@contextmanager
def served() -> Iterator[Path]:
    """Serve the command as long as the context lasts; yield its path."""
    directory = Path(tempfile.mkdtemp(prefix="dvc-"))  # the path of a socket may have 100 characters
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, str(directory)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield directory / "dvc"
        finally:
            server.stdin.close()  # type: ignore[union-attr]
            shutil.rmtree(directory)


def main(directory: Path) -> NoReturn:
    """Serve the command in a directory until standard input ends; print a line as soon as it can be used."""
    for name in IMPORTED:
        importlib.import_module(name)
    parser.get_main_parser()
    assert threading.active_count() == 1, "a process that is forked has only the thread that forks it"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "socket"))
        listener.listen()
        command = directory / "dvc"
        command.write_text(COMMAND)
        command.chmod(0o755)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> NoReturn:
    """Run a command in a child process, and send its process id and its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    request = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    process = os.fork()
    if process == 0:
        connection.close()
        _run(*request, streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(process.to_bytes(8, "big"))
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    connection.sendall(bytes([status if status >= 0 else 128 - status]))
    os._exit(0)


def _run(arguments: list[str], directory: str, environment: dict[str, str], streams: list[int]) -> NoReturn:
    status: Any = 255
    try:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.argv = ["dvc", *arguments]
        if environment.get("PYTHONUNBUFFERED"):
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        status = dvc(arguments)
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

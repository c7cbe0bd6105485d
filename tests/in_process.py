"""Commands and stages, run in this process: a new one imports torch and transformers before it does anything."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from fineline import cli


def fineline(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `fineline`, with an empty standard input, and return its exit code and output.

    Args:
        cwd: The directory to run it in; by default the working directory.
    """
    return _run(["fineline", *arguments], cli.main, cwd)


def stage(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipelines.NAME` and return its exit code and output."""
    module = f"pipelines.{name}"
    return _run([module, *arguments], lambda: runpy.run_module(module, run_name="__main__", alter_sys=True), cwd)


def _run(command: list[str], start: Callable[[], object], cwd: Path | None) -> subprocess.CompletedProcess[str]:
    """Call `start` as the program of a command; an exception other than `SystemExit` is a defect and is raised."""
    output, errors, code = io.StringIO(), io.StringIO(), None
    with (
        contextlib.chdir(cwd or Path.cwd()),  # a command changes to the root of the project
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", command),
        mock.patch.object(sys, "stdin", io.StringIO()),
        mock.patch.dict(os.environ, COLUMNS="300"),
    ):
        try:
            start()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(
        command, code if isinstance(code, int) else int(code is not None), output.getvalue(), errors.getvalue()
    )

"""Run every command of expected.json on fresh copies of the project, and print the answers as a JSON list.

    COLUMNS=200 python replay.py

One process runs all commands, with the `fineline` that it imports. COLUMNS must be set before that import: it is the width of
tables. Stdout must not be a terminal.
"""

import base64
import contextlib
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def questions(expected: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the title of each group of commands, and each command, in the order of the answers."""
    groups = [("unchanged", expected["commands"]), ("a release alone", expected["alone"])]
    groups += [(entry["what"], entry["commands"]) for entry in expected["tampered"]]
    for title, commands in groups:
        for command in commands:
            yield title, command


def answers(expected: dict[str, Any]) -> list[dict[str, Any]]:
    """Run all commands, and return exit code, stdout and stderr of each."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        places = [_unpack(Path(scratch) / "project"), _releases_alone(Path(scratch), expected)]
        for number, entry in enumerate(expected["tampered"]):
            places.append(_unpack(Path(scratch) / f"tampered-{number}"))
            _tamper(places[-1], entry["edits"])
        groups = [expected["commands"], expected["alone"], *(entry["commands"] for entry in expected["tampered"])]
        for directory, commands in zip(places, groups, strict=True):
            found += [_answer(directory, command["arguments"], command["now"]) for command in commands]
    return found


def _answer(directory: Path, arguments: list[str], now: str) -> dict[str, Any]:
    """Run one command in a directory, at a time."""
    from fineline.cli import main
    from fineline.governance import files

    clock, argv, here = files.now, sys.argv, Path.cwd()
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        files.now, sys.argv = (lambda: now), ["fineline", *arguments]
        os.chdir(directory)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    finally:
        files.now, sys.argv = clock, argv
        os.chdir(here)
    texts = {"stdout": out.getvalue(), "stderr": err.getvalue()}
    return {"exit": code} | {name: text.replace(str(directory), "{project}") for name, text in texts.items()}


def _unpack(target: Path) -> Path:
    """Make a fresh copy of the project."""
    with tarfile.open(HERE / "project.tar.gz") as tar:
        tar.extractall(target, filter="data")
    return target.resolve()


def _releases_alone(scratch: Path, expected: dict[str, Any]) -> Path:
    """Make a directory with both releases and no project."""
    releases = _unpack(scratch / "whole") / "releases" / expected["adapter"]
    auditor = (scratch / "auditor").resolve()
    auditor.mkdir()
    for name in expected["releases"].values():
        (releases / name.removeprefix("sha256:")).rename(auditor / name.removeprefix("sha256:"))
    return auditor


def _tamper(project: Path, edits: list[dict[str, Any]]) -> None:
    """Make the edits of one entry of `tampered` in a copy."""
    for edit in edits:
        file = project / edit["file"]
        match edit["do"]:
            case "flip":
                content = bytearray(file.read_bytes())
                content[edit["offset"]] ^= edit["xor"]
                file.chmod(0o644)
                file.write_bytes(content)
            case "write":
                if file.exists():
                    file.chmod(0o644)
                file.write_bytes(base64.b64decode(edit["base64"]))
            case "delete":
                file.unlink()
            case "link":
                file.unlink()
                file.symlink_to(edit["to"])
            case other:
                raise ValueError(other)


if __name__ == "__main__":
    json.dump(answers(json.loads((HERE / "expected.json").read_text(encoding="utf-8"))), sys.stdout)

"""Reports: small JSON and JSONL files that users, `dvc metrics`, `dvc plots` and Dagster read."""

import json
from pathlib import Path
from typing import Any

from fineline.artifacts.files import write_text
from fineline.errors import InputError


def write(file: Path, content: Any) -> None:
    """Write JSON atomically."""
    write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSONL, with the keys in the order given."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read(file: Path) -> Any:
    """Read a report.

    Raises:
        InputError: The file is missing or not valid JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing; run `dvc repro` to make it") from error
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from error


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read JSONL.

    Raises:
        InputError: The file is missing, or a line is not valid JSON; the message names the line.
    """
    rows = []
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    rows.append(json.loads(line))
                except ValueError as error:
                    raise InputError(f"{file}:{number}: not valid JSON: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing; run `dvc repro` to make it") from error
    return rows

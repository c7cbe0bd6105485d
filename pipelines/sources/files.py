"""Local JSONL files, taken line by line as they are."""

from pathlib import Path
from typing import IO

from pipelines.errors import InputError


def copy(path: Path, sink: IO[bytes]) -> int:
    """Append every line of a JSONL file, or of all below a directory in sorted order, to `sink`; return the number of lines.

    Raises:
        InputError: There is no such file, the directory holds none, one cannot be read, or there is not one line.
    """
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no *.jsonl file in this directory; check `source.path` in params.yaml")
    written = 0
    for file in files:
        try:
            with file.open("rb") as source:
                for line in source:
                    sink.write(line if line.endswith(b"\n") else line + b"\n")
                    written += 1
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror}); check `source.path` in params.yaml") from error
    if not written:
        raise InputError(f"{path}: not one row; a training set needs at least a few hundred")
    return written

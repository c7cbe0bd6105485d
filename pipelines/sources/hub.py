"""Data files of a dataset repository on the Hugging Face Hub, at one commit. No code of the repository is ever run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.errors import InputError
from pipelines.params.sources import HubData
from pipelines.sources.formats import READERS


@contextmanager
def download(hub: HubData) -> Iterator[tuple[Path, str]]:
    """A temporary directory with the chosen files of the repository, and what messages call it.

    Raises:
        InputError: The repository or revision is unknown, private, or cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    shown = f"{hub.repo}@{hub.revision[:12]}"
    with TemporaryDirectory() as directory:
        try:
            snapshot_download(
                hub.repo, repo_type="dataset", revision=hub.revision, local_dir=directory, allow_patterns=_patterns(hub.files)
            )
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{shown}: cannot be fetched from the Hub: {reason};"
                " check the name, the access token and the network, or use local files (`files`)"
            ) from error
        yield Path(directory), shown


def _patterns(files: str) -> list[str]:
    """A glob in the Hub's terms, where `*` also matches `/`: at least all files that it means here."""
    if files == "**":
        return [pattern for ending in READERS for pattern in (f"*{ending}", f"*{ending}.*")]
    return [files, files.replace("**/", "")]

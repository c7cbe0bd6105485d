"""A base model from the Hugging Face Hub, at one commit, safetensors only."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.bases import directory
from pipelines.errors import InputError
from pipelines.params.bases import Hub


def fetch(hub: Hub, into: Path) -> None:
    """Download the accepted files of a repository at its pinned revision into `into`.

    Raises:
        InputError: The repository or revision is unknown, private, or cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    with TemporaryDirectory() as download:
        try:
            snapshot_download(hub.repo, revision=hub.revision, local_dir=download, allow_patterns=list(directory.ACCEPTED))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{hub.repo}@{hub.revision[:12]}: cannot be fetched from the Hub: {reason};"
                " check the name, the access token and the network, or use a local directory (`path`)"
            ) from error
        directory.copy(Path(download), into)

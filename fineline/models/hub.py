"""Download one commit of a repository on the Hugging Face Hub, and distinguish wrong requests from network failures."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from fineline.errors import FinelineError, InputError, Unreachable

_TRY_LATER = (408, 425, 429)  # statuses below 500 that are not the fault of the request


def download(
    repo: str, revision: str, into: Path, *, patterns: Iterable[str], kind: Literal["model", "dataset"], instead: str
) -> None:
    """Download the files that match one of the patterns into a directory.

    Args:
        instead: Alternative to the Hub, for the message.

    Raises:
        InputError: The repository or the revision is unknown, or not accessible.
        Unreachable: The Hub does not answer, or the connection breaks.
    """
    from huggingface_hub import snapshot_download

    again = " and run the stage again, which resumes" if kind == "model" else ""
    with _explained(repo, revision, instead, again):
        snapshot_download(repo, repo_type=kind, revision=revision, local_dir=into, allow_patterns=list(patterns))


def listing(repo: str, revision: str, *, instead: str) -> list[str]:
    """Return the paths of all files of a model repository at a commit.

    Raises:
        InputError, Unreachable: See `download`.
    """
    from huggingface_hub import HfApi

    with _explained(repo, revision, instead):
        return HfApi().list_repo_files(repo, revision=revision)


@contextmanager
def _explained(repo: str, revision: str, instead: str, again: str = "") -> Iterator[None]:
    """Within the context, an error of the Hub or the network becomes one of fineline's."""
    from huggingface_hub.errors import GatedRepoError

    try:
        yield
    except Exception as error:
        if not _is_remote(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        refused = _refused(error)
        check = "check the name and the access token" if refused else f"check the network{again}"
        if isinstance(error, GatedRepoError):
            check = f"accept its license at huggingface.co/{repo} and set HF_TOKEN"
        said = f"{named(repo, revision)}: cannot be fetched from the Hub: {reason}; {check}, or use {instead}"
        failure: FinelineError = InputError(said) if refused else Unreachable(said)
        raise failure from error


def named(repo: str, revision: str) -> str:
    """Return the short name of a commit for messages."""
    return f"{repo}@{revision[:12]}"


def _is_remote(error: Exception) -> bool:
    """True if an error comes from the Hub, the network or the disk. The HTTP client has separate exceptions."""
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError | OSError) or type(error).__module__.startswith("httpx")


def _refused(error: Exception) -> bool:
    """True if the Hub answered, and would answer the same again."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status is not None and 400 <= status < 500 and status not in _TRY_LATER

"""Fingerprints of a source's present content, found without reading a row: enough to detect new data."""

import hashlib
import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.errors import InputError, Unreachable
from fineline.project.params.sources import Part, Source
from fineline.sources import listing

CORPUS = "home-assistant-intents"
"""The package of a `home_assistant` part."""


@dataclass(frozen=True)
class Release:
    """A wheel of a package index."""

    version: str
    sha256: str


def fingerprint(source: Source, root: Path, *, remote: bool) -> dict[str, str]:
    """Return part -> a version that changes with its data: names, sizes and times of files, a commit of the Hub, a release.

    Args:
        root: The project's directory.
        remote: Include the Hub, package indexes and object stores. Parts that are there are left out otherwise.

    Raises:
        InputError: A source is wrong.
        Unreachable: A remote place does not answer.
    """
    found = {name: _of(part, root / source.path, remote) for name, part in sorted(source.all_parts().items())}
    return {name: version for name, version in found.items() if version is not None}


def commit(repo: str) -> str:
    """Return the newest commit of a dataset repository's main branch.

    Raises:
        InputError: There is no such repository, or access is denied.
        Unreachable: The Hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        found = HfApi().dataset_info(repo).sha
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise InputError(f"{repo}: no such dataset on the Hub, or access denied to this token") from error
    except Exception as error:  # the HTTP library has its own exceptions
        raise Unreachable(f"{repo}: the Hub does not answer ({type(error).__name__}); check the network") from error
    if found is None:
        raise Unreachable(f"{repo}: the Hub returned no commit")
    return found


def release(package: str) -> Release:
    """Return the newest release for this Python.

    Raises:
        Unreachable: No package index has one.
    """
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--ignore-installed", "--only-binary=:all:", "--report", "-", package]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        reason = " ".join(line for line in answer.stderr.splitlines() if line.startswith("ERROR"))
        raise Unreachable(f"{package}: no package index has it: {reason}")
    (found,) = json.loads(answer.stdout)["install"]
    hashes: dict[str, Any] = found["download_info"].get("archive_info", {}).get("hashes", {})
    if "sha256" not in hashes:
        raise Unreachable(f"{package}: the package index gives no sha256 for it")
    return Release(found["metadata"]["version"], hashes["sha256"])


def installed(package: str) -> str:
    """Return the version in this environment."""
    return importlib.metadata.version(package)


def _of(part: Part, path: Path, remote: bool) -> str | None:
    if part.files is not None and not listing.is_url(part.files):
        return _digest([[file.name, file.state] for file in listing.find_local(part.files, path)])
    if not remote:
        return None
    if part.files is not None:
        return _digest([[file.name, file.state] for file in listing.find_remote(part.files)])
    if part.hub is not None:
        return commit(part.hub.repo)
    return release(CORPUS).version


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()

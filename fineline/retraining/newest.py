"""What a source holds at this moment, without reading a row: enough to notice that something came."""

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
from fineline.sources import local, urls

CORPUS = "home-assistant-intents"
"""The package of a `home_assistant` part."""


@dataclass(frozen=True)
class Release:
    """A wheel that a package index offers."""

    version: str
    sha256: str


def fingerprint(source: Source, root: Path, *, look_far: bool) -> dict[str, str]:
    """Part -> what changes when its data change: names, sizes and times of files, a commit of the Hub, a release.

    Args:
        root: Of the project.
        look_far: Ask the Hub, package indexes and object stores too. Parts that live there are left out otherwise.

    Raises:
        InputError: A source is wrong.
        Unreachable: A place far away does not answer.
    """
    found = {name: _of(part, root / source.path, look_far) for name, part in sorted(source.all_parts().items())}
    return {name: version for name, version in found.items() if version is not None}


def commit(repo: str) -> str:
    """The newest commit of a dataset repository's main branch.

    Raises:
        InputError: There is no such repository, or it is not open to us.
        Unreachable: The Hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        found = HfApi().dataset_info(repo).sha
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise InputError(f"{repo}: no such dataset on the Hub, or not open to this access token") from error
    except Exception as error:  # what carries the requests has exceptions of its own
        raise Unreachable(f"{repo}: the Hub does not answer ({type(error).__name__}); check the network") from error
    if found is None:
        raise Unreachable(f"{repo}: the Hub tells no commit")
    return found


def release(package: str) -> Release:
    """The newest release that fits this Python.

    Raises:
        Unreachable: No package index offers one.
    """
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--ignore-installed", "--only-binary=:all:", "--report", "-", package]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        said = " ".join(line for line in answer.stderr.splitlines() if line.startswith("ERROR"))
        raise Unreachable(f"{package}: no package index offers it: {said}")
    (found,) = json.loads(answer.stdout)["install"]
    hashes: dict[str, Any] = found["download_info"].get("archive_info", {}).get("hashes", {})
    if "sha256" not in hashes:
        raise Unreachable(f"{package}: the package index tells no sha256 of it")
    return Release(found["metadata"]["version"], hashes["sha256"])


def installed(package: str) -> str:
    """The version in this environment."""
    return importlib.metadata.version(package)


def _of(part: Part, path: Path, look_far: bool) -> str | None:
    if part.files is not None and not urls.is_url(part.files):
        return _digest([[file.name, file.state] for file in local.find(part.files, path)])
    if not look_far:
        return None
    if part.files is not None:
        return _digest([[file.name, file.state] for file in urls.find(part.files)])
    if part.hub is not None:
        return commit(part.hub.repo)
    return release(CORPUS).version


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()

"""The triggers of a retraining: the `retrain:` block of an adapter, and fingerprints of the present content of its source."""

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from fineline.artifacts import validation
from fineline.errors import InputError, Unreachable
from fineline.project.params.block import Block
from fineline.project.params.project import Adapter
from fineline.project.params.sources import Part, Source
from fineline.sources import listing

_FIELD = r"[\d*/,\-A-Za-z?#]+"
_CRON = re.compile(rf"@(hourly|daily|midnight|weekly|monthly|yearly|annually)|{_FIELD}( +{_FIELD}){{4}}")


def _cron(schedule: str) -> str:
    if not _CRON.fullmatch(schedule.strip()):
        raise ValueError("expected five fields (minute, hour, day, month, day of the week), or a word like @daily")
    return schedule


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("unknown time zone; expected a name like Europe/Berlin") from error
    return name


class Drift(Block):
    """Retrain when the champion answers the examples in data/inbox/<adapter>/ worse than its holdout."""

    examples: Annotated[int, Field(ge=20)] = 50
    """Number of examples that a decision needs."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Confidence of the one-sided test. At 0.99, one check in a hundred is a false alarm."""


class Triggers(Block):
    """The triggers of a retraining. Each starts one by itself; without any, users start it."""

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    """Schedule in five fields: minute, hour, day of month, month, day of week; or a word such as `@daily`."""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """Time zone of the schedule, such as `Europe/Berlin`."""
    data: bool = False
    """Retrain when the source has new or changed files, its Hub dataset a newer commit, or its package a newer release."""
    drift: Drift | None = None
    """Retrain when production drifts. `{}` uses the defaults."""

    @property
    def words(self) -> list[str]:
        """Return the triggers as text."""
        found = [f"cron {self.cron} ({self.timezone})"] if self.cron else []
        found += ["new data"] if self.data else []
        found += ["drift"] if self.drift else []
        return found or ["manual"]


def triggers_of(name: str, adapter: Adapter) -> Triggers:
    """Return the triggers of an adapter.

    Raises:
        InputError: The block has an unknown key or an unacceptable value; the message lists every problem with its key.
    """
    block = {} if adapter.retrain is None else adapter.retrain
    return validation.check(Triggers, block, "params.yaml", under=f"adapters.{name}.retrain")


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
    found = {name: _version_of(part, root / source.path, remote) for name, part in sorted(source.all_parts().items())}
    return {name: version for name, version in found.items() if version is not None}


def newest_commit(repo: str) -> str:
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


def newest_release(package: str) -> Release:
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


def installed_version(package: str) -> str:
    """Return the version in this environment."""
    return importlib.metadata.version(package)


def _version_of(part: Part, path: Path, remote: bool) -> str | None:
    if part.files is not None and not listing.is_url(part.files):
        return _digest([[file.name, file.state] for file in listing.find_local(part.files, path)])
    if not remote:
        return None
    if part.files is not None:
        return _digest([[file.name, file.state] for file in listing.find_remote(part.files)])
    if part.hub is not None:
        return newest_commit(part.hub.repo)
    return newest_release(CORPUS).version


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()

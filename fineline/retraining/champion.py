"""The adapter in production, with which its challenger is compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.project import editing, layout, params

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


def of(adapter: str, root: Path, channel: str = CHANNEL) -> Champion | None:
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

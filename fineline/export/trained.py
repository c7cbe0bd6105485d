"""A trained adapter with what it was trained on: the source of the formats that contain it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainedAdapter:
    """A trained adapter, its base, and how the adapter was trained."""

    base: Path
    """Directory of the base that the adapter was trained on."""
    adapter: Path
    """Directory of the adapter, in PEFT's layout."""
    trained_with: Mapping[str, Any]
    """Parameters that the artifact of the adapter records."""
    base_name: str
    """Name of the base in this project."""
    base_origin: Mapping[str, Any]
    """Parameters that the artifact of the base records."""

    @property
    def repository(self) -> tuple[str, str] | None:
        """Return the repository and commit that contain the weights of the base; None if they were changed or are elsewhere."""
        origin, changes = self.base_origin, self.base_origin.get("changes") or {}
        if "hub" not in origin or "onto" in origin or set(changes) - {"files"}:
            return None
        return origin["hub"]["repo"], origin["hub"]["revision"]

    @property
    def named(self) -> tuple[str, str | None]:
        """Return the base by the name that servers compare, and its commit."""
        return self.repository or (self.base_name, None)

"""What single families require beyond the sizes: sections of rotary embeddings, periods of layers, vision towers."""

from typing import Any

DEFAULTS: dict[str, dict[str, Any]] = {}
"""Model type -> values without which its default configuration does not exist."""
VALUES: dict[str, dict[str, Any]] = {}
"""Model type -> values of the tiny model; a key with dots is one of a part."""


def adjust(model_type: str, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration with those that the family requires."""
    wanted = DEFAULTS if kind == "default" else VALUES
    for path, value in wanted.get(model_type, {}).items():
        *parts, name = path.split(".")
        place = values
        for part in parts:
            place = place.setdefault(part, {})
        place[name] = value
    return values

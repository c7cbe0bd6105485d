"""What all blocks of params.yaml share."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # holds in a DVC stage, a Dagster key ("-" becomes "_") and a directory

Share = Annotated[float, Field(ge=0, le=1)]


class Block(BaseModel):
    """A block of params.yaml: unknown keys are refused, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def proposed_name(text: str) -> str:
    """Return a usable name that is like a text; it is still unusable if the text begins with no letter."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split())


def one_of(block: Block, *keys: str) -> None:
    """Raise `ValueError` unless exactly one of the keys is given."""
    given = [key for key in keys if getattr(block, key) is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of {', '.join(keys)} is needed, found {', '.join(given) or 'none'}")


def _checked_names(blocks: Any) -> Any:
    for name in blocks if isinstance(blocks, dict) else ():
        if not NAME.fullmatch(str(name)):
            raise ValueError(f"{name!r} is no usable name: lower-case letters, digits and single inner hyphens, a letter first")
    return blocks


Named = BeforeValidator(_checked_names)
"""A mapping whose keys are usable names."""

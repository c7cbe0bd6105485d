"""The base class and the types that all blocks of params.yaml share."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # valid in a DVC stage, a Dagster key ("-" becomes "_") and a directory

Share = Annotated[float, Field(ge=0, le=1)]
"""A share from 0 to 1."""


class Block(BaseModel):
    """A block of params.yaml. Unknown keys are refused, and values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def proposed_name(text: str) -> str:
    """Return a usable name that is like a text; it is still unusable if the text begins with no letter."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split())


def one_of(block: Block, *keys: str) -> None:
    """Raise `ValueError` unless exactly one of the keys is given."""
    given = [key for key in keys if getattr(block, key) is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of {', '.join(keys)} is required, found {', '.join(given) or 'none'}")


def _checked_names(blocks: Any) -> Any:
    for name in blocks if isinstance(blocks, dict) else ():
        if not NAME.fullmatch(str(name)):
            raise ValueError(
                f"{name!r} is not a valid name; use lowercase letters, digits and single inner hyphens, starting with a letter"
            )
    return blocks


Named = BeforeValidator(_checked_names)
"""A mapping whose keys are valid names."""

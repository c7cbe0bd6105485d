"""What the machine that trains costs."""

from typing import Annotated

from pydantic import Field

from fineline.project.params.block import Block


class Costs(Block):
    """Price and power of the machine. No stage depends on them: costs are computed when they are shown or reported."""

    per_hour: Annotated[float, Field(gt=0)]
    watts: Annotated[float, Field(gt=0)] | None = None
    """Power of the machine while it trains, where fineline's table of devices does not have it."""
    currency: Annotated[str, Field(min_length=1)] = "USD"

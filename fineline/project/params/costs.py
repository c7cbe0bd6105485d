"""The cost of the machine that trains: the block `costs:`."""

from typing import Annotated

from pydantic import Field

from fineline.project.params.block import Block


class Costs(Block):
    """Price and power of the machine that trains. No stage depends on them: costs are computed when they are shown."""

    per_hour: Annotated[float, Field(gt=0)]
    """Price of the machine per hour, in `currency`."""
    watts: Annotated[float, Field(gt=0)] | None = None
    """Power in watts during training. Set it for machines that are not in fineline's table of devices."""
    currency: Annotated[str, Field(min_length=1)] = "USD"
    """Currency of the price, shown with every cost."""

"""How an adapter is trained: what a `train:` block may say."""

from typing import Annotated, Literal

from pydantic import Field

from pipelines.params.block import Block, Share


class Train(Block):
    """How the adapter is trained."""

    method: Literal["qlora", "lora"] = "qlora"
    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[int, Field(ge=1)] = 32
    dropout: Share = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    warmup: Share = 0.05
    """Share of the steps over which the learning rate rises; it then falls along a cosine."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows per device and micro-step."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    """Micro-steps per optimizer step."""
    seed: int = 0

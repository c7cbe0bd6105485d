"""How an adapter is trained: what a `train:` block may say."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.adapters.methods.bottleneck import Bottleneck
from fineline.errors import did_you_mean
from fineline.models.precision import Quantization
from fineline.project.params.block import Block, Share

AUTO: Final = "auto"
Auto = bool | Literal["auto"]


def _known_method(name: str) -> str:
    if name != AUTO and name not in METHODS:
        raise ValueError(f"unknown method{did_you_mean(name, [AUTO, *METHODS])}")
    return name


class Train(Block):
    """How the adapter is trained."""

    method: Annotated[str, AfterValidator(_known_method)] = AUTO
    """`auto`: what `plan` recommends for the machine it runs on."""
    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[int, Field(ge=1)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Literal["all-linear", "attention"] | Annotated[list[str], Field(min_length=1)] = "all-linear"
    """Layers that are adapted: all but the head, those of attention, or these (ends of module names)."""
    initialization: Literal["default", "pissa", "eva", "loftq"] = "default"
    """First values of LoRA matrices. None of them changes the base."""
    quantization: Quantization = Quantization()
    dequantize: Auto = "auto"
    """Unpack four-bit weights once and keep them so while training: equal numbers, more memory, less time."""
    virtual_tokens: Annotated[int, Field(ge=1)] = 16
    bottleneck: Bottleneck = Bottleneck()

    learn: Literal["completion", "turns"] = "completion"
    """Which tokens carry a loss: those of the last answer, or of every answer of the assistant."""
    packing: Annotated[int, Field(ge=1)] | None = None
    """Put rows together into packs of at most so many tokens; `batch_size` then counts packs. Rows never see each other."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows (or packs) per micro-step."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    """Micro-steps per optimizer step."""
    recompute: Auto = "auto"
    """Keep a block's input only and compute the rest again for the backward pass: less memory, half as much work again."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """What matrices are multiplied in, and the base is kept in. `auto`: bf16, but fp32 on a processor that has no instructions
    for bf16. The adapter is judged and merged in the same."""

    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-4
    warmup: Share = 0.05
    """Share of the steps over which the learning rate rises; it then falls along a cosine."""
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    validations: Annotated[int, Field(ge=1)] = 4
    """Passes over the validation split in one run."""
    keep: Literal["best", "last"] = "last"
    """Which weights are saved: those with the lowest validation loss, or those at the end."""
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many validations in a row without a lower loss."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _keys_are_read(self) -> Self:
        """A key that the method does not read is refused: it would be dropped in silence."""
        if self.initialization == "loftq" and self.method != "qlora":
            raise ValueError("initialization loftq makes good for the error of a base in four bits; it needs method qlora")
        if self.method == AUTO:
            return self
        idle = sorted((self.model_fields_set & SELECTABLE) - METHODS[self.method].uses)
        if idle:
            read = ", ".join(sorted(METHODS[self.method].uses)) or "none of the keys that differ by method"
            raise ValueError(f"method {self.method} does not read {', '.join(idle)}; it reads {read}")
        return self

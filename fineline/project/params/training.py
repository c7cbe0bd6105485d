"""How an adapter is trained: the block `train:` of an adapter."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.adapters.methods.bottleneck import Bottleneck
from fineline.errors import did_you_mean
from fineline.models.config import Quantization
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
    """Fine-tuning method; docs/training.md compares them. `auto` takes what `plan` recommends for the machine that it runs
    on."""
    rank: Annotated[int, Field(ge=1)] = 16
    """Rank of the LoRA matrices, or of VeRA's projections."""
    alpha: Annotated[int, Field(ge=1)] = 32
    """Numerator of the LoRA scaling alpha / rank. The default, twice the rank, is a common choice."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the inputs of an adapter that is dropped in training."""
    targets: Literal["all-linear", "attention", "experts", "all"] | Annotated[list[str], Field(min_length=1)] = "all-linear"
    """Weights that are adapted: all linear layers except the head, those of attention, or a list of endings of names. In most
    mixtures of experts, the weights of experts are parameters and not linear layers: `experts` selects them alone, `all` with
    the linear layers. Routers are adapted only if a list names them."""
    initialization: Literal["default", "pissa", "eva", "loftq"] = "default"
    """Initialization of LoRA matrices. None of them changes the base. `loftq` requires the method qlora."""
    quantization: Quantization = Quantization()
    """Four-bit storage of the base, for qlora and qdora."""
    dequantize: Auto = "auto"
    """Dequantize four-bit weights once, before training: the same numbers, with more memory and less time. `auto` does so if
    the memory is sufficient."""
    virtual_tokens: Annotated[int, Field(ge=1)] = 16
    """Number of virtual tokens of prefix, prompt and p-tuning."""
    bottleneck: Bottleneck = Bottleneck()
    """Size and placement of bottleneck adapters."""

    learn: Literal["completion", "turns"] = "completion"
    """Tokens that are learned: those of the last answer, or those of every answer of the assistant."""
    packing: Annotated[int, Field(ge=1)] | None = None
    """Combine rows into packs of at most this many tokens; `batch_size` then counts packs. Rows never attend to each other."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows, or packs, per micro-step."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    """Micro-steps per optimizer step."""
    recompute: Auto = "auto"
    """Keep only the input of each block and recompute the rest for the backward pass: less memory, 50% more work. `auto` does
    so if the memory is not sufficient otherwise."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Precision of matrix products and of the base. `auto` is bf16, but fp32 on a CPU without bf16 instructions. The adapter is
    evaluated and merged in the same precision."""

    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"] = "adamw"
    """AdamW with states in fp32 or in 8 bits. The paged ones can move states to the memory of the machine."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-4
    """Highest learning rate."""
    warmup: Share = 0.05
    """Share of the steps in which the learning rate rises; afterwards it falls along a cosine."""
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Passes over the train split; may be fractional."""
    validations: Annotated[int, Field(ge=1)] = 4
    """Number of passes over the validation split in a run."""
    keep: Literal["best", "last"] = "last"
    """The weights that are saved: those with the lowest validation loss, or those of the last step."""
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many consecutive validations without a lower loss. By default, training runs to the end."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of initialization, row order and dropout."""

    @model_validator(mode="after")
    def _keys_are_read(self) -> Self:
        """Refuse keys that the method does not read: they would be ignored silently."""
        if self.initialization == "loftq" and self.method != "qlora":
            raise ValueError(
                "initialization loftq compensates the quantization error of a base in four bits; it requires method qlora"
            )
        if self.method == AUTO:
            return self
        idle = sorted((self.model_fields_set & SELECTABLE) - METHODS[self.method].uses)
        if idle:
            read = ", ".join(sorted(METHODS[self.method].uses)) or "no keys that depend on the method"
            raise ValueError(f"method {self.method} does not read {', '.join(idle)}; it reads {read}")
        return self

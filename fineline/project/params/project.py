"""The content of params.yaml: bases, adapters and costs."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fineline.errors import InputError, did_you_mean
from fineline.project.params.block import Block, Named
from fineline.project.params.curation import Curate
from fineline.project.params.evaluation import Evaluate
from fineline.project.params.exporting import Export
from fineline.project.params.sources import Base, Source
from fineline.project.params.training import Train


class Costs(Block):
    """Price and power of the machine that trains. No stage depends on them: costs are computed when they are shown."""

    per_hour: Annotated[float, Field(gt=0)]
    """Price of the machine per hour, in `currency`."""
    watts: Annotated[float, Field(gt=0)] | None = None
    """Power in watts during training. Set it for machines that are not in fineline's table of devices."""
    currency: Annotated[str, Field(min_length=1)] = "USD"
    """Currency of the price, shown with every cost."""


RESERVED = {"bases": "reports/bases contains the reports of base models"}
"""Names that no adapter can have, and why."""


class Adapter(Block):
    """One adapter, from its data to its release candidate. Every block is required because DVC tracks it; `{}` means
    defaults."""

    owner: str
    """Person or team that is responsible for the adapter, such as an e-mail address."""
    license: str
    """License of the adapter, and of rows that have no other, as an SPDX id."""
    base: str
    """Name of the base model under `bases:`."""
    source: Source
    """Origin of the raw rows."""
    curate: Curate
    """How raw rows become a training set."""
    train: Train
    """How the adapter is trained."""
    evaluate: Evaluate
    """How the adapter is evaluated."""
    export: Export
    """The exported model."""
    retrain: Any = None
    """When the adapter is trained again. No stage reads it, so an error in it stops no stage; `fineline.retraining` checks
    it."""

    @model_validator(mode="before")
    @classmethod
    def _chat_is_tracked(cls, block: Any) -> Any:
        if isinstance(block, dict) and "chat" in block:
            raise ValueError("`chat` belongs to `curate`, which DVC tracks; move it there (`curate: {chat: ...}`)")
        return block


class Params(Block):
    """The content of params.yaml."""

    bases: Annotated[dict[str, Base], Named]
    """Name -> base model."""
    adapters: Annotated[dict[str, Adapter], Named]
    """Name -> adapter."""
    costs: Costs | None = None
    """Price of the machine that trains, to show the cost of a run."""

    @model_validator(mode="after")
    def _bases_exist(self) -> Self:
        for name, adapter in self.adapters.items():
            if name in RESERVED:
                raise ValueError(f"adapters.{name}: this name is taken, because {RESERVED[name]}; rename the adapter")
            if adapter.base not in self.bases:
                hint = did_you_mean(adapter.base, list(self.bases))
                raise ValueError(f"adapters.{name}.base: there is no base {adapter.base!r}{hint}")
        return self

    def base(self, name: str) -> Base:
        """Return the block of a base. Raises `InputError` with the nearest name if there is none."""
        return _named(self.bases, name, "base")

    def adapter(self, name: str) -> Adapter:
        """Return the block of an adapter. Raises `InputError` with the nearest name if there is none."""
        return _named(self.adapters, name, "adapter")


def _named(blocks: dict[str, Any], name: str, kind: str) -> Any:
    if name not in blocks:
        raise InputError(f"params.yaml: there is no {kind} {name!r}{did_you_mean(name, list(blocks))}")
    return blocks[name]

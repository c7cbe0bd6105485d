"""The whole of params.yaml: bases and adapters."""

from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from fineline.errors import InputError, did_you_mean
from fineline.project.params.bases import Base
from fineline.project.params.block import Block, Named
from fineline.project.params.costs import Costs
from fineline.project.params.curation import Curate
from fineline.project.params.evaluation import Evaluate
from fineline.project.params.sources import Source
from fineline.project.params.training import Train


class Export(Block):
    """What is built for deployment, beside the fp32 model that the conversion is checked with."""

    precision: Literal["int4", "int8"] = "int4"


class Adapter(Block):
    """One adapter, from its data to its release candidate. Each block must be there (DVC watches it); `{}` is all defaults."""

    owner: str
    license: str
    base: str
    source: Source
    curate: Curate
    train: Train
    evaluate: Evaluate
    export: Export
    retrain: Any = None
    """When it is trained again. No stage reads it, so a mistake in it stops none; `fineline.retraining` checks it."""


class Params(Block):
    """The whole file."""

    bases: Annotated[dict[str, Base], Named]
    adapters: Annotated[dict[str, Adapter], Named]
    costs: Costs | None = None
    """Price of the machine that trains, to show what a run costs."""

    @model_validator(mode="after")
    def _bases_exist(self) -> Self:
        for name, adapter in self.adapters.items():
            if adapter.base not in self.bases:
                hint = did_you_mean(adapter.base, list(self.bases))
                raise ValueError(f"adapters.{name}.base: there is no base {adapter.base!r}{hint}")
        return self

    def base(self, name: str) -> Base:
        """The block of one base. Raises `InputError` with the nearest name if there is none."""
        return _named(self.bases, name, "base")

    def adapter(self, name: str) -> Adapter:
        """The block of one adapter. Raises `InputError` with the nearest name if there is none."""
        return _named(self.adapters, name, "adapter")


def _named(blocks: dict[str, Any], name: str, kind: str) -> Any:
    if name not in blocks:
        raise InputError(f"params.yaml: there is no {kind} {name!r}{did_you_mean(name, list(blocks))}")
    return blocks[name]

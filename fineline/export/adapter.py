"""Adapter: the trained adapter as a canonical LoRA adapter, for servers that hold many adapters of one base."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fineline import artifacts
from fineline.adapters.methods import METHODS
from fineline.export.format import Format, Refusal, Sources
from fineline.export.safetensors import plain_tokens_per_second
from fineline.inference.runtime import Runtime
from fineline.models import config
from fineline.project.params.exporting import Export

if TYPE_CHECKING:
    from fineline.inference.scorer import Engine


class Adapter(Format):
    """A LoRA adapter that every server takes, on the base as servers load it.

    The conversion is checked by `build`, with the base in the form that was trained on. On the base as it was published, an
    adapter that was trained in four bits computes something else than the merged model, so `exact` is empty: by how much is
    measured, and judged in `assess`.
    """

    name = "adapter"
    forms = ("adapter",)
    released = "adapter"
    exact: ClassVar = {}
    made_from = ("merged", "adapter", "base")

    def precisions(self, model: Path, settings: Export) -> dict[str, str]:
        """See `Format.precisions`: the matrices are small, and fp32 rounds nothing."""
        return {"adapter": "fp32"}

    def refusal(self, model: Path, settings: Export, method: str | None) -> Refusal | None:
        """See `Format.refusal`: some methods add what no matrices can."""
        from fineline.export import canonical

        found = canonical.refusal(METHODS[method]) if method else None
        return Refusal(*found) if found else None

    def build(self, sources: Sources, form: str, into: Path, scratch: Path) -> dict[str, Any]:
        """See `Format.build`."""
        from fineline.export import low_rank

        made = low_rank.build(sources.trained, into, sources.tokens)
        return {
            "parity": {"passed": True, **asdict(made.agreement)},
            "rank": made.rank,
            "exact": made.exact,
            "base": dict(zip(("name", "revision"), sources.trained.named, strict=True)),
        }

    def probe(self, directory: Path, base: Path, rows: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
        """See `Format.probe`."""
        from fineline.inference import probe

        return probe.torch_logits(probe.loaded(base, probe.Loading(adapter=directory)), rows)

    def runtime(self, directory: Path, base: Path) -> Runtime:
        """See `Format.runtime`: transformers with PEFT, in the precision of the base."""
        identity = {"precision": config.stored_precision(base), "base": artifacts.read(base).digest}
        return Runtime(identity, _opener(directory, base))

    def chat_files(self, directory: Path, merged: Path) -> Path:
        """See `Format.chat_files`: usually, tokenizer and chat template are those of the base."""
        return directory if (directory / "tokenizer_config.json").is_file() else merged

    def deployable_size(self, directory: Path) -> int:
        """See `Format.deployable_size`: what is added to the base."""
        return sum(file.stat().st_size for file in directory.glob("*.safetensors"))

    def tokens_per_second(self, directory: Path, base: Path, prompt: list[int]) -> float:
        """See `Format.tokens_per_second`."""
        with _opener(directory, base)() as engine:
            return plain_tokens_per_second(engine.plain, prompt)


def _opener(directory: Path, base: Path) -> "Callable[[], AbstractContextManager[Engine]]":
    """Return the function that opens an adapter on its base."""

    @contextmanager
    def engine() -> "Iterator[Engine]":
        from fineline import adapters
        from fineline.inference.torch_engine import TorchEngine
        from fineline.models import loading

        precision = config.stored_precision(base)
        yield TorchEngine(adapters.load(loading.base_model(base, precision=precision), directory), precision)

    return engine

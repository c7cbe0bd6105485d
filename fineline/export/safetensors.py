"""Safetensors: the merged model as it is, for every runtime that reads transformers' checkpoints."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fineline.artifacts import RECORD
from fineline.errors import FinelineError
from fineline.export import decoding, tokenizer
from fineline.export.format import EQUAL, NEW_TOKENS, PROMPT_TOKENS, Format, Sources
from fineline.inference.runtime import Runtime
from fineline.models import config
from fineline.project.params.exporting import Export

if TYPE_CHECKING:
    from fineline.inference.scorer import Engine


class Safetensors(Format):
    """The files of the merged model; only its decoding settings and the settings of its tokenizer may differ."""

    name = "safetensors"
    forms = ("safetensors",)
    released = "safetensors"
    exact: ClassVar = {"safetensors": EQUAL}

    def precisions(self, model: Path, settings: Export) -> dict[str, str]:
        """See `Format.precisions`."""
        return {"safetensors": config.stored_precision(model)}

    def build(self, sources: Sources, form: str, into: Path, scratch: Path) -> None:
        """See `Format.build`."""
        build(sources.merged, into)
        check_copied(sources.merged, into)

    def probe(self, directory: Path, base: Path, rows: Sequence[Sequence[int]]) -> None:
        """See `Format.probe`: a copy."""
        return

    def runtime(self, directory: Path, base: Path) -> Runtime:
        """See `Format.runtime`."""
        return torch_runtime(directory)

    def deployable_size(self, directory: Path) -> int:
        """See `Format.deployable_size`."""
        return sum(file.stat().st_size for file in directory.glob("*.safetensors"))

    def tokens_per_second(self, directory: Path, base: Path, prompt: list[int]) -> float:
        """See `Format.tokens_per_second`."""
        with torch_runtime(directory).engine() as engine:
            return plain_tokens_per_second(engine.plain, prompt)


def build(model: Path, into: Path) -> None:
    """Copy the merged model `model` into `into`: weights in their shards, tokenizer, chat template, configuration.

    Its generation_config.json asks for greedy decoding, see `decoding`; for its tokenizer_config.json, see `tokenizer`.
    """
    others = shutil.ignore_patterns(RECORD, decoding.FILE, tokenizer.FILE)
    shutil.copytree(model, into, ignore=others, copy_function=shutil.copyfile, dirs_exist_ok=True)
    decoding.write(model, into)
    tokenizer.write_config(model, into)


def check_copied(model: Path, into: Path) -> None:
    """Raise `FinelineError` if a file of the merged model, other than those that `build` writes, is not in `into` as it is."""
    for file in sorted(model.rglob("*")):
        copy = into / file.relative_to(model)
        if file.is_file() and file.name not in (RECORD, decoding.FILE, tokenizer.FILE) and not _same(file, copy):
            raise FinelineError(f"{copy}: differs from {file}; check the disk, and run the export again")


def torch_runtime(directory: Path) -> Runtime:
    """Return the runtime of a model in transformers, in the precision of its weights."""
    precision = config.stored_precision(directory)

    @contextmanager
    def engine() -> "Iterator[Engine]":
        from fineline.inference.torch_engine import TorchEngine
        from fineline.models import loading

        yield TorchEngine(loading.base_model(directory, precision=precision), precision)

    return Runtime({"precision": precision}, engine)


def plain_tokens_per_second(plain: Any, prompt: list[int]) -> float:
    """Return the speed of a `PlainModel`."""
    start = tuple((prompt * PROMPT_TOKENS)[:PROMPT_TOKENS])
    times: list[float] = []

    def timed(row: int, token: int) -> bool:
        times.append(time.perf_counter())
        return False

    for _ in range(2):
        times.clear()
        plain.generate([start], NEW_TOKENS, timed)
    return (NEW_TOKENS - 1) / (times[-1] - times[0])


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(1 << 20):
            if chunk != right.read(1 << 20):
                return False
    return True

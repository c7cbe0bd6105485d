"""The formats `gguf` and `gguf-adapter`: the merged model, and the adapter next to its base, for llama.cpp and Ollama."""

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fineline.errors import FinelineError
from fineline.export.format import NEW_TOKENS, PROMPT_TOKENS, Format, Needed, ProbeRow, Refusal, Sources, Tolerance
from fineline.export.gguf import tried
from fineline.inference.runtime import Runtime
from fineline.project.params.exporting import Export

if TYPE_CHECKING:
    from fineline.inference.llama_engine import LlamaEngine
    from fineline.inference.scorer import Engine

INSTEAD = "name `onnx` or `safetensors` in export.formats"
_EXTRA = "fineline[gguf]"
ROUNDED = Tolerance(mean_kl=1e-3)
"""Of a model in llama.cpp whose weights, keys and values are rounded to fp16."""


class Gguf(Format):
    """The merged model in 16 bits, which checks the conversion too, in 8 bits and in 4 bits, which ships."""

    name = "gguf"
    forms: ClassVar[tuple[str, ...]] = ("gguf-f16", "gguf-q8_0", "gguf-q4")
    released = "gguf-q4"
    exact: ClassVar = {"gguf-f16": ROUNDED}
    needs = (Needed("gguf", "gguf", _EXTRA), Needed("xllamacpp", "xllamacpp", _EXTRA))

    def precisions(self, model: Path, settings: Export) -> dict[str, str]:
        """See `Format.precisions`."""
        return {"gguf-f16": "fp16", "gguf-q8_0": "int8", "gguf-q4": "int4"}

    def refusal(self, model: Path, settings: Export, method: str | None) -> Refusal | None:
        """See `Format.refusal`. A trial on a miniature decides, if the packages are installed."""
        if any(one.is_missing for one in self.needs):
            return None  # what is missing is reported
        found = tried.try_gguf(model)
        return Refusal(found.reason, INSTEAD, is_certain=found.is_tried) if found.reason else None

    def build(self, sources: Sources, form: str, into: Path, scratch: Path) -> dict[str, Any] | None:
        """See `Format.build`."""
        from fineline.export.gguf import model

        model.build(sources.merged, self.precisions(sources.merged, sources.settings)[form], into)
        return None

    def probe(self, directory: Path, base: Path, rows: Sequence[Sequence[int]]) -> Iterator[ProbeRow]:
        """See `Format.probe`.

        Raises:
            FinelineError: llama.cpp tokenizes the text of a row otherwise than transformers.
        """
        return _rows(directory, base, rows)

    def runtime(self, directory: Path, base: Path) -> Runtime:
        """See `Format.runtime`."""

        @contextmanager
        def engine() -> "Iterator[Engine]":
            yield _engine(directory)

        return Runtime({"xllamacpp": importlib.metadata.version("xllamacpp")}, engine)

    def chat_files(self, directory: Path, merged: Path) -> Path:
        """See `Format.chat_files`: tokenizer and chat template are inside the file."""
        return merged

    def deployable_size(self, directory: Path) -> int:
        """See `Format.deployable_size`."""
        return sum(file.stat().st_size for file in directory.glob("*.gguf"))

    def tokens_per_second(self, directory: Path, base: Path, prompt: list[int]) -> float:
        """See `Format.tokens_per_second`."""
        from fineline.inference.packs import Pack, Prompts

        engine = _engine(directory)
        start = (prompt * PROMPT_TOKENS)[:PROMPT_TOKENS]
        seconds = 0.0
        for _ in range(2):
            prompts = Prompts(Pack())
            prompts.paths.append(prompts.pack.add(start))
            token, rows = engine.open(None, [prompts], NEW_TOKENS)
            began = time.perf_counter()
            for _ in range(NEW_TOKENS - 1):
                token = engine.write(rows, np.asarray(token))
            seconds = time.perf_counter() - began
        return (NEW_TOKENS - 1) / seconds


class GgufAdapter(Gguf):
    """The adapter, and its base as it was published, in 16 bits.

    `build` compares it with the adapter on that base in transformers. The merged model computes something else if the adapter
    was trained on a base in four bits, so `exact` is empty: by how much is measured, and judged in `assess`.
    """

    name = "gguf-adapter"
    forms = ("gguf-adapter",)
    released = "gguf-adapter"
    exact: ClassVar = {}
    made_from = ("merged", "adapter", "base")

    def precisions(self, model: Path, settings: Export) -> dict[str, str]:
        """See `Format.precisions`."""
        return {"gguf-adapter": "fp16"}

    def refusal(self, model: Path, settings: Export, method: str | None) -> Refusal | None:
        """See `Format.refusal`. Whether the adapter itself has the form of LoRA is found out when it is built."""
        from fineline.adapters.methods import METHODS

        own = METHODS.get(method or "")
        if own is not None and (own.not_servable or own.peft_types != ("LORA",)):
            why = own.not_servable or "it has no matrices A and B"
            return Refusal(f"llama.cpp cannot apply an adapter of {method}: {why}", "name `gguf`, which takes the merged model")
        return super().refusal(model, settings, method)

    def build(self, sources: Sources, form: str, into: Path, scratch: Path) -> dict[str, Any]:
        """See `Format.build`.

        Raises:
            FinelineError: llama.cpp computes something else than transformers.
        """
        from fineline.export.gguf import model
        from fineline.inference import probe
        from fineline.inference.fidelity import fidelity

        model.build_adapter(sources.trained.adapter, sources.trained.base, "fp16", into)
        published = probe.fresh_logits(sources.trained.base, sources.tokens, probe.Loading(adapter=sources.trained.adapter))
        with closing(published) as expected:
            found = fidelity(expected, _rows(into, sources.trained.base, sources.tokens))
        if not ROUNDED.holds(found):
            raise FinelineError(
                f"llama.cpp computes something else from base and adapter than transformers: mean KL {found.mean_kl:.1e}"
                f" (at most {ROUNDED.mean_kl}); {INSTEAD}"
            )
        return {"parity": {"passed": True, **asdict(found)}}


def _engine(directory: Path) -> "LlamaEngine":
    from fineline.export.gguf.model import ADAPTER_FILE
    from fineline.inference.llama_engine import LlamaEngine

    adapter = directory / ADAPTER_FILE
    return LlamaEngine(directory, adapter if adapter.is_file() else None)


def _rows(directory: Path, base: Path, rows: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
    engine = _engine(directory)
    _check_tokens(engine, base, rows)
    return engine.rows(rows)


def _check_tokens(engine: "LlamaEngine", base: Path, rows: Sequence[Sequence[int]]) -> None:
    from fineline.chat.tokenizer import ChatTokenizer
    from fineline.chat.tokens import tokenizer_of

    words = ChatTokenizer.from_transformers(tokenizer_of(base))
    for row in rows:
        text = words.decode(row)
        if (expected := words.ids(text)) != (found := engine.model.tokenize(text)):
            place = next(
                (n for n, (one, other) in enumerate(zip(expected, found, strict=False)) if one != other),
                min(len(expected), len(found)),
            )
            raise FinelineError(
                f"llama.cpp tokenizes texts otherwise than the model was trained: token {place} of"
                f" {words.decode(expected[:place])[-40:]!r}; {INSTEAD}"
            )

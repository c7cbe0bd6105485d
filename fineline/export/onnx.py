"""ONNX with onnxruntime-genai: its model builder converts, and its runtime measures the speed.

The output contains the graph, the tokenizer and `genai_config.json`, together with the model's `config.json` and
`generation_config.json` for other readers. Decoding settings are those that were judged (see `decoding`).
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fineline.errors import FinelineError, InputError
from fineline.export import decoding, onnx_trial
from fineline.export.format import EQUAL, NEW_TOKENS, PROMPT_TOKENS, Format, ProbeRow, Refusal, Sources
from fineline.inference.runtime import Runtime
from fineline.project.params.exporting import Export

if TYPE_CHECKING:
    from fineline.inference.scorer import Engine

BUILDER = "onnxruntime_genai.models.builder"
EXECUTION_PROVIDER = "cpu"
# Four bits in all layers degrade a small model too much. Head, first and last layers and every third layer's value and down
# projections keep eight, as in llama.cpp's Q4_K_M. On the shipped model, compared with fp32: KL 0.12 instead of 0.21, 114 MB
# instead of 87. The builder ignores unknown option names, so tests/test_chain.py checks the result.
OPTIONS = {"int4": ["algo_config=k_quant_mixed"], "int8": [], "fp32": []}


class Onnx(Format):
    """A graph in fp32, which checks the conversion, and a quantized one, which ships."""

    name = "onnx"
    forms = ("fp32", "quantized")
    released = "quantized"
    exact: ClassVar = {"fp32": EQUAL}
    checks = frozenset({"fp32"})

    def precisions(self, model: Path, settings: Export) -> dict[str, str]:
        """See `Format.precisions`."""
        return {"fp32": "fp32", "quantized": settings.precision}

    def refusal(self, model: Path, settings: Export, method: str | None) -> Refusal | None:
        """See `Format.refusal`. A trial on a miniature decides."""
        trial = onnx_trial.try_onnx(model)
        reason = trial.refusal(settings.precision)
        if reason is None:
            return None
        words = f"the ONNX builder cannot convert this model: {reason}" if trial.is_tried else reason
        return Refusal(words, "set `export.formats: auto`, or name `safetensors`", is_certain=trial.is_tried)

    def build(self, sources: Sources, form: str, into: Path, scratch: Path) -> None:
        """See `Format.build`."""
        build(sources.merged, self.precisions(sources.merged, sources.settings)[form], into, scratch)

    def probe(self, directory: Path, base: Path, rows: Sequence[Sequence[int]]) -> Iterator[ProbeRow]:
        """See `Format.probe`."""
        from fineline.inference.onnx_engine import OnnxEngine

        return OnnxEngine(directory).rows(rows)

    def runtime(self, directory: Path, base: Path) -> Runtime:
        """See `Format.runtime`."""
        import onnxruntime  # of the CPU or the CUDA build, which are distributions with different names

        @contextmanager
        def engine() -> "Iterator[Engine]":
            from fineline.inference.onnx_engine import OnnxEngine

            yield OnnxEngine(directory)

        return Runtime({"onnxruntime": onnxruntime.__version__}, engine)

    def deployable_size(self, directory: Path) -> int:
        """See `Format.deployable_size`."""
        return sum(file.stat().st_size for file in directory.iterdir() if ".onnx" in file.name)

    def tokens_per_second(self, directory: Path, base: Path, prompt: list[int]) -> float:
        """See `Format.tokens_per_second`."""
        return _tokens_per_second(directory, prompt)


def build(model: Path, precision: str, into: Path, scratch: Path) -> None:
    """Convert the model directory `model` into `into`.

    Args:
        precision: `fp32`, `int8` or `int4` (weights of linear layers, in blocks of 32).

    Raises:
        InputError: The builder does not support this architecture.
        FinelineError: The conversion failed; the message contains the end of its output.
    """
    view = scratch / "view"
    view.mkdir(parents=True)
    source = decoding.as_judged(model, view)
    command = [sys.executable, "-m", BUILDER, *arguments(source, precision, into, scratch / "cache")]
    # The builder asks git for its commit and, in an environment inside a project, gets the project's, which would make the
    # model depend on that commit. Without git it uses the commit that its package names.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "GIT_DIR": os.devnull}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode or not (into / "genai_config.json").is_file():
        output = (result.stderr or result.stdout)[-2000:]
        if "NotImplementedError" in output:
            raise InputError(
                f"{model}: the ONNX builder does not support this architecture; set `export.formats: auto`:\n{output}"
            )
        raise FinelineError(f"{model}: conversion to ONNX {precision} failed:\n{output}")
    for name in ("config.json", "generation_config.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, into / name)


def arguments(model: Path, precision: str, into: Path, cache: Path) -> list[str]:
    """Return the arguments of the builder, see `build`."""
    found = ["-i", str(model), "-o", str(into), "-p", precision, "-e", EXECUTION_PROVIDER, "-c", str(cache)]
    return [*found, "--extra_options", *OPTIONS[precision]] if OPTIONS[precision] else found


def _tokens_per_second(directory: Path, prompt: list[int]) -> float:
    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(directory))
    start = (prompt * PROMPT_TOKENS)[:PROMPT_TOKENS]
    seconds = 0.0
    for _ in range(2):
        parameters = onnxruntime_genai.GeneratorParams(model)
        length = PROMPT_TOKENS + NEW_TOKENS + 1
        parameters.set_search_options(max_length=length, min_length=length, do_sample=False)
        generator = onnxruntime_genai.Generator(model, parameters)
        generator.append_tokens(start)
        generator.generate_next_token()
        began = time.perf_counter()
        for _ in range(NEW_TOKENS - 1):
            generator.generate_next_token()
        seconds = time.perf_counter() - began
    return (NEW_TOKENS - 1) / seconds

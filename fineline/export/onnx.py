"""ONNX with onnxruntime-genai: its model builder converts, and its runtime measures the speed.

The output contains the graph, the tokenizer and `genai_config.json`, together with the model's `config.json` and
`generation_config.json` for other readers. Decoding settings are those that were judged (see `decoding`).
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fineline.errors import FinelineError, InputError
from fineline.export import decoding

BUILDER = "onnxruntime_genai.models.builder"
EXECUTION_PROVIDER = "cpu"
PROMPT_TOKENS = 32
NEW_TOKENS = 64
# Four bits in all layers degrade a small model too much. Head, first and last layers and every third layer's value and down
# projections keep eight, as in llama.cpp's Q4_K_M. On the shipped model, compared with fp32: KL 0.12 instead of 0.21, 114 MB
# instead of 87. The builder ignores unknown option names, so tests/test_chain.py checks the result.
OPTIONS = {"int4": ["algo_config=k_quant_mixed"], "int8": [], "fp32": []}


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


def deployable_size(directory: Path) -> int:
    """Return the bytes of graph and weights."""
    return sum(file.stat().st_size for file in directory.iterdir() if ".onnx" in file.name)


def tokens_per_second(directory: Path, prompt: list[int]) -> float:
    """Return the greedy decoding speed for one request, `NEW_TOKENS` after `PROMPT_TOKENS`, in the second of two runs."""
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

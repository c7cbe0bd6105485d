"""ONNX with the onnxruntime-genai model builder, in a process of its own.

Its output holds the graph, the tokenizer and `genai_config.json`; the model's own `config.json` and `generation_config.json`
are put beside it for readers that look there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from fineline.errors import FinelineError, InputError

EXECUTION_PROVIDER = "cpu"
# Four bits everywhere cost a small model too much. Head, first and last layers and every third layer's value and down
# projections keep eight, as in llama.cpp's Q4_K_M; measured on the shipped model against fp32: KL 0.12 instead of 0.21, 114 MB
# instead of 87. The builder ignores names it does not know, so tests/test_chain looks for them.
OPTIONS = {"int4": ["algo_config=k_quant_mixed"], "int8": [], "fp32": []}


def build(model: Path, precision: str, into: Path, scratch: Path) -> None:
    """Convert the model directory `model` into `into`.

    Args:
        precision: `fp32`, `int8` or `int4` (weights of linear layers; blocks of 32).

    Raises:
        InputError: The builder does not know this architecture.
        FinelineError: The conversion failed; the end of its output is in the message.
    """
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(model), "-o", str(into)]
    command += ["-p", precision, "-e", EXECUTION_PROVIDER, "-c", str(scratch)]
    if OPTIONS[precision]:
        command += ["--extra_options", *OPTIONS[precision]]
    # The builder asks git for its own commit and, in an environment inside of a project, gets the project's, which would make
    # every commit another model. Without git it takes the one that its package names.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "GIT_DIR": os.devnull}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode or not (into / "genai_config.json").is_file():
        said = (result.stderr or result.stdout)[-2000:]
        if "NotImplementedError" in said:
            raise InputError(f"{model}: the ONNX builder does not know this architecture:\n{said}")
        raise FinelineError(f"{model}: conversion to ONNX {precision} failed:\n{said}")
    for name in ("config.json", "generation_config.json"):
        if (model / name).is_file():
            shutil.copyfile(model / name, into / name)


def deployable_size(directory: Path) -> int:
    """Bytes of graph and weights."""
    return sum(file.stat().st_size for file in directory.iterdir() if ".onnx" in file.name)


def config(directory: Path) -> dict[str, object]:
    """The builder's description of the graph."""
    return json.loads((directory / "genai_config.json").read_text(encoding="utf-8"))

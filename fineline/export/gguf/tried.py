"""The decision if a model can be GGUF: its configuration, its tokenizer, and a trial in llama.cpp, remembered in the cache."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.models import config

_LIMIT = 900  # seconds of a trial
_DECISIVE = ("gguf", "xllamacpp", "transformers")
_NOT_DECISIVE = ("dtype", "torch_dtype", "quantization_config", "_name_or_path", "transformers_version", "use_cache")


@dataclass(frozen=True)
class GgufTrial:
    """The result of the decision."""

    reason: str | None
    """Why it cannot be made; None if it can."""
    is_tried: bool = True
    """False if the trial itself failed."""


def try_gguf(model: Path) -> GgufTrial:
    """Return what is known about the model in a directory. The packages `gguf` and `xllamacpp` are installed.

    Raises:
        InputError: A file of the model is not valid JSON.
    """
    from fineline.export.gguf import trial, vocabulary
    from fineline.export.gguf.architectures import metadata
    from fineline.export.gguf.unsupported import Unsupported

    try:
        values = trial.text_values(model)
        metadata(values)
        vocabulary.read(model, values["vocab_size"])
    except (Unsupported, vocabulary.Untranslatable) as error:
        return GgufTrial(str(error))
    known = _cache() / f"gguf-{_key(model)}.json"
    with suppress(InputError):  # missing or broken
        return GgufTrial(reports.read(known)["reason"])
    found = _tried(model)
    if found.is_tried:
        with suppress(OSError):  # a cache that cannot be written costs another trial
            known.parent.mkdir(parents=True, exist_ok=True)
            reports.write(known, {"reason": found.reason})
    return found


def _tried(model: Path) -> GgufTrial:
    """Return the result of a trial in a new process."""
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "reason.json"
        command = [sys.executable, "-m", "fineline.export.gguf.trial", str(model), str(out)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        try:
            result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            return GgufTrial(f"the trial of llama.cpp took more than {_LIMIT} seconds", is_tried=False)
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            return GgufTrial(f"the trial of llama.cpp ended with exit code {result.returncode}: {last}", is_tried=False)
        return GgufTrial(json.loads(out.read_text(encoding="utf-8")))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fineline" / "formats"


def _key(model: Path) -> str:
    content = {key: value for key, value in config.read(model).items() if key not in _NOT_DECISIVE}
    versions = {}
    for package in _DECISIVE:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return hashlib.sha256(json.dumps([content, versions], sort_keys=True).encode()).hexdigest()

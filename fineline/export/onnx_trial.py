"""Trials of the ONNX builder on a miniature of a model, whose results are remembered in the user's cache."""

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

UNTRIED = "untried"
"""The key of the reason why the builder could not be tried."""
_LIMIT = 900  # seconds of a trial
_DECISIVE = ("onnxruntime-genai", "onnxruntime", "onnxruntime-gpu", "transformers")
_NOT_DECISIVE = (
    "dtype",
    "torch_dtype",
    "quantization_config",
    "_name_or_path",
    "transformers_version",
    "use_cache",
    "rope_theta",
)


@dataclass(frozen=True)
class OnnxTrial:
    """The result of the ONNX builder on a miniature of a model."""

    reasons: dict[str, str | None]
    """Precision -> reason why it cannot be made, None if it can. Without a miniature, the key `untried` has the reason."""

    def refusal(self, precision: str) -> str | None:
        """Return why a model cannot be exported with this precision of the weights; None if it can."""
        if UNTRIED in self.reasons:
            return self.reasons[UNTRIED]
        return self.reasons["fp32"] or self.reasons[precision]

    @property
    def is_tried(self) -> bool:
        """True if there was a miniature to try the builder on."""
        return UNTRIED not in self.reasons


def try_onnx(model: Path) -> OnnxTrial:
    """Return the result of the ONNX builder on a miniature of the model in a directory.

    The result is remembered for each configuration and version of the libraries, in the user's cache.

    Raises:
        InputError: config.json is not valid JSON.
    """
    known = _cache() / f"onnx-{_key(model)}.json"
    with suppress(InputError):  # missing or broken
        return OnnxTrial(reports.read(known))
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "reasons.json"
        command = [sys.executable, "-m", "fineline.export.trial", str(model), str(out)]
        # see `onnx.build` for GIT_DIR
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "GIT_DIR": os.devnull, "CUDA_VISIBLE_DEVICES": ""}
        try:
            result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            return OnnxTrial({UNTRIED: f"the trial of the ONNX builder took more than {_LIMIT} seconds"})
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            return OnnxTrial({UNTRIED: f"the trial of the ONNX builder ended with exit code {result.returncode}: {last}"})
        found = OnnxTrial(reports.read(out))
    with suppress(OSError):  # a cache that cannot be written costs another trial
        known.parent.mkdir(parents=True, exist_ok=True)
        reports.write(known, found.reasons)
    return found


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fineline" / "formats"


def _key(model: Path) -> str:
    """Return a digest of what decides a trial: the configuration without its precision, and the libraries."""
    content = {key: value for key, value in config.read(model).items() if key not in _NOT_DECISIVE}
    versions = {package: _version(package) for package in _DECISIVE}
    return hashlib.sha256(json.dumps([content, versions], sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

"""The formats that a model can be exported to, found out by trying, and the form that ships."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline.artifacts import reports
from fineline.errors import InputError, ParameterError
from fineline.models import config

AUTO = "auto"
ONNX, SAFETENSORS = "onnx", "safetensors"
FORMS = {ONNX: ("fp32", "quantized"), SAFETENSORS: ("safetensors",)}
"""Format -> names of the directories that it is exported into."""
SHIPPED = {ONNX: "quantized", SAFETENSORS: "safetensors"}
"""Format -> the one of its forms that ships."""
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


def forecast(model: Path) -> dict[str, Any]:
    """Return, for each format, if a model can be exported to it, and why not: the part `formats` of plan.json.

    Raises:
        InputError: The configuration of the model is not valid JSON.
    """
    trial = try_onnx(model)
    refusals = {precision: trial.refusal(precision) for precision in ("int4", "int8")}
    return {ONNX: {precision: {"possible": not reason, "reason": reason} for precision, reason in refusals.items()}} | {
        SAFETENSORS: {"possible": True, "reason": None}
    }


def decide(wanted: str | Sequence[str], precision: str, model: Path) -> tuple[tuple[str, ...], str]:
    """Return the formats to export to, the shipped one first, and the reason in a sentence.

    Args:
        wanted: `export.formats` of params.yaml.
        precision: `export.precision` of params.yaml, for ONNX.
        model: Directory of the model, or of its base.

    Raises:
        ParameterError: A format was asked for that the model cannot take.
    """
    if wanted != AUTO and ONNX not in wanted:
        return tuple(wanted), "export.formats names them"
    trial = try_onnx(model)
    refusal = trial.refusal(precision)
    if wanted == AUTO:
        if refusal:
            return (SAFETENSORS,), f"not {ONNX}: {refusal}"
        return (ONNX,), "the ONNX builder takes this family"
    if refusal and trial.is_tried:
        raise ParameterError(
            "export.formats", f"the ONNX builder cannot convert this model: {refusal}; set `export.formats: {AUTO}`"
        )
    return tuple(wanted), "export.formats names them"


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

"""What an adapter becomes, as arms: the merged model, and the exported one that ships."""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.evaluate.arms import Arm, environment, scoring_code
from fineline.inference.onnx_engine import OnnxEngine
from fineline.inference.scorer import Engine
from fineline.inference.torch_engine import TorchEngine
from fineline.models import loading
from fineline.models.precision import Precision
from fineline.project import layout


def merged(name: str) -> Arm:
    """The adapter folded into its base."""
    directory = layout.merged(name)
    artifact = artifacts.verified(directory)
    precision: Precision = "fp32" if _stored_in(directory) == "float32" else "bf16"  # merged in that of its training
    identity = {"model": artifact.digest, "precision": precision, **environment()}

    @cache
    def model() -> Any:
        return loading.base_model(directory, precision=precision)

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield TorchEngine(model(), precision)

    return Arm(
        "merged",
        artifact,
        identity | {"code": scoring_code("fineline.inference.torch_engine", "fineline.models.loading")},
        engine,
    )


def exported(name: str) -> Arm:
    """The model as it ships."""
    return at(layout.export(name, "quantized"))


def at(directory: Path) -> Arm:
    """An exported model, wherever it lies."""
    artifact = artifacts.verified(directory)
    identity = {"model": artifact.digest, "onnxruntime": importlib.metadata.version("onnxruntime"), **environment()}

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield OnnxEngine(directory)

    return Arm("exported", artifact, identity | {"code": scoring_code("fineline.inference.onnx_engine")}, engine)


def _stored_in(model: Path) -> str:
    """The type of a model's weights, by its configuration."""
    return str(reports.read(model / "config.json").get("dtype", ""))

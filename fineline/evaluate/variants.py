"""The models made from an adapter, as arms: the merged and the exported model."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from fineline.artifacts import reports
from fineline.evaluate.arms import Arm, Subject, environment
from fineline.inference.onnx_engine import OnnxEngine
from fineline.inference.scorer import Engine
from fineline.inference.torch_engine import TorchEngine
from fineline.models import loading
from fineline.models.precision import Precision
from fineline.project.versions import STAGES


def merged(subject: Subject) -> Arm:
    """Return a merged model as an arm."""
    stored = reports.read(subject.directory / "config.json").get("dtype", "")
    precision: Precision = "fp32" if stored == "float32" else "bf16"  # merged in the precision of the training
    identity = {"model": subject.artifact.digest, "precision": precision, **_environment()}

    @cache
    def model() -> Any:
        return loading.base_model(subject.directory, precision=precision)

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield TorchEngine(model(), precision)

    return Arm("merged", subject.artifact, identity, engine)


def exported(subject: Subject) -> Arm:
    """Return an exported model as an arm."""
    import onnxruntime  # of the CPU or the CUDA build, which are distributions with different names

    identity = {
        "model": subject.artifact.digest,
        "onnxruntime": onnxruntime.__version__,
        **_environment(),
    }

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield OnnxEngine(subject.directory)

    return Arm("exported", subject.artifact, identity, engine)


def _environment() -> dict[str, str | int]:
    return environment() | {"assessment": STAGES["assess"]}

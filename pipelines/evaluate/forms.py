"""What an adapter becomes, as arms: the merged model, and the exported one that ships."""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines import artifacts, layout, loading
from pipelines.evaluate.arms import Arm, environment, scoring_code
from pipelines.evaluate.scorer import Engine
from pipelines.evaluate.torch_engine import TorchEngine
from pipelines.onnx_engine import OnnxEngine


def merged(name: str) -> Arm:
    """The adapter folded into its base."""
    directory = layout.merged(name)
    artifact = artifacts.verified(directory)
    precision = loading.precision_of(artifact.parameters)
    identity = {"model": artifact.digest, "precision": precision, **environment()}

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield TorchEngine(loading.base_model(directory, precision=precision), precision)

    return Arm(
        "merged", artifact, identity | {"code": scoring_code("pipelines.evaluate.torch_engine", "pipelines.loading")}, engine
    )


def exported(name: str) -> Arm:
    """The model as it ships."""
    directory = layout.export(name, "quantized")
    artifact = artifacts.verified(directory)
    identity = {"model": artifact.digest, "onnxruntime": importlib.metadata.version("onnxruntime"), **environment()}

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield OnnxEngine(directory)

    return Arm("exported", artifact, identity | {"code": scoring_code("pipelines.onnx_engine")}, engine)

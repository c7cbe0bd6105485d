"""Arms: the models under comparison, which are adapters on their base, merged models and exported models.

A model is loaded only if some of its scores must be computed.
"""

import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

from fineline import adapters, artifacts
from fineline.adapters import methods
from fineline.adapters.adapted import Adapted
from fineline.artifacts import Artifact
from fineline.errors import InputError, ParameterError
from fineline.evaluate.scores import Record, cached, score
from fineline.hardware import machine
from fineline.inference.journal import AnswerJournal
from fineline.inference.runtime import Runtime
from fineline.inference.scorer import Engine, Scorer
from fineline.inference.torch_engine import TorchEngine
from fineline.models import config, loading
from fineline.project.params.evaluation import Champion
from fineline.project.versions import STAGES
from fineline.suites.task import Task

_SHARE = 0.4  # of the free memory that a dequantized base may take

_DECISIVE = ("torch", "transformers", "tokenizers", "peft", "bitsandbytes", "lm_eval", "rouge_score")
"""Packages whose version may change a score."""

BASE, CANDIDATE, CHAMPION = "base", "candidate", "champion"


@dataclass(frozen=True)
class Arm:
    """One model under comparison."""

    name: str
    artifact: Artifact
    identity: dict[str, Any]
    """Everything that decides its scores, apart from the task."""
    engine: Callable[[], AbstractContextManager[Engine]]
    """Loads the model. Its memory is free after the context, except that of a base whose adapter is the next arm."""

    @property
    def described(self) -> dict[str, str]:
        """Return the kind and digest that a verdict records."""
        return {"kind": self.artifact.kind, "digest": self.artifact.digest}


@dataclass(frozen=True)
class Subject:
    """A verified artifact and its directory."""

    directory: Path
    artifact: Artifact

    @classmethod
    def verified(cls, directory: Path) -> Self:
        """Return the artifact in a directory.

        Raises:
            InputError: It is missing.
            Refused: A file is not as the artifact recorded it.
        """
        return cls(directory, artifacts.verified(directory))


def records(arm: Arm, tasks: list[Task], chat: Any, store: Path) -> list[Record]:
    """Return the records of a model on all tasks, computing those that are not in the store. One engine answers all of them.

    Args:
        chat: The `ChatFormat` of the model, or its tokenizer.
        store: Directory of cached scores, see `fineline.evaluate.scores`.
    """

    with ExitStack() as opened:
        engine = cache(lambda: opened.enter_context(arm.engine()))

        def compute(asked: list[Task], journal: Path) -> list[Record]:
            for task in asked:
                print(f"{arm.name} {arm.artifact.name}: {task.name}, {len(task.items)} items", flush=True)
            found = score(Scorer(engine(), chat, AnswerJournal(journal)), asked)
            print(f"{arm.name} {arm.artifact.name}: {engine().path}", flush=True)
            return found

        return cached(arm.identity, tasks, compute, store)


class Arms:
    """An adapter on its base, in the precision that it was trained in: two arms of one loaded model.

    Four-bit weights are dequantized once if they fit in memory: the numbers are the same, and no step dequantizes them again.
    In fp32 the adapter is then added to the weights, which changes only the last bits of a sum. In bf16 that would round the
    adapter's contribution (see `merge`), so the adapter is applied separately, as in training.

    Raises:
        InputError: The adapter was trained on another base.
    """

    def __init__(self, base: Subject, adapter: Subject) -> None:
        self.base, self.adapter = base.artifact, adapter.artifact
        trained_on = self.adapter.inputs["base"].digest
        if trained_on != self.base.digest:
            raise InputError(
                f"{adapter.directory}: trained on the base {trained_on}, but {base.directory} is {self.base.digest}; the two"
                " cannot be compared on the same prompts. Train the adapter again on this base"
            )
        self.places = (base.directory, adapter.directory)
        self.quantization = methods.quantization_of(self.adapter.parameters)
        self.precision = methods.precision_of(self.adapter.parameters)
        self.dequantized = self.quantization is not None and _fits(base.directory)
        method = methods.method_of(self.adapter.parameters)
        self.added = self.precision == "fp32" and method.mergeable and (self.dequantized or not self.quantization)

    def arm(self, name: str) -> Arm:
        """Return an arm of the model: `base` without the adapter, any other name with it."""
        identity = {
            "base": self.base.digest,
            "quantization": self.quantization.model_dump_json() if self.quantization else "none",
            "dequantized": self.dequantized,
            "precision": self.precision,
            **environment(),
        }
        if name == BASE:
            return Arm(name, self.base, identity, self._without)
        return Arm(name, self.adapter, identity | {"adapter": self.adapter.digest, "added": self.added}, self._with)

    @cached_property
    def _model(self) -> Any:
        """The model with the adapter applied separately from the weights."""
        base, adapter = self.places
        model = loading.base_model(base, quantization=self.quantization, precision=self.precision)
        if self.dequantized:
            loading.dequantize(model, loading.dtype(self.precision))
        return adapters.load(model, adapter)

    @cached_property
    def _sum(self) -> Any:
        """The model with the adapter added to the weights. It replaces `_model`: memory may not suffice for both."""
        model = self._model
        if isinstance(model, Adapted):  # this method has no separate weights to add
            return model
        del self._model
        model.merge_adapter()
        return model

    @cached_property
    def _base_engine(self) -> TorchEngine:
        """The engine without the adapter, which scores the base and then measures its noise."""
        return TorchEngine(self._model, self.precision)

    @contextmanager
    def _with(self) -> Iterator[Engine]:
        self.__dict__.pop("_base_engine", None)  # it has copies of the weights
        try:
            yield TorchEngine(self._sum if self.added else self._model, self.precision)
        finally:
            for part in ("_sum", "_model"):  # the next arm loads another model
                self.__dict__.pop(part, None)

    @contextmanager
    def _without(self) -> Iterator[Engine]:
        self.__dict__.pop("_sum", None)
        with self._model.disable_adapter():
            yield self._base_engine


def champion(wanted: Champion, found: Subject, base: Subject) -> Arms:
    """Return the arms of the adapter in production, on the base of the candidate.

    Args:
        found: The artifact at `wanted.path`.

    Raises:
        InputError: Its digest is not the one in params.yaml, or it was trained on another base.
    """
    if found.artifact.digest != wanted.digest:
        raise ParameterError(
            "evaluate.champion",
            f"{wanted.path} is {found.artifact.digest}, but params.yaml names {wanted.digest}; set the digest of the adapter"
            " that is in production",
        )
    return Arms(base, found)


def environment() -> dict[str, str | int]:
    """Return what decides scores apart from the model: the version of the stage, the device and the libraries."""
    versions = {package: importlib.metadata.version(package) for package in _DECISIVE}
    return {"scoring": STAGES["evaluate"], "device": loading.device().type, **versions}


def _fits(base: Path) -> bool:
    """True if twice the size of the base on disk leaves most of the free memory free."""
    import torch

    size = 2 * sum(file.stat().st_size for file in base.glob("*.safetensors"))
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else machine.free()
    return free is not None and size < _SHARE * free


def merged(subject: Subject, name: str = "merged") -> Arm:
    """Return a merged model as an arm, in the precision of its weights, which is that of the training."""
    precision = config.stored_precision(subject.directory)
    identity = {"model": subject.artifact.digest, "precision": precision, **_environment()}

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield TorchEngine(loading.base_model(subject.directory, precision=precision), precision)

    return Arm(name, subject.artifact, identity, engine)


def exported(subject: Subject, runtime: Runtime, name: str = "exported") -> Arm:
    """Return an exported model as an arm, run by the program that its format is made for."""
    identity = {"model": subject.artifact.digest, **runtime.identity, **_environment()}
    return Arm(name, subject.artifact, identity, runtime.engine)


def _environment() -> dict[str, str | int]:
    return environment() | {"assessment": STAGES["assess"]}

"""The interface of an export format: which forms it has, what it can take, and how a form is made, opened and measured.

A format is one file that subclasses `Format`, its entry in `fineline.export.formats`, and its name in
`fineline.project.params.exporting`. A form is one directory in `models/export/<adapter>`; a format may have several.
"""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fineline.chat.settings import ChatSettings
from fineline.export.trained import TrainedAdapter
from fineline.inference.fidelity import Fidelity
from fineline.inference.likelihoods import LikelihoodAgreement, TokenLikelihoods
from fineline.inference.runtime import Runtime
from fineline.project.params.exporting import Export

Agreement = Fidelity | LikelihoodAgreement
"""Of a form with the merged model in fp32."""
ProbeRow = np.ndarray | TokenLikelihoods
"""Logits after every token of a row (tokens, vocabulary), unnormalized or as log-probabilities; or, of a runtime that has no
logits, the likelihoods of its tokens."""


@dataclass(frozen=True)
class Sources:
    """The sources of a form. Nothing here is changed by a build."""

    merged: Path
    """The merged model, in the precision of its training."""
    trained: TrainedAdapter
    settings: Export
    chat: ChatSettings
    tokens: Sequence[Sequence[int]] = ()
    """Token ids of the rows that compare a form with the merged model."""


@dataclass(frozen=True)
class Refusal:
    """Why a format cannot take a model."""

    reason: str
    instead: str
    """Possible alternatives, as an instruction."""
    is_certain: bool = True
    """False if it could not be found out: `auto` passes the format over, and who names it gets a build."""


@dataclass(frozen=True)
class Needed:
    """A package that a format imports and that not every installation has."""

    module: str
    """Name that is imported."""
    package: str
    """Name on the index."""
    install: str
    """The argument of `pip install`, such as `fineline[gguf]`."""

    @property
    def is_missing(self) -> bool:
        """True if the module cannot be imported."""
        try:
            return importlib.util.find_spec(self.module) is None
        except ModuleNotFoundError:  # the package of a submodule is missing
            return True


@dataclass(frozen=True)
class Tolerance:
    """How far a form may be from the merged model in fp32 and still be exact. A limit that is None is not applied."""

    mean_kl: float | None = None
    """Largest mean divergence in nats."""
    relative_difference: float | None = None
    """Largest difference of two logits, as a share of the largest logit. Not for log-probabilities, which are shifted."""
    mean_difference: float | None = None
    """Largest mean difference of log-likelihoods in nats, where a runtime gives no logits."""

    def holds(self, found: Agreement) -> bool:
        """True if the agreement is within every limit that applies to its kind; not-a-number is within none."""
        if isinstance(found, LikelihoodAgreement):
            return self.mean_difference is not None and found.mean_difference <= self.mean_difference
        near = self.mean_kl is not None and found.mean_kl <= self.mean_kl
        if self.relative_difference is None:
            return near
        return near and found.max_abs_difference <= self.relative_difference * found.max_abs_logit


EQUAL = Tolerance(mean_kl=1e-6, relative_difference=1e-3)
"""Of two fp32 models, in which only the order of additions differs."""


class Format(ABC):
    """An export format. Heavy libraries are imported within methods: `plan` and `params` read the attributes of every one."""

    name: ClassVar[str]
    """Value in `export.formats`."""
    forms: ClassVar[tuple[str, ...]]
    """Every form that it may be made in, as `fineline.project.layout.FORM` describes names. No two formats share a form."""
    released: ClassVar[str]
    """The form that is judged as the candidate and released, if this format is the first one in `export.formats`."""
    exact: ClassVar[Mapping[str, Tolerance]]
    """Form that must compute what the merged model computes -> how closely. If one does not, or cannot be made, every form of
    the format has failed: the conversion is wrong. The form that is released, or one that checks it, should be here."""
    checks: ClassVar[frozenset[str]] = frozenset()
    """Forms that only check the conversion. They are not judged in `assess`."""
    made_from: ClassVar[tuple[str, ...]] = ("merged",)
    """Inputs of the artifact: `merged`, and `adapter` and `base` if `build` reads them. `merged` is always one, because parity
    is measured with it."""
    needs: ClassVar[tuple[Needed, ...]] = ()

    @abstractmethod
    def precisions(self, model: Path, settings: Export) -> dict[str, str]:
        """Return the forms that are made of a model, in order, each with the precision of its weights (`int4`, `bf16`).

        Args:
            model: The merged model, or its base.
        """

    def refusal(self, model: Path, settings: Export, method: str | None) -> Refusal | None:
        """Return why a model cannot take this format; None if it can. Weights are not read.

        Args:
            model: The merged model, or, in `plan`, its base.
            method: The fine-tuning method; None if it is not decided yet.

        Raises:
            InputError: The configuration of the model is not valid JSON.
        """
        return None

    @abstractmethod
    def build(self, sources: Sources, form: str, into: Path, scratch: Path) -> Mapping[str, Any] | None:
        """Make a form in `into`, an empty directory, a tensor or a shard at a time.

        Builds of several forms run at once, in threads: a long one starts a process. An exception of any kind fails this form
        alone; a message with cause and remedy is a `FinelineError`. The bytes depend on nothing but the sources.

        Args:
            scratch: A path for temporary files, which does not exist yet; it is removed afterwards.

        Returns:
            Facts about the form for export.json, if there are any.
        """

    @abstractmethod
    def probe(self, directory: Path, base: Path, rows: Sequence[Sequence[int]]) -> Iterator[ProbeRow] | None:
        """Yield the answer of a form to each row of token ids, as far as possible in fp32, computed when it is needed.

        None means that the files are those of the merged model, byte by byte, which `build` made sure of: a new process then
        loads them as the reference.

        Args:
            base: Directory of the base, for a form that is loaded on it.
        """

    @abstractmethod
    def runtime(self, directory: Path, base: Path) -> Runtime:
        """Return how the form is opened for scoring, see `fineline.inference.scorer.Engine`. Nothing is loaded here.

        A runtime without logits implements `score` by likelihoods of the tokens of a pack (`Pack.targets`), with
        `tree_length = 0` and a `plain` model that has `score` and `generate`.
        """

    def chat_files(self, directory: Path, merged: Path) -> Path:
        """Return the directory with the tokenizer and chat template of a form: its own, or, if a file of another kind contains
        them, the merged model's."""
        return directory

    @abstractmethod
    def deployable_size(self, directory: Path) -> int:
        """Return the bytes that are deployed: weights and graph."""

    @abstractmethod
    def tokens_per_second(self, directory: Path, base: Path, prompt: list[int]) -> float:
        """Return the greedy decoding speed for one request, `NEW_TOKENS` after `PROMPT_TOKENS`, in the second of two runs."""


PROMPT_TOKENS, NEW_TOKENS = 32, 64
"""Tokens that are read and that are generated when the speed is measured."""

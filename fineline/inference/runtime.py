"""Runtimes: how an exported model is opened for scoring, and what decides its scores besides its files."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fineline.inference.scorer import Engine


@dataclass(frozen=True)
class Runtime:
    """The program that runs an exported model."""

    identity: Mapping[str, Any]
    """Everything that decides scores apart from the files of the model and the libraries of every arm: versions, precision."""
    engine: "Callable[[], AbstractContextManager[Engine]]"
    """Opens the model, and closes it at the end of the context."""

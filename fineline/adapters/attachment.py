"""Attaching the trainable part of a method to a base model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods import METHODS
from fineline.adapters.methods.method import Batches
from fineline.errors import ParameterError

if TYPE_CHECKING:
    from fineline.project.params.training import Train


def attach(model: Any, train: "Train", base: Path | None = None, batches: Batches | None = None) -> Any:
    """Attach what `train.method` trains to a model, in fp32, and freeze everything else.

    Initial values come from PyTorch's global generator: seed it first.

    Args:
        model: A causal language model from `loading.base_model`.
        train: Its method is one of `METHODS`, not `auto`.
        base: Directory of the base model, by default the model's `name_or_path`. LoftQ reads it, and so does full fine-tuning
            to restore the weights of the base.
        batches: First micro-steps, for EVA.

    Returns:
        A `PeftModel` or an `Adapted`: both have `get_base_model()` and `disable_adapter()`.

    Raises:
        InputError: The method, the targets or the initialization cannot be used with the model.
    """
    check(train)
    model.requires_grad_(False)
    source = Path(model.config.name_or_path) if base is None else base
    return METHODS[train.method].attach(model, train, source, batches)


def check(train: "Train") -> None:
    """Raise `InputError` if the method cannot be applied to a loaded model."""
    if train.method not in METHODS:
        raise ParameterError("train.method", f"{train.method} cannot be attached to a model; use one of {', '.join(METHODS)}")

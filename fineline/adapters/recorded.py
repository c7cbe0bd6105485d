"""How an adapter was trained, from the parameters that its artifact records.

An artifact records the keys of the `train:` block that were set, with the method that was chosen; keys that were not set have
their defaults.
"""

from collections.abc import Mapping
from typing import Any

from fineline.adapters.methods import METHODS, Method
from fineline.models.precision import Precision, Quantization


def method_of(parameters: Mapping[str, Any]) -> Method:
    """Return the method that an adapter was trained with."""
    return METHODS[parameters["method"]]


def quantization_of(parameters: Mapping[str, Any]) -> Quantization | None:
    """Return how the base was quantized while the adapter was trained; None if it was not."""
    if not method_of(parameters).quantized:
        return None
    return Quantization.model_validate(parameters.get("quantization", {}))


def precision_of(parameters: Mapping[str, Any]) -> Precision:
    """Return the precision that the adapter was trained in, in which it is evaluated and merged too.

    Adapters without a recorded precision are older than the choice, and were trained in bf16.
    """
    found: Precision = parameters.get("precision", "bf16")
    return found

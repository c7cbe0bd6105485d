"""The linear layers that `train.targets` selects, by the shape of a model.

`fineline.adapters.targets` selects those of a loaded model.
"""

from typing import TYPE_CHECKING

from fineline.errors import InputError

if TYPE_CHECKING:
    from fineline.models.shape import Linear, Shape
    from fineline.project.params.training import Train

_ATTENTION = ("attn", "attention")


def adaptable(shape: "Shape") -> "tuple[Linear, ...]":
    """Return the linear layers that an adapter can be attached to.

    Raises:
        InputError: There are none.
    """
    found = tuple(layer for layer in shape.linear if layer.adaptable)
    if not found:
        raise InputError(
            f"train.method: the layers of a {shape.model_type} model cannot be adapted (they are not torch.nn.Linear); use"
            " prompt, prefix, p-tuning or full, or another base"
        )
    return found


def targets(shape: "Shape", train: "Train") -> "tuple[Linear, ...]":
    """Return the linear layers that `train.targets` selects.

    Raises:
        InputError: It selects none.
    """
    layers = adaptable(shape)
    if train.targets == "all-linear":
        return layers
    if train.targets == "attention":
        found = tuple(layer for layer in layers if in_attention(layer))
    else:
        found = tuple(layer for layer in layers if f".{layer.name}".endswith(tuple(f".{end}" for end in train.targets)))
    if not found:
        kinds = sorted({layer.kind for layer in layers})
        raise InputError(
            f"train.targets: no linear layer of the base matches {train.targets}; its layers are {', '.join(kinds)}"
        )
    return found


def in_attention(layer: "Linear") -> bool:
    """True if a layer is directly in an attention module."""
    return layer.name.rpartition(".")[0].rpartition(".")[2].lower().endswith(_ATTENTION)

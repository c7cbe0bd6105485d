"""How many numbers each method trains, as formulas of the model's shape."""

from fineline.errors import InputError
from fineline.plan.shape import Linear, Shape
from fineline.project.params.training import Train

_LORA = ("lora", "qlora", "rslora")
_ATTENTION = ("attn", "attention")


def targets(shape: Shape, train: Train) -> tuple[Linear, ...]:
    """The linear layers that `train.targets` means.

    Raises:
        InputError: It means none.
    """
    adaptable = _adaptable(shape)
    if train.targets == "all-linear":
        return adaptable
    if train.targets == "attention":
        found = tuple(layer for layer in adaptable if _in_attention(layer))
    else:
        found = tuple(layer for layer in adaptable if f".{layer.name}".endswith(tuple(f".{end}" for end in train.targets)))
    if not found:
        kinds = sorted({layer.kind for layer in adaptable})
        raise InputError(f"train.targets: no linear layer of the base is meant by {train.targets}; it has {', '.join(kinds)}")
    return found


def trained_parameters(method: str, shape: Shape, train: Train) -> int:
    """Numbers that `method` trains on a model of this shape; `METHODS` names the paper of each.

    Raises:
        InputError: The base has nothing that the method trains.
    """
    rank = train.rank
    if method in _LORA and train.initialization == "pissa":
        rank *= 2  # the half that cancels the first values is held, and has gradients, too
    match method:
        case "lora" | "qlora" | "rslora":  # A: rank x in, B: out x rank
            return sum(rank * (layer.rows + layer.columns) for layer in targets(shape, train))
        case "dora" | "qdora":  # and a magnitude per output
            return sum(rank * (layer.rows + layer.columns) + layer.rows for layer in targets(shape, train))
        case "vera":  # two vectors between frozen random matrices that all layers share
            return sum(rank + layer.rows for layer in targets(shape, train))
        case "ia3":  # scales of keys, of values, and of what goes into the last layer of the MLP
            return _needed(_rescaled(shape), method, "separate keys and values and an MLP")
        case "prefix":  # keys and values of each layer
            return train.virtual_tokens * shape.layers * 2 * shape.kv_heads * shape.head_dim
        case "prompt":  # embeddings
            return train.virtual_tokens * shape.hidden
        case "p-tuning":  # embeddings, and an MLP of three layers of the hidden size that they go through
            return train.virtual_tokens * shape.hidden + 3 * shape.hidden * (shape.hidden + 1)
        case "bottleneck":  # down and up, with biases
            _adaptable(shape)
            places = shape.layers * (2 if train.bottleneck.placement == "houlsby" else 1)
            size = train.bottleneck.size
            return places * (2 * size * shape.hidden + size + shape.hidden)
        case "bitfit":
            return _needed(shape.biases, method, "bias terms")
        case "full":
            return shape.parameters
        case _:
            raise ValueError(method)


def _adaptable(shape: Shape) -> tuple[Linear, ...]:
    """The linear layers that adapters can be put on or beside.

    Raises:
        InputError: There are none.
    """
    found = tuple(layer for layer in shape.linear if layer.adaptable)
    if not found:
        raise InputError(
            f"train.method: the layers of a {shape.model_type} model are none that adapters are put on here (torch's Linear);"
            " take prompt, prefix, p-tuning or full, or another base"
        )
    return found


def _rescaled(shape: Shape) -> int:
    """Features of keys, values and the inner activations of the MLP; 0 if there are none to tell apart."""
    attended = sum(layer.rows for layer in _adaptable(shape) if _in_attention(layer) and layer.kind.startswith(("k", "v")))
    inner = sum(
        layer.columns
        for layer in _adaptable(shape)
        if not _in_attention(layer) and layer.rows == shape.hidden and layer.columns != layer.rows
    )
    return attended + inner if attended and inner else 0


def _in_attention(layer: Linear) -> bool:
    return layer.name.rpartition(".")[0].rpartition(".")[2].lower().endswith(_ATTENTION)


def _needed(count: int, method: str, what: str) -> int:
    if count == 0:
        raise InputError(f"train.method: {method} trains {what}, and this base has none; use lora")
    return count

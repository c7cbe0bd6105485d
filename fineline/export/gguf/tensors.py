"""The tensors of a model as llama.cpp's graphs want them: names, order of rows, stacked experts, shifted norms."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import safe_open

from fineline.errors import InputError
from fineline.export.gguf import architectures
from fineline.export.gguf.architectures import Family
from fineline.export.gguf.unsupported import Unsupported, Values

_OTHER_PARTS = re.compile(r"(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|audio_tower|embed_vision)\.")
"""Parts for pictures and sounds. llama.cpp reads them from a file of their own."""
_TEXT_PREFIX = re.compile(r"^(model\.)?language_model\.(model\.)?")
_EXPERT = re.compile(r"\.experts\.(\d+)\.(\w+)\.weight$")
_NOT_WEIGHTS = (".rotary_emb.inv_freq", ".masked_bias")


@dataclass(frozen=True)
class Source:
    """A tensor of GGUF, and the stored tensors that it is made of."""

    name: str
    shape: tuple[int, ...]
    parts: tuple[str, ...]
    """Names in the model's files; several for experts, which are stacked."""
    change: tuple[Callable[[np.ndarray], np.ndarray], ...] = ()
    """Changes of each part, in order."""


class Checkpoint:
    """The safetensors files of a model directory. A tensor is read when it is asked for.

    Raises:
        InputError: There are none.
    """

    def __init__(self, directory: Path) -> None:
        self._files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for file in sorted(directory.glob("*.safetensors")):
            with safe_open(file, framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118
                    self._files[name] = file
                    self.shapes[name] = tuple(stored.get_slice(name).get_shape())
        if not self.shapes:
            raise InputError(f"{directory}: no safetensors file; run the merge of this adapter first")

    def read(self, name: str) -> np.ndarray:
        """Return a tensor in fp32."""
        with safe_open(self._files[name], framework="pt") as stored:
            found: np.ndarray = stored.get_tensor(name).float().numpy()
        return found


def sources(shapes: Mapping[str, tuple[int, ...]], values: Values, *, norms: bool = True) -> list[Source]:
    """Return the tensors of GGUF, in the order of their names in transformers.

    Args:
        shapes: Name -> shape of each tensor in the model's files.
        values: Configuration of the text model.
        norms: False to leave the weights of norms as they are; for tests.

    Raises:
        Unsupported: A tensor has no place in the graph.
    """
    family = architectures.family(values)
    names = name_map(family, values)
    found: dict[str, Source] = {}
    experts: dict[str, dict[int, str]] = {}
    for name in sorted(shapes, key=_natural):
        if _OTHER_PARTS.search(name) or name.endswith(_NOT_WEIGHTS):
            continue
        if name == "lm_head.weight" and values.get("tie_word_embeddings"):
            continue
        if match := _EXPERT.search(name):
            experts.setdefault(_EXPERT.sub(rf".experts.{match[2]}.weight", name), {})[int(match[1])] = name
            continue
        for own, shape, change in _split(name, shapes[name]):
            target = mapped(names, own)
            changes = [change] if change else []
            if turned := permutation(family, values, own):
                changes.append(lambda part, turned=turned: part[turned])
            if norms and family.norms_from_zero and own.endswith("norm.weight"):
                changes.append(lambda part: part + 1)
            if len(shape) == 3 and shape[1] == 1:  # a convolution over time
                shape = (shape[0], shape[2])
                changes.append(lambda part: part[:, 0])
            found[target] = Source(target, shape, (name,), tuple(changes))
    for name, parts in experts.items():
        stacked = tuple(parts[number] for number in sorted(parts))
        if sorted(parts) != list(range(len(parts))):
            raise Unsupported(f"experts are missing: {name}")
        target = mapped(names, _expert_name(name))
        found[target] = Source(target, (len(stacked), *shapes[stacked[0]]), stacked)
    return list(found.values())


def name_map(family: Family, values: Values) -> Any:
    """Return the map of tensor names of the `gguf` package."""
    number = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == family.name)
    return gguf.get_tensor_name_map(number, values["num_hidden_layers"])


def mapped(names: Any, name: str) -> str:
    """Return the name of a tensor in GGUF.

    Raises:
        Unsupported: It has none.
    """
    found: str | None = names.get_name(_TEXT_PREFIX.sub("model.", name), try_suffixes=(".weight", ".bias"))
    if found is None:
        raise Unsupported(f"its tensor {name} has no place in the graph of llama.cpp")
    return found


def permutation(family: Family, values: Values, name: str) -> list[int] | None:
    """Return the order of rows of a query or key projection for a graph with interleaved positions; None to leave them."""
    if not family.interleaved or not re.search(r"self_attn\.[qk]_proj\.(weight|bias)$", name):
        return None
    heads = values["num_attention_heads"]
    size = values.get("head_dim") or values["hidden_size"] // heads
    if "k_proj" in name:
        heads = values.get("num_key_value_heads") or heads
    rows = np.arange(heads * size).reshape(heads, 2, size // 2)
    found: list[int] = rows.swapaxes(1, 2).reshape(-1).tolist()
    return found


def _split(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...], Callable[..., np.ndarray] | None]]:
    """Yield the tensors that a stored one contains: their names, shapes, and how each is cut out."""
    if name.endswith(".experts.gate_up_proj"):
        half = shape[1] // 2
        stem = name.removesuffix("gate_up_proj")
        yield f"{stem}gate_proj.weight", (shape[0], half, shape[2]), lambda part: part[:, :half]
        yield f"{stem}up_proj.weight", (shape[0], half, shape[2]), lambda part: part[:, half:]
    elif name.endswith(".experts.down_proj"):
        yield f"{name}.weight", shape, None
    else:
        yield name, shape, None


def _expert_name(name: str) -> str:
    """Return the name by which the map knows the stacked experts of a layer."""
    return re.sub(r"^model\.layers\.(\d+)\.block_sparse_moe\.", r"layers.\1.feed_forward.", name)


def _natural(name: str) -> tuple[Any, ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in name.split("."))


def assembled(source: Source, checkpoint: Checkpoint) -> np.ndarray:
    """Return a tensor of GGUF in fp32."""
    parts = []
    for name in source.parts:
        part = checkpoint.read(name)
        for change in source.change:
            part = change(part)
        parts.append(part)
    found = np.ascontiguousarray(parts[0] if len(parts) == 1 and len(source.shape) == parts[0].ndim else np.stack(parts))
    if found.shape != source.shape:
        raise Unsupported(f"its tensor {source.name} has the shape {found.shape}, and not {source.shape}")
    return found

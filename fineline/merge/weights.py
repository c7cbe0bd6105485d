"""The merged weights, written one tensor at a time: no more than a few tensors are in memory, however large the model is."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fineline import adapters
from fineline.adapters.methods import Method
from fineline.adapters.methods.method import Merge
from fineline.artifacts import RECORD
from fineline.inference import blockwise
from fineline.models import checkpoint, classes, four_bits, loading, tensor_files
from fineline.models.config import Precision, Quantization, dtype
from fineline.models.tensor_files import Form

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

Restored = Callable[[torch.Tensor | None], torch.Tensor]
"""A weight of the checkpoint, or None where it has no place there -> the weight that was trained on, in fp32."""


@dataclass(frozen=True)
class MergedFile:
    """A weights file of a merged model."""

    name: str
    forms: Mapping[str, Form]
    """Name -> type and shape of its tensors."""
    tensor: Callable[[str], torch.Tensor]
    """Compute a tensor by its name."""


def loaded(base: Path, adapter: Path, method: Method, precision: Precision) -> Any:
    """Return a base with its adapter for `merged_files`: the weights of the base stay in their files until they are merged.

    Raises:
        InputError: The adapter does not fit the base.
    """
    cpu = torch.device("cpu")
    model = loading.base_model(base, precision=precision if method.trains_base else None, place=cpu)
    return adapters.load(model, adapter)


def reference(model: Any) -> Any:
    """Return a model in fp32, with its 4-bit layers dequantized in place: a merged model is compared with it."""
    return blockwise.in_fp32(model)


def write(
    base: Path, model: Any, into: Path, method: Method, precision: Precision, quantization: Quantization | None = None
) -> None:
    """Write the merged model into a directory, tensor by tensor, with the configuration and tokenizer of the base.

    Args:
        model: The base with the adapter: as it was trained, or of `loaded`.
        precision: Precision of the training, in which all weights are written.
        quantization: See `merged_files`.

    Raises:
        InputError: See `merged_files`.
    """
    write_others(base, into, precision)
    written = set()
    for file in merged_files(base, model, method, precision, quantization):
        tensor_files.write(into / file.name, file.forms, file.tensor)
        written.add(file.name)
    if not written.issuperset(weights_files(base)):
        (into / INDEX).unlink(missing_ok=True)


def weights_files(directory: Path) -> set[str]:
    """Return the names of the weights files in a directory."""
    return {file.name for file in directory.glob("*.safetensors")}


def write_others(base: Path, into: Path, precision: Precision) -> None:
    """Write all files except the weights: those of the base, with the configuration adapted to the merged weights.

    It has the type of the weights, and the keys that older readers expect: rope_theta, and chat_template of the tokenizer.
    """
    others = shutil.ignore_patterns("*.safetensors", RECORD)
    shutil.copytree(base, into, ignore=others, copy_function=shutil.copyfile, dirs_exist_ok=True)
    file = into / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    config.pop("torch_dtype", None)
    config["dtype"] = str(dtype(precision)).removeprefix("torch.")
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        config.setdefault("rope_theta", rope["rope_theta"])
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    template = into / "chat_template.jinja"
    if template.is_file():
        file = into / "tokenizer_config.json"
        tokenizer = json.loads(file.read_text(encoding="utf-8"))
        tokenizer["chat_template"] = template.read_text(encoding="utf-8")
        file.write_text(json.dumps(tokenizer, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def merged_files(
    base: Path, model: Any, method: Method, precision: Precision, quantization: Quantization | None = None
) -> Iterable[MergedFile]:
    """Return the weights files of the merged model.

    The files and their tensors are those of the base. If a merged weight has no place in them, there is one file with all
    weights, as `save_pretrained` would write it.

    Args:
        model: The base with the adapter: as it was trained, or of `loaded`.
        quantization: Of a model of `loaded`: merge into the weights that the base has in four bits, dequantized. None merges
            into the weights that the model has.

    Raises:
        InputError: Adapters of this method cannot be merged.
    """
    causal, kind = model.get_base_model(), dtype(precision)
    merges = method.merges(model)
    restored: dict[str, Restored] = {
        f"{name.replace('.base_layer', '')}.weight": partial(_unpacked, layer)
        for name, layer in loading.quantized_layers(causal).items()
    }
    if quantization is not None:
        for name, layer in four_bits.layers(base, quantization, precision).items():
            restored[f"{name}.weight"] = partial(_rounded, layer, quantization, precision)
    stored = checkpoint.stored_shapes(base)
    direct, others = checkpoint.located(stored, causal, {*merges, *restored})
    change = _Change(causal, merges, restored)
    converted = checkpoint.in_checkpoint(causal, {name: change(name).to(kind) for name in sorted(others)})
    if {name: tuple(tensor.shape) for name, tensor in converted.items()}.items() <= stored.items():
        other = None if classes.towers(causal) else kind
        return [_file(file, direct, converted, change, other) for file in sorted(base.glob("*.safetensors"))]
    names = [name for name in checkpoint.saved_names(causal) if name in change.loaded]
    whole = checkpoint.in_checkpoint(causal, {name: change.whole(name, kind) for name in names})
    return [MergedFile(WHOLE, {name: _form(tensor) for name, tensor in whole.items()}, whole.__getitem__)]


def _unpacked(layer: Any, _: torch.Tensor | None) -> torch.Tensor:
    """Return the weight of a layer in four bits in the orientation of the checkpoint."""
    weight = loading.weight_of(layer).cpu()
    return weight.T if loading.is_transposed(layer) else weight


def _rounded(layer: Any, quantization: Quantization, precision: Precision, original: torch.Tensor | None) -> torch.Tensor:
    assert original is not None
    return four_bits.dequantized(original, layer, quantization, precision)


def _form(tensor: torch.Tensor) -> Form:
    return Form(tensor.dtype, tuple(tensor.shape))


class _Change:
    """The merged weights of a model by name, in fp32."""

    def __init__(self, causal: Any, merges: dict[str, Merge], restored: Mapping[str, Restored]) -> None:
        self.loaded = checkpoint.weights(causal)
        self.merges = merges
        self.restored = restored

    def __call__(self, name: str, original: torch.Tensor | None = None) -> torch.Tensor:
        """Return a merged weight.

        Args:
            original: The weight in the checkpoint, by default the loaded one.
        """
        found = self.loaded[name].detach() if original is None else original
        restore, merge = self.restored.get(name), self.merges.get(name)
        weight = found.float().cpu() if restore is None else restore(found)
        return (weight if merge is None else merge(weight)).contiguous()

    def whole(self, name: str, kind: torch.dtype) -> torch.Tensor:
        """Return a weight, merged or not; what is not merged keeps its type unless it is a floating-point number."""
        if name in self.merges or name in self.restored:
            return self(name).to(kind)
        weight = self.loaded[name].detach().cpu()
        return weight.to(kind) if weight.is_floating_point() else weight


def _file(
    file: Path,
    direct: Mapping[str, str],
    converted: Mapping[str, torch.Tensor],
    change: _Change,
    kind: torch.dtype | None,
) -> MergedFile:
    """Return a file with the tensors of a file of the base.

    Args:
        direct: Name of a tensor -> name of the weight.
        converted: Merged tensors that the checkpoint stores in another form than the model.
        kind: Type of what is not merged; None leaves it as it is, byte for byte.
    """
    stored = tensor_files.Reader(file)

    def form(name: str) -> Form:
        if name in converted:
            return _form(converted[name])
        original, shape = stored.forms[name]
        return Form(kind if kind and original.is_floating_point else original, shape)

    forms = {name: form(name) for name in stored.forms}

    def tensor(name: str) -> torch.Tensor:
        if name in converted:
            return converted[name]
        original = stored.tensor(name)
        return (change(direct[name], original) if name in direct else original).to(forms[name].dtype)

    return MergedFile(file.name, forms, tensor)

"""Merging: an adapter merged into the weights that it was trained on, and the verification of a merged model.

A QLoRA adapter was trained on NF4 weights, so it is merged into those weights, dequantized, and not into the original ones:
measured on a toy model, the KL divergence is 4e-6 instead of 5e-4. The result is computed in fp32 and rounded once, to the
precision of the training. Weights that were dequantized to fp32 are not exact in bf16: rounded, they chose another token at
2.5% of positions (SmolLM2-135M, mean KL 1e-4).
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fineline import adapters
from fineline.adapters import methods
from fineline.adapters.methods import Method
from fineline.adapters.methods.method import Merge
from fineline.artifacts import RECORD
from fineline.models import checkpoint, classes, loading
from fineline.models.config import Precision, dtype

WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_ROUNDING = {torch.float32: 2.0**-18, torch.bfloat16: 2.0**-7}
"""Tolerance relative to the largest weight of a row: the order of summation differs between machines."""


def reference(model: Any) -> Any:
    """Return a model in fp32, with its 4-bit layers dequantized in place: a merged model is compared with it."""
    loading.dequantize(model, torch.float32)
    return torch.nn.Module.float(model).eval()  # transformers forbids .float() on a quantized model, which it no longer is


def write(base: Path, model: Any, into: Path, method: Method, precision: Precision) -> None:
    """Write the merged model into a directory, tensor by tensor, with the configuration and tokenizer of the base.

    Args:
        model: The base with the adapter, loaded as it was trained.
        precision: Precision of the training, in which all weights are written.

    Raises:
        InputError: See `merged_files`.
    """
    write_others(base, into, precision)
    written = set()
    for name, tensors in merged_files(base, model, method, precision):
        save_file({key: tensor.contiguous() for key, tensor in tensors}, into / name, metadata={"format": "pt"})
        written.add(name)
    if not written.issuperset(_weights_files(base)):
        (into / _INDEX).unlink(missing_ok=True)


def _weights_files(directory: Path) -> set[str]:
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
    base: Path, model: Any, method: Method, precision: Precision
) -> Iterator[tuple[str, Iterator[tuple[str, torch.Tensor]]]]:
    """Yield each weights file of the merged model with its tensors. Read the tensors of a file before the next file.

    The files and their tensors are those of the base. If a merged weight has no place in them, there is one file with all
    weights, as `save_pretrained` would write it.

    Args:
        model: The base with the adapter, loaded as it was trained.

    Raises:
        InputError: Adapters of this method cannot be merged.
    """
    causal, kind = model.get_base_model(), dtype(precision)
    merges = method.merges(model)
    quantized = {f"{name.replace('.base_layer', '')}.weight": layer for name, layer in loading.quantized_layers(causal).items()}
    stored = checkpoint.stored_shapes(base)
    direct, others = checkpoint.located(stored, causal, {*merges, *quantized})
    change = _Change(causal, merges, quantized)
    converted = checkpoint.in_checkpoint(causal, {name: change(name).to(kind) for name in sorted(others)})
    if {name: tuple(tensor.shape) for name, tensor in converted.items()}.items() <= stored.items():
        for file in sorted(base.glob("*.safetensors")):
            yield file.name, _merged_tensors(file, direct, converted, change, None if classes.towers(causal) else kind)
        return
    names = [name for name in checkpoint.saved_names(causal) if name in change.loaded]
    yield WHOLE, iter(sorted(checkpoint.in_checkpoint(causal, {name: change.whole(name, kind) for name in names}).items()))


class _Change:
    """The merged weights of a model by name, in fp32, from those that it was trained on."""

    def __init__(self, causal: Any, merges: dict[str, Merge], quantized: dict[str, Any]) -> None:
        self.loaded = checkpoint.weights(causal)
        self.merges = merges
        self.quantized = quantized

    def __call__(self, name: str, original: torch.Tensor | None = None) -> torch.Tensor:
        """Return a merged weight.

        Args:
            original: The weight in the checkpoint, by default the loaded one. Unless the base is in four bits, it is exact.
        """
        layer = self.quantized.get(name)
        if layer is not None:
            weight = loading.weight_of(layer).cpu()
            if loading.is_transposed(layer):
                weight = weight.T
        else:
            weight = (self.loaded[name] if original is None else original).detach().float().cpu()
        merge = self.merges.get(name)
        return (weight if merge is None else merge(weight)).contiguous()

    def whole(self, name: str, kind: torch.dtype) -> torch.Tensor:
        """Return a weight, merged or not; what is not merged keeps its type unless it is a floating-point number."""
        if name in self.merges or name in self.quantized:
            return self(name).to(kind)
        weight = self.loaded[name].detach().cpu()
        return weight.to(kind) if weight.is_floating_point() else weight


def _merged_tensors(
    file: Path,
    direct: Mapping[str, str],
    converted: Mapping[str, torch.Tensor],
    change: _Change,
    kind: torch.dtype | None,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of one file.

    Args:
        direct: Name of a tensor -> name of the weight.
        converted: Merged tensors that the checkpoint stores in another form than the model.
        kind: Type of what is not merged; None leaves it as it is, byte for byte.
    """
    with safe_open(file, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 (safe_open is not a mapping)
            original = tensors.get_tensor(name)
            if name in converted:
                yield name, converted[name]
            elif name in direct:
                merged = change(direct[name], original).to(kind or original.dtype)
                yield name, merged if name == direct[name] else merged.clone()  # a file may not contain one memory twice
            else:
                yield name, original.to(kind) if kind and original.is_floating_point() else original


def differences(base: Path, adapter: Path, merged: Path, trained_with: Mapping[str, Any]) -> list[str]:
    """Return the differences between a merged model and the merge of its base and adapter, tensor by tensor.

    Args:
        base, adapter, merged: Directories of artifacts; the caller has verified their digests.
        trained_with: Parameters that the artifact of the adapter records.

    Returns:
        A sentence for each tensor and each other file that differs.
    """
    precision = methods.precision_of(trained_with)
    model = loading.base_model(base, quantization=methods.quantization_of(trained_with), precision=precision)
    model = adapters.load(model, adapter)
    found: list[str] = []
    files = {file.relative_to(merged).as_posix() for file in merged.rglob("*") if file.is_file() and file.name != RECORD}
    names: set[str] = set()
    for name, tensors in merged_files(base, model, methods.method_of(trained_with), precision):
        files.discard(name)
        names.add(name)
        found += [f"{merged / name}: {reason}" for reason in _compared(tensors, merged / name)]
    with TemporaryDirectory() as scratch:
        write_others(base, Path(scratch), precision)
        if WHOLE in names and not names.issuperset(_weights_files(base)):
            (Path(scratch) / _INDEX).unlink(missing_ok=True)
        for file in sorted(Path(scratch).rglob("*")):
            name = file.relative_to(scratch).as_posix()
            if not file.is_file():
                continue
            if name not in files or file.read_bytes() != (merged / name).read_bytes():
                found.append(f"{merged / name}: differs from the base")
            files.discard(name)
    return found + [f"{merged / name}: the base has no such file" for name in sorted(files)]


def _compared(tensors: Iterator[tuple[str, torch.Tensor]], file: Path) -> Iterator[str]:
    if not file.is_file():
        yield "missing"
        return
    with safe_open(file, framework="pt") as written:
        left = set(written.keys())
        for name, expected in tensors:
            if name not in left:
                yield f"{name} is missing"
                continue
            left.remove(name)
            reason = _difference(expected, written.get_tensor(name))
            if reason is not None:
                yield f"{name} is not base plus adapter: {reason}"
        for name in sorted(left):
            yield f"{name} is not in the base"


def _difference(expected: torch.Tensor, found: torch.Tensor) -> str | None:
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return f"{tuple(found.shape)} of {found.dtype}, not {tuple(expected.shape)} of {expected.dtype}"
    if not expected.is_floating_point():
        return None if torch.equal(expected, found) else "the numbers differ"
    expected, room = expected.float(), _ROUNDING.get(expected.dtype, 0.0)
    scale = expected.abs().amax(dim=-1, keepdim=True) if expected.dim() else expected.abs()
    distance = (found.float() - expected).abs()
    wrong = ~(distance <= room * scale)  # NaN counts as wrong
    if not wrong.any():
        return None
    return f"{int(wrong.sum())} of {wrong.numel()} numbers differ, by up to {distance[wrong].max():.2g}"

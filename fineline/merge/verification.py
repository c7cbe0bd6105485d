"""Verify a merged model: merge again and compare tensor by tensor."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import safe_open

from fineline import adapters
from fineline.adapters import recorded
from fineline.artifacts import RECORD
from fineline.merge import weights
from fineline.models import loading

_ROUNDING = {torch.float32: 2.0**-18, torch.bfloat16: 2.0**-7}
"""Tolerance relative to the largest weight of a row: the order of summation differs between machines."""


def differences(base: Path, adapter: Path, merged: Path, trained_with: Mapping[str, Any]) -> list[str]:
    """Return the differences between a merged model and the merge of its base and adapter.

    Args:
        base, adapter, merged: Directories of artifacts; the caller has verified their digests.
        trained_with: Parameters that the artifact of the adapter records.

    Returns:
        A sentence for each tensor and each other file that differs.
    """
    precision = recorded.precision_of(trained_with)
    model = loading.base_model(base, quantization=recorded.quantization_of(trained_with), precision=precision)
    model = adapters.load(model, adapter)
    found: list[str] = []
    files = {file.name for file in merged.iterdir() if file.name != RECORD}
    for name, tensors in weights.merged(base, model, recorded.method_of(trained_with), precision):
        files.discard(name)
        found += [f"{merged / name}: {reason}" for reason in _compared(tensors, merged / name)]
    with TemporaryDirectory() as scratch:
        weights.write_others(base, Path(scratch), precision)
        for file in sorted(Path(scratch).iterdir()):
            if file.name not in files or file.read_bytes() != (merged / file.name).read_bytes():
                found.append(f"{merged / file.name}: differs from the base")
            files.discard(file.name)
    return found + [f"{merged / name}: the base has no such file" for name in sorted(files)]


def _compared(tensors: Iterator[tuple[str, torch.Tensor]], file: Path) -> Iterator[str]:
    if not file.is_file():
        for _ in tensors:  # reading them marks their merges as used
            pass
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

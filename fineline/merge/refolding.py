"""Whether a merged model is base plus adapter: folded once more, and compared tensor by tensor with what was written."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import safe_open

from fineline import artifacts
from fineline.merge import weights
from fineline.models import loading

_ROUNDING = {torch.float32: 2.0**-18, torch.bfloat16: 2.0**-7}
"""By how much of its row's largest weight a weight may differ: sums are added up in another order on another machine."""


def differences(base: Path, adapter: Path, merged: Path) -> list[str]:
    """Where a merged model is not what the adapter makes of its base.

    Args:
        base, adapter, merged: Artifacts, each verified by whoever asks.

    Returns:
        A sentence for each tensor and each other file.
    """
    trained_with = artifacts.read(adapter).parameters
    quantization, precision = loading.quantization_of(trained_with), loading.precision_of(trained_with)
    model = loading.base_model(base, quantization=quantization, precision=precision)
    model = loading.with_adapter(model, adapter)
    found: list[str] = []
    files = {file.name for file in merged.iterdir() if file.name != artifacts.RECORD}
    for name, tensors in weights.folded(base, model, precision):
        files.discard(name)
        found += [f"{merged / name}: {reason}" for reason in _compared(tensors, merged / name)]
    with TemporaryDirectory() as scratch:
        weights.write_others(base, Path(scratch), precision)
        for file in sorted(Path(scratch).iterdir()):
            if file.name not in files or file.read_bytes() != (merged / file.name).read_bytes():
                found.append(f"{merged / file.name}: not the base's")
            files.discard(file.name)
    return found + [f"{merged / name}: the base has no such file" for name in sorted(files)]


def _compared(tensors: Iterator[tuple[str, torch.Tensor]], file: Path) -> Iterator[str]:
    if not file.is_file():
        for _ in tensors:  # so that what they are made of counts as used
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
        return None if torch.equal(expected, found) else "other numbers"
    expected, room = expected.float(), _ROUNDING.get(expected.dtype, 0.0)
    scale = expected.abs().amax(dim=-1, keepdim=True) if expected.dim() else expected.abs()
    distance = (found.float() - expected).abs()
    wrong = ~(distance <= room * scale)  # NaN is wrong too
    if not wrong.any():
        return None
    return f"{int(wrong.sum())} of {wrong.numel()} numbers differ, by up to {distance[wrong].max():.2g}"

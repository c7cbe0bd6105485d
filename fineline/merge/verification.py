"""Verify a merged model: merge again and compare tensor by tensor."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from fineline.adapters import methods
from fineline.artifacts import RECORD
from fineline.merge import weights
from fineline.merge.weights import MergedFile
from fineline.models import tensor_files

_ROWS = 4096  # that are compared at once
_ROUNDING = {torch.float32: 2.0**-18, torch.bfloat16: 2.0**-7}
"""Tolerance relative to the largest weight of a row: the order of summation differs between machines."""


def differences(
    base: Path, adapter: Path, merged: Path, trained_with: Mapping[str, Any], merged_into: str | None = None
) -> list[str]:
    """Return the differences between a merged model and the merge of its base and adapter, tensor by tensor.

    Args:
        base, adapter, merged: Directories of artifacts; the caller has verified their digests.
        trained_with: Parameters that the artifact of the adapter records.
        merged_into: `original` if the adapter was merged into the original weights, although the base was in four bits during
            the training; by default the weights of the training.

    Returns:
        A sentence for each tensor and each other file that differs.
    """
    method, precision = methods.method_of(trained_with), methods.precision_of(trained_with)
    quantization = None if merged_into == "original" else methods.quantization_of(trained_with)
    model = weights.loaded(base, adapter, method, precision)
    found: list[str] = []
    files = {file.relative_to(merged).as_posix() for file in merged.rglob("*") if file.is_file() and file.name != RECORD}
    names: set[str] = set()
    for file in weights.merged_files(base, model, method, precision, quantization):
        files.discard(file.name)
        names.add(file.name)
        found += [f"{merged / file.name}: {reason}" for reason in _compared(file, merged / file.name)]
    with TemporaryDirectory() as scratch:
        weights.write_others(base, Path(scratch), precision)
        if weights.WHOLE in names and not names.issuperset(weights.weights_files(base)):
            (Path(scratch) / weights.INDEX).unlink(missing_ok=True)
        for other in sorted(Path(scratch).rglob("*")):
            name = other.relative_to(scratch).as_posix()
            if not other.is_file():
                continue
            if name not in files or other.read_bytes() != (merged / name).read_bytes():
                found.append(f"{merged / name}: differs from the base")
            files.discard(name)
    return found + [f"{merged / name}: the base has no such file" for name in sorted(files)]


def _compared(expected: MergedFile, file: Path) -> Iterator[str]:
    if not file.is_file():
        yield "missing"
        return
    written = tensor_files.Reader(file)
    left = set(written.forms)
    for name in expected.forms:
        if name not in left:
            yield f"{name} is missing"
            continue
        left.remove(name)
        reason = _difference(expected.tensor(name), written.tensor(name))
        if reason is not None:
            yield f"{name} is not base plus adapter: {reason}"
    for name in sorted(left):
        yield f"{name} is not in the base"


def _difference(expected: torch.Tensor, found: torch.Tensor) -> str | None:
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return f"{tuple(found.shape)} of {found.dtype}, not {tuple(expected.shape)} of {expected.dtype}"
    if not expected.is_floating_point():
        return None if torch.equal(expected, found) else "the numbers differ"
    room, rows = _ROUNDING.get(expected.dtype, 0.0), [(part if part.dim() else part[None]) for part in (expected, found)]
    wrong, largest = 0, 0.0
    for one, other in zip(*(part.flatten(0, -2).split(_ROWS) if part.dim() > 1 else [part] for part in rows), strict=True):
        exact = one.float()
        distance = (other.float() - exact).abs()
        off = ~(distance <= room * exact.abs().amax(dim=-1, keepdim=True))  # NaN counts as wrong
        if off.any():
            wrong += int(off.sum())
            largest = max(largest, float(distance[off].max()), key=lambda number: (math.isnan(number), number))
    return f"{wrong} of {expected.numel()} numbers differ, by up to {largest:.2g}" if wrong else None

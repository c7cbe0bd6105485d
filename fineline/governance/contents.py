"""Check the files of an artifact: weights and configuration only, no programs, pickles or references to other places."""

import json
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

_WIDTHS = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4}
_WIDTHS |= {"F32": 4, "U64": 8, "I64": 8, "F64": 8}
_RUNS = {".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".sh", ".exe", ".jar", ".wasm", ".ipynb"}
_PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy", ".npz", ".h5", ".keras", ".dill"}
_LARGEST_HEADER = 100 * 2**20  # the limit of the safetensors library


def problems(directory: Path) -> list[str]:
    """Return a sentence for each file that must not be in an artifact."""
    found = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        reason = _problem(file, directory)
        if reason:
            found.append(f"{file}: {reason}")
    return found


def _problem(file: Path, directory: Path) -> str | None:
    if file.is_symlink():
        return "a link, whose target may change; run `dvc config cache.type reflink,copy`, then `dvc checkout --relink`"
    suffix = file.suffix.casefold()
    if suffix in _RUNS:
        return "a program; an artifact contains data only"
    if suffix in _PICKLES:
        return "may contain a pickle, which runs code when it is read; save weights as safetensors"
    with file.open("rb") as stream:
        start = stream.read(4)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle, which runs code when it is read"
    if start in (b"\x7fELF", b"MZ\x90\x00", b"PK\x03\x04"):
        return "a program or an archive; an artifact contains data only"
    if suffix == ".safetensors":
        return _tensors(file)
    if suffix == ".onnx":
        return _onnx(file, directory)
    return None


def _tensors(file: Path) -> str | None:
    """Return what is wrong with a safetensors file: its tensors must fill it without gaps or overlaps."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEADER):
            return "its header is longer than the file"
        raw = stream.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=_once)
        spans = sorted((*_span(name, entry), name) for name, entry in header.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"not a valid safetensors header: {error}"
    data = size - 8 - length
    if spans and (spans[0][0] != 0 or spans[-1][1] != data):
        return f"its tensors do not fill the {data} bytes after the header"
    for (_, end, name), (start, _, other) in pairwise(spans):
        if end != start:
            return f"the tensors {name!r} and {other!r} overlap or leave a gap"
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate tensor name")
    return found


def _span(name: str, entry: Any) -> tuple[int, int]:
    start, end = entry["data_offsets"]
    count = 1
    for extent in entry["shape"]:
        count *= extent
    if not 0 <= start <= end or end - start != count * _WIDTHS[entry["dtype"]]:
        raise ValueError(f"the tensor {name!r} has offsets that do not fit its shape")
    return start, end


def _onnx(file: Path, directory: Path) -> str | None:
    """Return what is wrong with an ONNX file: its external weights must be files next to it."""
    import onnx
    from onnx.external_data_helper import _get_all_tensors

    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf and onnx raise many kinds of errors
        return f"not an ONNX model: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    for tensor in _get_all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        path = PurePosixPath(location)
        if path.is_absolute() or ".." in path.parts or "\\" in location or not (file.parent / location).is_file():
            return f"the weights of {tensor.name!r} are expected at {location!r}, which is not a file next to the model"
    return None

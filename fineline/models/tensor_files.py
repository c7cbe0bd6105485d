"""Read and write safetensors files one tensor at a time: neither a file nor its mapping is in memory as a whole.

The format is an 8-byte length, a JSON header and the numbers (https://github.com/huggingface/safetensors#format). Files are
written byte for byte as the library writes them, so the digest of a model does not depend on how it was written.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fineline.errors import FinelineError

_TYPES = {
    "U64": torch.uint64, "I64": torch.int64, "F64": torch.float64, "C64": torch.complex64, "F32": torch.float32,
    "U32": torch.uint32, "I32": torch.int32, "BF16": torch.bfloat16, "F16": torch.float16, "U16": torch.uint16,
    "I16": torch.int16, "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""Name in a header -> type, in the order in which the library writes the tensors of a file; those of one type by name."""
_NAMES = {kind: name for name, kind in _TYPES.items()}
_ALIGNMENT = 8
_AT_ONCE = 2**24  # bytes; safetensors files are written in pieces of this size


class Form(NamedTuple):
    """Type and shape of a tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of the numbers."""
        return self.dtype.itemsize * torch.Size(self.shape).numel()


class Reader:
    """The tensors of a file. Each is read when it is asked for, into new memory.

    Args:
        file: A safetensors file that was checked before (`fineline.models.integrity`).
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        self.forms = {name: Form(_TYPES[entry["dtype"]], tuple(entry["shape"])) for name, entry in header.items()}
        self._starts = {name: 8 + length + entry["data_offsets"][0] for name, entry in header.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor.

        Raises:
            FinelineError: The file was cut short.
        """
        form = self.forms[name]
        numbers = torch.empty(form.bytes, dtype=torch.uint8)
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(self._starts[name])
            room, filled = numbers.numpy().data, 0
            while filled < form.bytes:
                count = stream.readinto(room[filled:])
                if not count:
                    raise FinelineError(f"{self.file}: ends within {name}; fetch or make the model again")
                filled += count
        return numbers.view(form.dtype).reshape(form.shape)


def write(file: Path, forms: Mapping[str, Form], tensor: Callable[[str], torch.Tensor]) -> None:
    """Write a file whose tensors are computed one after another.

    Args:
        forms: Name -> type and shape of each tensor.
        tensor: Returns a tensor by its name; it is called once for each, in the order of the file.

    Raises:
        ValueError: A tensor has another type or shape.
    """
    order = sorted(forms, key=lambda name: (list(_NAMES).index(forms[name].dtype), name.encode()))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        dtype, shape = forms[name]
        start, end = end, end + forms[name].bytes
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with file.open("wb", buffering=0) as stream:
        _all(stream, len(text).to_bytes(8, "little") + text)
        for name in order:
            found = tensor(name)
            if (found.dtype, tuple(found.shape)) != forms[name]:
                raise ValueError(
                    f"{name} is {tuple(found.shape)} of {found.dtype}, not {forms[name].shape} of {forms[name].dtype}"
                )
            _all(stream, found.contiguous().reshape(-1).view(torch.uint8).numpy().data)
            del found  # before the next one is computed


def _all(stream: Any, content: bytes | memoryview) -> None:
    written = 0
    while written < len(content):
        written += stream.write(content[written : written + _AT_ONCE])

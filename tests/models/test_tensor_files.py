"""Safetensors files that are read and written one tensor at a time."""

import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file

from fineline.errors import FinelineError
from fineline.models import tensor_files
from fineline.models.tensor_files import Form

KINDS = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool, torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu,
    torch.complex64,
]  # fmt: skip


@pytest.fixture
def tensors():
    """Tensors of every type, a scalar, an empty one, and names that JSON escapes."""
    found = {f"b.{kind}": torch.arange(6).reshape(2, 3).to(torch.float32).to(kind) for kind in KINDS}
    return found | {"scalar": torch.tensor(1.5), 'ü "q"\\': torch.zeros(2, 0, 5), "a": torch.ones(3, dtype=torch.bfloat16)}


def forms(tensors):
    return {name: Form(tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


def bits(tensor):
    return tensor.reshape(-1).view(torch.uint8)


def test_a_file_has_the_bytes_that_the_library_writes(tmp_path, tensors):
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    tensor_files.write(tmp_path / "ours", forms(tensors), tensors.__getitem__)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_what_is_read_is_what_the_library_reads(tmp_path, tensors):
    save_file(tensors, tmp_path / "file", metadata={"format": "pt"})
    reader, theirs = tensor_files.Reader(tmp_path / "file"), load_file(tmp_path / "file")
    assert reader.forms == forms(tensors)
    for name, tensor in theirs.items():
        assert torch.equal(bits(reader.tensor(name)), bits(tensor))


def test_no_tensor_is_kept_after_it_was_written(tmp_path):
    written = []

    def tensor(name):
        assert all(reference() is None for reference in written)
        found = torch.full((2,), float(name))
        written.append(weakref.ref(found))
        return found

    tensor_files.write(tmp_path / "file", {str(number): Form(torch.float32, (2,)) for number in range(3)}, tensor)
    assert {name: float(value[0]) for name, value in load_file(tmp_path / "file").items()} == {"0": 0.0, "1": 1.0, "2": 2.0}


def test_a_tensor_of_another_form_is_a_defect(tmp_path):
    with pytest.raises(ValueError, match=r"a is \(3,\) of torch.float32, not \(2,\) of torch.float32"):
        tensor_files.write(tmp_path / "file", {"a": Form(torch.float32, (2,))}, lambda _: torch.zeros(3))


def test_a_file_that_was_cut_short(tmp_path, tensors):
    save_file({"a": torch.zeros(100)}, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[:-4])
    with pytest.raises(FinelineError, match="file: ends within a"):
        tensor_files.Reader(tmp_path / "file").tensor("a")

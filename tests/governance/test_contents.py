"""Files that must not be in an artifact."""

import json
import pickle
import struct

import pytest

from fineline.governance import contents
from tests.governance.conftest import network, tensors


def only(directory):
    (problem,) = contents.problems(directory)
    return problem


def test_weights_and_configuration_are_fine(tmp_path):
    tensors(tmp_path, 1.0)
    network(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert contents.problems(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["model.py", "sub/custom.PY", "kernel.so", "run.sh", "weights.bin", "adapter.pt", "a.pkl", "b.npz"]
)
def test_files_that_run_or_may_be_pickles(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("x")
    assert ("program" if name.split(".")[-1].lower() in ("py", "so", "sh") else "pickle") in only(tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_under_another_name(tmp_path, protocol):
    (tmp_path / "notes.txt").write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    assert "a pickle, which runs code when it is read" in only(tmp_path)


@pytest.mark.parametrize("start", [b"\x7fELF", b"PK\x03\x04", b"MZ\x90\x00"])
def test_a_program_or_an_archive_under_another_name(tmp_path, start):
    (tmp_path / "notes.txt").write_bytes(start + b"....")
    assert "a program or an archive" in only(tmp_path)


def header(entries, data=b"\0" * 8):
    raw = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensor(first, last, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (header({"a": tensor(0, 4), "b": tensor(0, 4)}), "do not fill"),
        (header({"a": tensor(0, 8, (2,)), "b": tensor(4, 8)}), "overlap or leave a gap"),
        (header({"a": tensor(0, 4)}), "do not fill the 8 bytes"),
        (header({"a": tensor(4, 8)}), "do not fill"),
        (header({"a": tensor(0, 4), "b": tensor(4, 12, (2,))}), "do not fill"),
        (header({"a": tensor(0, 8)}), "offsets that do not fit its shape"),
        (header({"a": tensor(-4, 4, (2,))}), "offsets that do not fit its shape"),
        (header({"a": tensor(0, 8, (2,), "F33")}), "not a valid safetensors header"),
        (header(b'{"a": 1, "a": 2}'), "duplicate tensor name"),
        (header(b"not json"), "not a valid safetensors header"),
        (struct.pack("<Q", 2**40) + b"{}", "its header is longer than the file"),
        (b"\0\0", "its header is longer than the file"),
    ],
)
def test_a_safetensors_file_with_wrong_offsets(tmp_path, content, complaint):
    (tmp_path / "model.safetensors").write_bytes(content)
    assert complaint in only(tmp_path)


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "..\\x", "missing.data"])
def test_onnx_weights_in_another_place(tmp_path, location):
    network(tmp_path, location)
    assert f"are expected at {location!r}, which is not a file next to the model" in only(tmp_path)


def test_a_file_that_is_not_an_onnx_model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 40)
    assert "not an ONNX model" in only(tmp_path)

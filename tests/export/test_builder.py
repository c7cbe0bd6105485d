"""The conversion: unsupported architectures. The resulting graph is tested in tests/test_chain.py."""

import json
import shutil

import pytest

from fineline.errors import InputError
from fineline.export import onnx


def test_an_unsupported_architecture_is_an_input_error(tiny_base, tmp_path):
    model = shutil.copytree(tiny_base, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["OPTForCausalLM"]}))
    with pytest.raises(InputError, match="does not support this architecture"):
        onnx.build(model, "fp32", tmp_path / "out", tmp_path / "cache")

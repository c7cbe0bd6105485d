"""The conversion: what the graph holds, and what is refused."""

import json
import shutil

import onnx
import pytest

from pipelines.errors import InputError
from pipelines.export import builder


def test_int4_keeps_eight_bits_where_it_matters(tiny_base, tmp_path):
    builder.build(tiny_base, "int4", tmp_path / "out", tmp_path / "cache")
    graph = onnx.load(tmp_path / "out" / "model.onnx", load_external_data=False).graph
    bits = {
        attribute.i
        for node in graph.node
        if node.op_type == "MatMulNBits"
        for attribute in node.attribute
        if attribute.name == "bits"
    }
    assert bits == {4, 8}
    assert {"config.json", "generation_config.json", "genai_config.json"} <= {
        file.name for file in (tmp_path / "out").iterdir()
    }


def test_an_architecture_that_the_builder_does_not_know_is_an_input_error(tiny_base, tmp_path):
    model = shutil.copytree(tiny_base, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["OPTForCausalLM"]}))
    with pytest.raises(InputError, match="does not know this architecture"):
        builder.build(model, "fp32", tmp_path / "out", tmp_path / "cache")

"""The conversion: what is refused. What the graph holds is tested on the whole chain."""

import json
import shutil

import pytest

from fineline.errors import InputError
from fineline.export import builder


def test_an_architecture_that_the_builder_does_not_know_is_an_input_error(tiny_base, tmp_path):
    model = shutil.copytree(tiny_base, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["OPTForCausalLM"]}))
    with pytest.raises(InputError, match="does not know this architecture"):
        builder.build(model, "fp32", tmp_path / "out", tmp_path / "cache")

"""Merge verification at promotion: other merged weights are refused, even if they are signed."""

import pytest
from safetensors.torch import load_file, save_file

from fineline.errors import Refused
from fineline.governance import store
from tests.governance.conftest import NAME, candidate, trained


def other(merged):
    """Change one number of the merged weights."""
    tensors = load_file(merged / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.weight"][0, 0] += 0.5
    save_file(tensors, merged / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def real(world, tiny_base):
    """A candidate with a base, a LoRA adapter and a merged model that transformers and PEFT read."""
    world.rules["channels"]["production"]["refolded"] = True
    return lambda honest: candidate("1", weights=trained(tiny_base, None if honest else other))


def test_base_plus_adapter_may_be_promoted(world, real):
    real(honest=True)
    world.ready()
    assert world.promote().predicate["release"]["candidate"] == world.digest()


def test_other_merged_weights_are_refused(world, real):
    """Every record is consistent and signed, and the report says that merging passed; only the weights differ."""
    real(honest=False)
    world.ready()
    expected = r"model.layers.0.self_attn.q_proj.weight is not base plus adapter: 1 of \d+ numbers differ, by up to 0.5"
    with pytest.raises(Refused, match=expected):
        world.promote()
    assert store.current(NAME, "production") is None
    assert not [path for path in (store.ROOT / NAME).iterdir() if path.is_dir()]

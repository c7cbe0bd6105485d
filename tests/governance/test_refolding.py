"""Promotion folds the adapter into its base again: a merged model that is something else is refused, whoever signed for it."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from pipelines import adapters, layout, loading
from pipelines.errors import Refused
from pipelines.governance import store
from pipelines.merge import weights
from tests.adapters.cases import CASES
from tests.governance.conftest import NAME, candidate
from tests.merge.conftest import moved


@pytest.fixture
def real(world, tiny_base):
    """A candidate with a base, a LoRA adapter and a merged model that transformers and PEFT read."""
    world.rules["channels"]["production"]["refolded"] = True

    def base(at):
        shutil.copytree(tiny_base, at, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))

    def adapter(at):
        adapters.save(moved(CASES["lora"], layout.base("tiny")), at)

    def merged(at):
        model = loading.with_adapter(loading.base_model(layout.base("tiny")), layout.adapter(NAME))
        weights.write(layout.base("tiny"), model, at, "bf16")

    def other(at):
        merged(at)
        tensors = load_file(at / "model.safetensors")
        tensors["model.layers.0.self_attn.q_proj.weight"][0, 0] += 0.5
        save_file(tensors, at / "model.safetensors", metadata={"format": "pt"})

    return lambda honest: candidate("1", weights={"base": base, "adapter": adapter, "merged": merged if honest else other})


def test_base_plus_adapter_may_be_promoted(world, real):
    real(honest=True)
    world.ready()
    assert world.promote().said["release"]["candidate"] == world.digest()


def test_merged_weights_that_are_something_else(world, real):
    """Every record is consistent and signed, the report says that merging passed; only the weights tell."""
    real(honest=False)
    world.ready()
    expected = r"model.layers.0.self_attn.q_proj.weight is not base plus adapter: 1 of \d+ numbers differ, by up to 0.5"
    with pytest.raises(Refused, match=expected):
        world.promote()
    assert store.current(NAME, "production") is None
    assert not [path for path in (store.ROOT / NAME).iterdir() if path.is_dir()]

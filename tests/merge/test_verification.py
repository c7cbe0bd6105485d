"""Merged weights that are not base plus adapter are found, however small the difference."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from fineline import adapters, artifacts
from fineline.adapters.methods import METHODS
from fineline.merge import weights
from fineline.merge.verification import differences
from tests.adapters.cases import CASES, MERGEABLE, loaded_base
from tests.merge.conftest import moved


def made(name, bases, tmp_path, precision="bf16"):
    """Base, adapter and merged model, on disk as the stages leave them, and the recorded parameters of the adapter."""
    case = CASES[name]
    base = bases[case.base]
    adapter, merged = tmp_path / "adapter", tmp_path / "merged"
    parameters = case.train.model_dump(mode="json", exclude_unset=True) | {"precision": precision}
    with artifacts.create(adapter, kind="adapter", name=name, stage="train", parameters=parameters) as directory:
        adapters.save(moved(case, base), directory)
    with artifacts.create(merged, kind="merged-model", name=name, stage="merge") as directory:
        model = adapters.load(loaded_base(case, base, precision), adapter)
        weights.write(base, model, directory, METHODS[case.train.method], precision)
    return base, adapter, merged, artifacts.read(adapter).parameters


def edited(merged, edit):
    """Change the tensors of a model."""
    file = merged / "model.safetensors"
    tensors = load_file(file)
    edit(tensors)
    file.chmod(0o644)
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("name", MERGEABLE)
def test_what_the_stage_wrote_is_base_plus_adapter(bases, tmp_path, name):
    assert differences(*made(name, bases, tmp_path)) == []


def test_in_fp32_too(bases, tmp_path):
    assert differences(*made("lora", bases, tmp_path, "fp32")) == []


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_one_number_of_one_weight(bases, tmp_path, precision):
    base, adapter, merged, trained_with = made("lora", bases, tmp_path, precision)

    def move(tensors):
        weight = tensors["model.layers.0.mlp.up_proj.weight"]
        weight[3, 5] += 0.1 * weight[3].abs().max()

    edited(merged, move)
    (reason,) = differences(base, adapter, merged, trained_with)
    assert "model.layers.0.mlp.up_proj.weight is not base plus adapter: 1 of " in reason
    assert reason.startswith(f"{merged}/model.safetensors: ")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda tensors: tensors["model.norm.weight"].fill_(float("nan")), "not base plus adapter"),
        (lambda tensors: tensors.pop("model.norm.weight"), "model.norm.weight is missing"),
        (lambda tensors: tensors.update(more=torch.zeros(2)), "more is not in the base"),
        (lambda tensors: tensors.update({"model.norm.weight": tensors["model.norm.weight"].double()}), "of torch.float64, not"),
        (lambda tensors: tensors.update({"model.norm.weight": tensors["model.norm.weight"][:-1]}), "is not base plus adapter"),
    ],
)
def test_a_tensor_changed_left_out_or_added(bases, tmp_path, edit, expected):
    base, adapter, merged, trained_with = made("lora", bases, tmp_path)
    edited(merged, edit)
    (reason,) = differences(base, adapter, merged, trained_with)
    assert expected in reason


def test_weights_of_another_adapter(bases, tmp_path):
    base, adapter, merged, trained_with = made("lora", bases, tmp_path)
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, adapter / "adapter_model.safetensors")
    assert len(differences(base, adapter, merged, trained_with)) > 1


def test_a_changed_or_additional_file(bases, tmp_path):
    base, adapter, merged, trained_with = made("lora", bases, tmp_path)
    config = merged / "config.json"
    content = json.loads(config.read_text())
    content["rms_norm_eps"] = 0.5
    config.chmod(0o644)
    config.write_text(json.dumps(content))
    (merged / "more.safetensors").write_bytes((merged / "model.safetensors").read_bytes())
    (merged / "generation_config.json").unlink(missing_ok=True)
    found = differences(base, adapter, merged, trained_with)
    assert f"{config}: differs from the base" in found
    assert f"{merged}/more.safetensors: the base has no such file" in found


def test_a_missing_weights_file(bases, tmp_path):
    base, adapter, merged, trained_with = made("lora", bases, tmp_path)
    (merged / "model.safetensors").unlink()
    assert differences(base, adapter, merged, trained_with) == [f"{merged}/model.safetensors: missing"]

"""The layers that are adapted, and incompatible bases and settings."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from fineline import adapters
from fineline.adapters import targets
from fineline.adapters.native import Shift
from fineline.errors import InputError
from fineline.models import loading
from fineline.project.params.training import Train
from tests import zoo
from tests.adapters.cases import CASES, loaded_base, logits, new

ATTENTION = ["k_proj", "o_proj", "q_proj", "v_proj"]
MLP = ["down_proj", "gate_proj", "up_proj"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("all-linear", sorted(ATTENTION + MLP)),
        ("attention", ATTENTION),
        (["self_attn.q_proj", "down_proj"], ["down_proj", "self_attn.q_proj"]),
    ],
)
def test_targets_are_endings_of_linear_layers(bases, asked, expected):
    assert targets.resolve(loaded_base(CASES["lora"], bases["plain"]), asked) == expected


def test_layers_of_any_class_that_multiplies_are_targets():
    """GPT-2's are transformers' Conv1D, Falcon's a subclass of Linear."""
    assert targets.resolve(zoo.build("gpt2"), "all-linear") == ["c_attn", "c_fc", "c_proj"]
    assert "query_key_value" in targets.resolve(zoo.build("falcon"), "all-linear")


def test_layers_that_share_one_weight_are_left_out():
    """Zamba's attention blocks do; adapters of each could not be merged into the one weight."""
    model = zoo.build("zamba2")
    names = targets.linear_layers(model)
    assert names
    assert not any("shared_transformer.self_attn" in name for name in names)


def test_targets_are_in_the_language_part_only():
    model = zoo.build("gemma3")
    adapted = adapters.attach(model.requires_grad_(False), Train(method="lora"))
    names = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert names
    assert all(".language_model." in name for name in names)


@pytest.mark.parametrize(
    ("asked", "layers", "parameters"),
    [
        ("all-linear", ATTENTION, []),
        ("attention", ATTENTION, []),
        ("experts", [], ["experts.down_proj", "experts.gate_up_proj"]),
        ("all", ATTENTION, ["experts.down_proj", "experts.gate_up_proj"]),
        (["q_proj", "experts.down_proj"], ["q_proj"], ["experts.down_proj"]),
    ],
)
def test_targets_of_a_mixture_of_experts(asked, layers, parameters):
    model = zoo.build("mixtral")
    assert targets.resolve(model, asked) == layers
    assert targets.resolve_parameters(model, asked) == parameters


@pytest.mark.parametrize(
    ("family", "train", "message"),
    [
        ("llama", {"method": "lora", "targets": "experts"}, "has no experts; use all-linear"),
        ("mixtral", {"method": "lora", "targets": "experts", "dropout": 0.1}, "set `train.dropout: 0`"),
        ("mixtral", {"method": "dora", "targets": "all"}, "dora cannot be applied to the weights of experts"),
        ("mixtral", {"method": "vera", "targets": "all"}, "vera cannot be applied to the weights of experts"),
        ("mamba2", {"method": "lora", "targets": ["out_proj"]}, "out_proj cannot be adapted: kernels of this model"),
        ("mamba2", {"method": "prefix"}, "a prefix is keys and values in every layer, and a mamba2 model"),
    ],
)
def test_what_experts_and_state_space_layers_do_not_allow(family, train, message):
    with pytest.raises(InputError, match=message):
        adapters.attach(zoo.build(family).requires_grad_(False), Train(**train))


@pytest.mark.parametrize("kind", ["plain", "biased"])
def test_ia3_rescales_keys_values_and_the_inner_activations_of_the_mlp(bases, kind):
    model = loaded_base(CASES["lora"], bases[kind])
    assert targets.rescaled_layers(model) == (["down_proj", "k_proj", "v_proj"], ["down_proj"])


def test_the_saved_targets_are_the_layers_that_were_adapted(trained):
    config = json.loads((trained["lora-named"].directory / "adapter_config.json").read_text())
    assert config["target_modules"] == ["self_attn.q_proj", "up_proj"]
    names = load_file(trained["lora-named"].directory / "adapter_model.safetensors")
    assert {name.split(".")[-3] for name in names} == {"q_proj", "up_proj"}


@pytest.mark.parametrize(("placement", "name"), [(1, "bottleneck"), (2, "bottleneck-houlsby")])
def test_new_bottlenecks_change_nothing(bases, placement, name):
    case = CASES[name]
    model = new(case, bases["plain"])
    assert len(model.layers) == 2 * placement
    assert torch.equal(logits(model), logits(loaded_base(case, bases["plain"])))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"method": "lora", "targets": ["q_prj"]}, r"train.targets: .*'q_prj'; did you mean 'q_proj'"),
        ({"method": "lora", "targets": ["lm_head"]}, r"train.targets: .*'lm_head'"),
        ({"method": "lora", "targets": ["mlp"]}, r"train.targets: .*'mlp'"),
        ({"method": "lora", "initialization": "eva"}, "eva needs training rows"),
        ({"method": "bitfit"}, "llama model has none; use ia3"),
        ({"method": "auto"}, "auto cannot be attached to a model"),
    ],
)
def test_incompatible_settings_are_refused(bases, train, message):
    with pytest.raises(InputError, match=message):
        adapters.attach(loaded_base(CASES["lora"], bases["plain"]), Train(**train))


@pytest.mark.parametrize("name", ["bottleneck", "full"])
def test_an_adapter_of_another_base_is_refused(trained, bases, name):
    with pytest.raises(InputError, match="model_type llama"):
        adapters.load(loaded_base(CASES[name], bases["biased"]), trained[name].directory)


def test_a_directory_without_weights_is_refused(bases, tmp_path):
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        adapters.load(loaded_base(CASES["lora"], bases["plain"]), tmp_path)


def test_an_adapter_of_an_unknown_type_is_refused(trained, bases, tmp_path):
    directory = tmp_path / "adapter"
    shutil.copytree(trained["lora"].directory, directory)
    (directory / "adapter_config.json").write_text('{"peft_type": "LOHA"}')
    with pytest.raises(InputError, match=r"adapter_config\.json: unknown peft_type 'LOHA'; accepted: LORA, VERA"):
        adapters.load(loaded_base(CASES["lora"], bases["plain"]), directory)


def test_a_trained_bias_equals_that_of_the_merged_model():
    """Rounded to bf16 in training already, also where the base is kept in fp32."""
    shift = Shift(torch.tensor([100.0, 1.0]))
    with torch.no_grad():
        shift.distance += torch.tensor([0.2, 0.001])
    moved = shift(torch.tensor([100.0, 1.0]))
    assert moved.dtype == torch.float32
    assert torch.equal(moved, torch.tensor([100.0, 1.0]))  # bf16 has no number between 100 and 100.5
    moved.sum().backward()
    assert torch.equal(shift.distance.grad, torch.ones(2))


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_full_fine_tuning_saves_the_types_of_the_base_at_any_precision(tiny_base, tmp_path, precision):
    loaded = loading.base_model(tiny_base, precision=precision)
    adapters.save(adapters.attach(loaded, Train(method="full"), base=tiny_base), tmp_path)
    assert {weight.dtype for weight in load_file(tmp_path / "adapter_model.safetensors").values()} == {torch.bfloat16}

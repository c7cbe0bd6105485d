"""Every method learns, does not change its base, and is the same after saving and loading."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from fineline import adapters
from fineline.models import loading
from fineline.train import attention
from tests.adapters.cases import CASES, PROMPT_LEARNING, batch, loaded_base, logits, new

every_case = pytest.mark.parametrize("name", list(CASES))


def base_weights(model):
    """The weights of the base inside an adapted model, by their own names."""
    weights = {}
    for name, weight in model.get_base_model().named_parameters():
        name = name.replace(".base_layer", "").replace(".parametrizations.bias.original", ".bias")
        if not weight.requires_grad:
            weights[name] = weight
    return weights


@every_case
def test_the_loss_falls(trained, name):
    losses = trained[name].losses
    assert losses[-1] < losses[0] - 0.02


@every_case
def test_only_what_the_method_trains_is_trained_and_it_is_in_fp32(trained, name):
    model = trained[name].model
    learned = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}
    assert learned
    assert all(weight.dtype == torch.float32 for weight in learned.values())
    assert all(weight.grad is not None for weight in learned.values())
    assert CASES[name].train.method == "full" or len(learned) < len(list(model.parameters()))


@every_case
def test_the_base_is_bit_for_bit_what_it_was(trained, name):
    case = trained[name]
    fresh = dict(loaded_base(case.case, case.base).named_parameters())
    kept = base_weights(case.model)
    assert case.case.train.method == "full" or kept.keys() >= fresh.keys()
    assert all(torch.equal(kept[key], fresh[key]) for key in kept if key in fresh)


@every_case
def test_without_its_adapter_the_model_is_its_base(trained, name):
    case = trained[name]
    model = adapters.load(loaded_base(case.case, case.base), case.directory)
    adapted = logits(model)
    with model.disable_adapter():
        plain = logits(model)
    assert torch.equal(plain, logits(loaded_base(case.case, case.base)))
    assert not torch.equal(plain, adapted)
    assert torch.equal(logits(model), adapted)


@every_case
def test_a_fresh_process_answers_as_the_trained_model(trained, fresh_logits, name):
    case = trained[name]
    if name in PROMPT_LEARNING:
        expected = adapters.load(loaded_base(case.case, case.base), case.directory)
    elif name == "full":  # as saved: rounded to the base's type
        expected = AutoModelForCausalLM.from_pretrained(case.base, dtype=torch.bfloat16)
        weights = {key: weight.to(torch.bfloat16) for key, weight in case.model.get_base_model().named_parameters()}
        expected.load_state_dict(weights, strict=False)
        assert torch.equal(expected.lm_head.weight, weights["model.embed_tokens.weight"])
    else:
        expected = case.model
    assert torch.equal(logits(expected), fresh_logits[name])


@every_case
def test_a_loaded_adapter_has_nothing_to_train(trained, name):
    case = trained[name]
    model = adapters.load(loaded_base(case.case, case.base), case.directory)
    assert not model.training
    assert not [key for key, weight in model.named_parameters() if weight.requires_grad]


@every_case
def test_the_same_training_gives_the_same_two_files(trained, tmp_path, name):
    case = trained[name]
    adapters.save(case.model, tmp_path / "again")
    assert {file.name for file in (tmp_path / "again").iterdir()} == set(adapters.FILES)
    for file in adapters.FILES:
        assert (tmp_path / "again" / file).read_bytes() == (case.directory / file).read_bytes()


@every_case
def test_initialization_depends_on_the_seed_only(trained, tmp_path, name):
    case = trained[name]
    for directory in ("one", "two"):
        adapters.save(new(case.case, case.base), tmp_path / directory)
    for file in adapters.FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("name", ["prefix", "lora-eva"])
def test_initialization_is_the_same_on_a_model_loaded_for_training(bases, tmp_path, name):
    """With the attention of the training loop, which needs a layout of rows, and with recomputation."""
    case = CASES[name]
    adapters.save(new(case, bases["plain"]), tmp_path / "plain")
    attention.register()
    model = loading.base_model(bases["plain"], attention=attention.NAME)
    model.activation_checkpointing_enable({"use_reentrant": False})
    torch.manual_seed(0)
    adapters.save(adapters.attach(model.train(), case.train, bases["plain"], iter([batch()])), tmp_path / "loop")
    assert model.training
    assert model.config._attn_implementation == attention.NAME
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    for file in adapters.FILES:
        assert (tmp_path / "plain" / file).read_bytes() == (tmp_path / "loop" / file).read_bytes()


@every_case
def test_no_file_names_this_machine(trained, name):
    assert str(trained[name].base.parent) not in (trained[name].directory / "adapter_config.json").read_text()

"""Shapes from configurations alone: of published models, from a directory, a file and the Hub; and what is refused."""

import subprocess
import sys
import time

import pytest

from fineline.errors import InputError
from fineline.models import shape
from tests import zoo
from tests.hub_server import serving
from tests.models.shapes import GPT_NEOX, LLAMA_31_8B, LLAMA_31_70B, QWEN2, write_config


def test_parameters_of_published_models(llama_2_7b, llama_31_8b):
    assert llama_2_7b.parameters == 6_738_415_616
    assert llama_31_8b.parameters == 8_030_261_248
    assert (llama_31_8b.heads, llama_31_8b.kv_heads, llama_31_8b.head_dim) == (32, 8, 128)
    assert llama_31_8b.gated
    assert not llama_31_8b.tied


def test_a_model_of_seventy_billion_parameters_takes_seconds(tmp_path):
    started = time.perf_counter()
    large = shape.of_model(write_config(tmp_path, LLAMA_31_70B))
    assert large.parameters == 70_553_706_496
    assert time.perf_counter() - started < 10


def test_a_directory_and_its_configuration_file_have_one_shape(tiny_base):
    found = shape.of_model(tiny_base)
    assert found == shape.of_model(tiny_base / "config.json")
    assert (found.layers, found.hidden, found.intermediate, found.kv_heads, found.tied) == (2, 64, 128, 2, True)
    assert [layer.kind for layer in found.linear[:7]] == [f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")]


def test_the_shape_counts_what_the_checkpoint_holds(tiny_base):
    from safetensors import safe_open

    with safe_open(tiny_base / "model.safetensors", framework="pt") as tensors:
        held = sum(tensors.get_tensor(name).numel() for name in tensors.keys())  # noqa: SIM118 (safe_open is no mapping)
    assert shape.of_model(tiny_base).parameters == held


def test_biases_are_counted(tmp_path):
    assert shape.of_model(write_config(tmp_path, QWEN2)).biases == 2 * (64 + 32 + 32)  # of q, k and v


def test_a_decoder_that_does_not_call_itself_one_is_taken(tmp_path):
    """Pythia's configuration says `is_decoder: false`."""
    found = shape.of_model(write_config(tmp_path, GPT_NEOX))
    assert (found.layers, found.heads, len(found.linear)) == (2, 4, 2 * 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM does not generate text from text"),
        ({"model_type": "bert", "architectures": None}, "is not a decoder-only language model"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "does not generate text from text"),
        ({"model_type": "made-up"}, "transformers cannot use this configuration of model type 'made-up'"),
    ],
)
def test_other_models_are_refused(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        shape.of_model(write_config(tmp_path, values))


def test_experts_towers_and_layers_without_attention_are_counted(tmp_path):
    def found(family, kind="causal"):
        zoo.tiny_config(family, kind).save_pretrained(tmp_path / family)
        return shape.of_model(tmp_path / family), zoo.build(family, kind)

    mixture, model = found("mixtral")
    assert mixture.parameters == model.num_parameters()
    assert (mixture.expert_weights, mixture.active) == (2 * 4 * 3 * 64 * 64, 0.5)
    assert mixture.active_weights == mixture.linear_weights + mixture.expert_weights / 2
    images, model = found("gemma3")
    towers = sum(weight.numel() for name, weight in model.named_parameters() if "vision" in name or "projector" in name)
    assert images.frozen == towers > 0
    assert images.parameters == model.num_parameters()
    assert all("language_model" in layer.name for layer in images.linear)
    state_space, _ = found("mamba2")
    assert (state_space.heads, state_space.layers) == (0, 2)


def test_a_missing_or_broken_configuration_names_its_file(tmp_path):
    with pytest.raises(InputError, match=r"config.json: cannot be read \(No such file"):
        shape.of_model(tmp_path)
    for content in ("{", "[]", "{}"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match=r"config.json: not a model configuration"):
            shape.of_model(tmp_path)


def test_code_of_a_model_is_not_run(tmp_path):
    marker = tmp_path / "ran"
    model = write_config(tmp_path / "model", {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}})
    (model / "own.py").write_text(f"open({str(marker)!r}, 'w')\n")
    with pytest.raises(InputError, match="transformers cannot use this configuration"):
        shape.of_model(model)
    assert not marker.exists()


def test_the_hub_gives_the_configuration_and_says_what_is_wrong(tmp_path):
    (tmp_path / "served").mkdir()
    write_config(tmp_path / "served", LLAMA_31_8B)
    (tmp_path / "served" / "model.safetensors").write_bytes(b"never fetched")
    script = (
        "from fineline.models import shape\n"
        "from fineline.errors import InputError\n"
        "from tests.hub_server import REVISION\n"
        "print(shape.of_repository('acme/tiny', REVISION).parameters)\n"
        "for repo in ('acme/none', 'acme/gated'):\n"
        "    try:\n"
        "        shape.of_repository(repo, REVISION)\n"
        "    except InputError as error:\n"
        "        print(error)\n"
    )
    with serving(tmp_path / "served", "models") as environment:
        answer = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=False,
            env=environment | {"HF_HOME": str(tmp_path)},
        )
    assert answer.returncode == 0, answer.stderr
    found, unknown, gated = answer.stdout.splitlines()
    assert found == "8030261248"
    assert unknown.startswith("acme/none: config.json cannot be fetched from the Hub")
    assert unknown.endswith("give a local directory or config.json")
    assert gated.startswith("acme/gated: gated; accept its license at huggingface.co/acme/gated and set HF_TOKEN")

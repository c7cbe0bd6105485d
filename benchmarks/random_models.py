"""Llamas of real shapes with random weights: made on a device layer by layer, and in four bits at once if so asked."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from fineline.models import loading, shape
from fineline.project.params.training import Quantization

# fmt: off
_LLAMA_3_ROPE = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
}
_LLAMA_3 = {
    "vocab_size": 128256, "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
    "rope_parameters": _LLAMA_3_ROPE, "bos_token_id": 128000, "eos_token_id": 128001,
}
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2,
    },
    "llama-2-7b": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
    },
    "llama-3.1-8b": _LLAMA_3
    | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    "llama-3.1-70b": _LLAMA_3
    | {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64},
}
"""Values of `LlamaConfig`, as published; `tiny` is for tests."""
# fmt: on


@torch.no_grad()
def materialized(config: Any, place: torch.device, quantization: Quantization | None = None, seed: int = 0) -> Any:
    """A Llama with random weights, made one layer at a time, as `loading.base_model` would load it.

    Args:
        config: A `LlamaConfig` without biases and with an untied head.
        quantization: Four bits for all linear layers but the head; bf16 if not given.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    head = model.get_output_embeddings()
    generator = torch.Generator(place).manual_seed(seed)
    for name, module in list(model.named_modules()):
        if not isinstance(getattr(module, "weight", None), torch.nn.Parameter):
            continue
        weight = torch.ones(module.weight.shape, dtype=torch.bfloat16, device=place)
        if weight.ndim > 1:
            weight.normal_(0, config.initializer_range, generator=generator)
        if quantization and isinstance(module, torch.nn.Linear) and module is not head:
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, _packed(weight, quantization))
        else:
            module.weight = torch.nn.Parameter(weight, requires_grad=False)
    decoder = model.get_decoder()
    decoder.rotary_emb = type(decoder.rotary_emb)(config).to(place)  # its buffers were made on meta
    model.is_loaded_in_4bit = quantization is not None  # PEFT asks for it
    loading.keep_gradients_flowing(model)
    return model


def _packed(weight: torch.Tensor, quantization: Quantization) -> Any:
    from bitsandbytes.nn import Linear4bit, Params4bit

    form: dict[str, Any] = {"compress_statistics": quantization.double, "quant_type": quantization.type}
    rows_, columns = weight.shape
    layer = Linear4bit(columns, rows_, bias=False, compute_dtype=torch.bfloat16, device="meta", **form)
    layer.weight = Params4bit(weight, requires_grad=False, module=layer, **form).to(weight.device)
    return layer


def shape_of(config: Any) -> shape.Shape:
    """The shape that plans are made of."""
    with TemporaryDirectory() as directory:
        config.architectures = ["LlamaForCausalLM"]
        config.save_pretrained(directory)
        return shape.of_model(Path(directory))

"""Tiny models with random weights of the families that people use, from configuration."""

from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

VOCABULARY = 96
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
STATE = {"mamba_d_state": 8, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_expand": 2, "mamba_chunk_size": 8}
WINDOWED = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
ROUTED = {"n_routed_experts": 4, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "qwen3": ("Qwen3", {}),
    "qwen3.5": ("Qwen3_5Text", DELTA),
    "qwen3-next": ("Qwen3Next", DELTA | EXPERTS | {"shared_expert_intermediate_size": 16}),
    "gemma2": ("Gemma2", WINDOWED | {"query_pre_attn_scalar": 8}),
    "gemma3": ("Gemma3Text", WINDOWED | {"query_pre_attn_scalar": 8}),
    "gemma4": (
        "Gemma4Text",
        WINDOWED
        | {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8, "global_head_dim": 8}
        | {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention"] * 2},
    ),
    "mistral": ("Mistral", {"sliding_window": 8}),
    "gpt-oss": ("GptOss", WINDOWED | EXPERTS),
    "phi3": ("Phi3", {}),
    "phi4-long": (
        "Phi3",
        {"original_max_position_embeddings": 24, "rope_parameters": LONG},
    ),
    "glm4": ("Glm4", {}),
    "glm4-moe": ("Glm4Moe", EXPERTS | ROUTED),
    "deepseek-v3": ("DeepseekV3", LATENT | EXPERTS | ROUTED),
    "granite4": (
        "GraniteMoeHybrid",
        STATE
        | {"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 16}
        | {"layer_types": ["mamba", "attention"]},
    ),
    "smollm3": ("SmolLM3", {}),
    "mamba2": ("Mamba2", {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "chunk_size": 8}),
    "falcon-h1": ("FalconH1", STATE | {"mamba_d_ssm": 64, "mamba_n_groups": 1}),
    "llama4": ("Llama4Text", EXPERTS | {"attention_chunk_size": 8, "intermediate_size_mlp": 48, "num_hidden_layers": 4}),
    "cohere2": ("Cohere2", WINDOWED),
    "olmo3": ("Olmo3", WINDOWED),
}

PICTURES: dict[str, dict[str, Any]] = {
    "Gemma3": {"image_token_index": 90, "mm_tokens_per_image": 4},
    "Qwen3_5": {"image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93},
    "Mistral3": {"image_token_index": 90},
    "Llama4": {"image_token_index": 90, "boi_token_index": 91, "eoi_token_index": 92},
}
"""Classes that take pictures too -> their own settings."""
TEXT = {"Gemma3": "gemma3", "Qwen3_5": "qwen3.5", "Mistral3": "mistral", "Llama4": "llama4"}
TOWER = {"hidden_size": 16, "intermediate_size": 16} | {"num_hidden_layers": 1, "depth": 1}
TOWER |= {"num_attention_heads": 2, "num_heads": 2}


def model_with_pictures(name: str) -> Any:
    """Return a model that also takes pictures."""
    text = SHAPE | SETTINGS[TEXT[name]][1]
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=TOWER, **PICTURES[name])
    torch.manual_seed(0)
    loaded = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    return _drawn(loaded)


def model(family: str, kind: torch.dtype = torch.float32) -> Any:
    """Return the model of a family, with weights so large that every token depends on those before it."""
    name, more = SETTINGS[family]
    config = getattr(transformers, f"{name}Config")(**SHAPE | more)
    torch.manual_seed(0)
    return _drawn(transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)).to(kind)


def _drawn(loaded: Any) -> Any:
    with torch.no_grad():
        for weight in loaded.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.2)
    return loaded.eval()


TEMPLATE = (
    "{% for m in messages %}{{ 'w3 ' + m.content + '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ 'w3 ' }}{% endif %}"
)


def tokenizer() -> Any:
    """Return a tokenizer with a word for each token."""
    words = {f"w{number}": number for number in range(3, VOCABULARY)} | {"<pad>": 0, "<s>": 1, "</s>": 2}
    inner = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", pad_token="<pad>", bos_token="<s>")
    fast.chat_template = TEMPLATE
    return fast

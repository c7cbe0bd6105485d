"""Configurations of published models, as files."""

import json
from pathlib import Path
from typing import Any

LLAMA_2_7B = {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
              "num_attention_heads": 32, "num_key_value_heads": 32}  # fmt: skip
LLAMA_31_8B = {"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
               "num_attention_heads": 32, "num_key_value_heads": 8}  # fmt: skip
LLAMA_31_70B = LLAMA_31_8B | {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
                              "num_attention_heads": 64}  # fmt: skip
LLAMA_65B = LLAMA_2_7B | {"hidden_size": 8192, "intermediate_size": 22016, "num_hidden_layers": 80,
                          "num_attention_heads": 64, "num_key_value_heads": 64}  # fmt: skip
QWEN2 = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 96, "hidden_size": 64,
         "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "tie_word_embeddings": True}  # fmt: skip

GPT_NEOX = {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "vocab_size": 96, "hidden_size": 64,
            "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}  # fmt: skip
GPT2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 96, "n_embd": 64, "n_layer": 2,
        "n_head": 4, "tie_word_embeddings": True}  # fmt: skip


def write_config(directory: Path, values: dict[str, Any]) -> Path:
    """Write config.json of a Llama with these values; other model types give their own."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False} | values
    (directory / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return directory

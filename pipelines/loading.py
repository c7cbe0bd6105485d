"""Loading models for training, merging and judging: one place, so that all of them see the same numbers."""

import os
import warnings
from pathlib import Path
from typing import Any

import torch

# Nothing here is ever fetched: stages read directories that `base@B` has made.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)

QUANTIZED = {"qlora": True, "lora": False}


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def base_model(directory: Path, *, quantized: bool, attention: str = "sdpa") -> Any:
    """A base model in bf16, or in NF4 with double quantisation and bf16 compute (QLoRA, arXiv 2305.14314).

    Args:
        attention: `eager` is the faster kernel for short rows on a CPU (see `attention_for`).
    """
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    quantization = None
    if quantized:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=torch.bfloat16,
        quantization_config=quantization,
        attn_implementation=attention,
        device_map={"": device()},
        local_files_only=True,
        trust_remote_code=False,
    )
    keep_gradients_flowing(model)
    return model


def keep_gradients_flowing(model: torch.nn.Module) -> None:
    """Switch off bitsandbytes' weight repacking on AVX512-BF16 CPUs.

    In evaluation mode its 4-bit layers repack their weight in place, and the kernel for the packed form has no gradient:
    after the first validation pass nothing below such a layer would be trained, with no error (bitsandbytes 0.50.2).
    """
    for module in quantized_layers(model).values():
        module.support_avx512bf16_for_cpu = False


def quantized_layers(model: torch.nn.Module) -> dict[str, Any]:
    """The 4-bit linear layers of a model by name."""
    import bitsandbytes

    return {name: module for name, module in model.named_modules() if isinstance(module, bitsandbytes.nn.Linear4bit)}


def with_adapter(model: Any, adapter: Path) -> Any:
    """A base model with a trained adapter on it, for judging: nothing is trainable."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, adapter, is_trainable=False, local_files_only=True).eval()


def attention_for(longest: int) -> str:
    """The attention kernel for rows of up to `longest` tokens.

    On a CPU the flash kernel's backward pass costs more than it saves on short rows (a fifth of the step at 60 tokens);
    from a few hundred tokens on, the score matrix of the eager kernel costs more.
    """
    return "eager" if device().type == "cpu" and longest <= 256 else "sdpa"

"""Tiny random models of several families with an adapter that changes them, in every form that fineline makes of them."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from fineline import adapters
from fineline.adapters.methods import METHODS
from fineline.errors import FinelineError
from fineline.export import low_rank, onnx, safetensors
from fineline.export.trained import TrainedAdapter
from fineline.inference import probe
from fineline.merge.weights import write
from fineline.models import bases, loading
from fineline.project.params.training import Train
from tests import zoo
from tests.conftest import commands

FAMILIES = {"Llama": "llama", "Qwen3": "qwen3", "Gemma 3": "gemma3_text", "Qwen3 MoE": "qwen3_moe", "LFM2 (hybrid)": "lfm2"}
"""Name -> model type."""
_SIZES = {
    "hidden_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "intermediate_size": 128,
    "moe_intermediate_size": 64,
    "query_pre_attn_scalar": 64,
}
"""vLLM's attention for CPUs has no heads of 16 features, which the other tests use."""
TRAIN = Train(method="rslora", rank=4, alpha=8)
SYSTEM = "Answer in JSON."


@dataclass(frozen=True)
class Form:
    """A directory that a consumer loads unchanged."""

    kind: str
    """`safetensors`, `adapter` or `onnx-<precision>`."""
    directory: Path
    base: Path | None = None
    """The base, for an adapter."""


@dataclass(frozen=True)
class Family:
    """A model in all forms that it has."""

    name: str
    base: Path
    forms: dict[str, Form]
    refused: dict[str, str]
    """Form -> why it could not be made."""


def rows() -> list[dict]:
    """Rows as `curate` writes them."""
    return [
        {
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"]},
            ]
        }
        for row in commands()
    ]


def made(name: str, place: Path, kinds: Set[str]) -> Family:
    """Return a family in some of its forms, made in an empty directory."""
    base, trained, merged = (place / part for part in ("base", "trained", "merged"))
    _write_base(FAMILIES[name], base)
    torch.manual_seed(1)
    model = adapters.attach(loading.base_model(base, precision="fp32"), TRAIN, base)
    for tensor, weight in model.named_parameters():
        if "lora_B" in tensor:
            torch.nn.init.normal_(weight, std=0.05)
    adapters.save(model, trained)
    merged.mkdir()
    write(base, adapters.load(loading.base_model(base, precision="fp32"), trained), merged, METHODS[TRAIN.method], "fp32")
    source = TrainedAdapter(base, trained, {"method": TRAIN.method, "precision": "fp32"}, name, {})
    return _in_forms(name, source, merged, place, kinds)


def _in_forms(name: str, source: TrainedAdapter, merged: Path, place: Path, kinds: Set[str]) -> Family:
    from fineline.chat.tokens import chat_format

    tokens = probe.encoded(rows(), chat_format(source.base))
    family = Family(name, source.base, {}, {})

    def form(kind: str, base: Path | None = None) -> Path:
        (place / kind).mkdir()
        family.forms[kind] = Form(kind, place / kind, base)
        return place / kind

    safetensors.build(merged, form("safetensors"))
    if "adapter" in kinds:
        low_rank.build(source, form("adapter", source.base), tokens, _here)
    for kind in sorted(kinds & {"onnx-fp32", "onnx-int4"}):
        precision = kind.removeprefix("onnx-")
        try:
            onnx.build(merged, precision, form(kind), place / f"{kind}-scratch")
        except FinelineError as error:
            del family.forms[kind]
            family.refused[kind] = str(error).splitlines()[0]
    return family


def _here(model: Path, tokens: Sequence[Sequence[int]], how: probe.Loading) -> Iterator[np.ndarray]:
    return probe.torch_logits(probe.loaded(model, how), tokens)


def _write_base(model_type: str, base: Path) -> None:
    config = zoo.tiny_config(model_type)
    for size, value in _SIZES.items():
        if getattr(config, size, None) is not None:
            setattr(config, size, value)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.update(do_sample=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model.save_pretrained(base)
    zoo.tiny_tokenizer().save_pretrained(base)
    bases.prepare(base)

"""The configuration of a model: number formats, context length, end-of-generation tokens, chat templates."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fineline.errors import InputError


def read(model: Path, name: str = "config.json") -> dict[str, Any]:
    """Return the object in a JSON file of a model directory; empty if there is no such file.

    Raises:
        InputError: The file is not valid JSON.
    """
    file = model / name
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def context_length(model: Path) -> int | None:
    """Return the number of positions of a model by its config.json, in tokens; None if it is not given there."""
    content = read(model)
    positions = content.get("max_position_embeddings") or (content.get("text_config") or {}).get("max_position_embeddings")
    return int(positions) if positions else None


def end_tokens(model: Path) -> tuple[str, list[int]]:
    """Return the ids of the tokens that end generation, and the file that lists them; an empty name if none does."""
    for name in ("generation_config.json", "config.json"):
        content = read(model, name)
        if "eos_token_id" in content:
            found = content["eos_token_id"]
            return name, found if isinstance(found, list) else [] if found is None else [found]
    return "", []


def chat_templates(model: Path) -> dict[str, Any]:
    """Return file name -> chat template, a text or several texts by name, of every file of a model that contains one."""
    templates: dict[str, Any] = {}
    file = model / "chat_template.jinja"
    others = sorted((model / "additional_chat_templates").glob("*.jinja"))
    if file.is_file() or others:
        by_name = {other.stem: other.read_text(encoding="utf-8") for other in others}
        if file.is_file():
            by_name["default"] = file.read_text(encoding="utf-8")
        templates[file.name] = by_name
    if within := read(model, "tokenizer_config.json").get("chat_template"):
        named = isinstance(within, list)
        templates["tokenizer_config.json"] = {one["name"]: one["template"] for one in within} if named else within
    return templates


def named_templates(model: Path) -> dict[str, str]:
    """Return name -> chat template of a model; `default` for one without a name. chat_template.jinja comes first."""
    for found in chat_templates(model).values():
        return {"default": found} if isinstance(found, str) else dict(found)
    return {}


Precision = Literal["bf16", "fp32"]


class Quantization(BaseModel):
    """Four-bit storage of the base (Dettmers et al. 2023, arXiv 2305.14314, section 3): the block `train.quantization`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["nf4", "fp4"] = "nf4"
    """Four-bit type: `nf4` is optimal for normally distributed weights."""
    double: bool = True
    """Quantize the scales too, which saves 0.37 bits per weight."""


def dtype(precision: Precision) -> Any:
    """Return the torch.dtype of a precision."""
    import torch

    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(precision: Precision, kind: str) -> Any:
    """Return a context in which a model computes in this precision, for weights of any type.

    Args:
        kind: `cpu` or `cuda`.
    """
    import torch

    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")

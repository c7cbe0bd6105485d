"""How a trained model is exported: the block `export:` of an adapter."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from fineline.errors import did_you_mean
from fineline.project.params.block import Block

AUTO: Final = "auto"
FORMATS = ["onnx", "safetensors", "adapter", "gguf", "gguf-adapter"]
"""Formats that `export.formats` accepts; `fineline.export.formats.FORMATS` has the code of each."""


def _known_formats(names: list[str]) -> list[str]:
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}{did_you_mean(name, FORMATS)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(repeated)} is listed twice; name each format once")
    return names


class Export(Block):
    """The exported model: block `export:` of an adapter."""

    precision: Literal["int4", "int8"] = "int4"
    """Weight format of the ONNX model. An fp32 model is exported too, to check the conversion with."""
    formats: Literal["auto"] | Annotated[list[str], Field(min_length=1), AfterValidator(_known_formats)] = AUTO
    """Formats to export to: `onnx`, `safetensors`, `adapter` (a LoRA adapter for servers that apply many to one base), `gguf`
    (llama.cpp and Ollama; the merged model in 16, 8 and 4 bits), `gguf-adapter` (an adapter of LoRA and its base). The first
    one is the release candidate; each further one is made and judged too, and its failure stops no other. `auto` is `onnx` if
    a small model of the same configuration can be converted, else `safetensors`, the merged model as it is. `plan` reports
    which formats a base and a method can take."""

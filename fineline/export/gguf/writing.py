"""Writing a model as one GGUF file, a tensor in memory at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from fineline.export.gguf import architectures, quantization, rotary, tensors
from fineline.export.gguf.tensors import Checkpoint, Source
from fineline.export.gguf.unsupported import Unsupported, Values
from fineline.export.gguf.vocabulary import Vocabulary

FILE_TYPES = {
    "fp32": gguf.LlamaFileType.ALL_F32,
    "fp16": gguf.LlamaFileType.MOSTLY_F16,
    "int8": gguf.LlamaFileType.MOSTLY_Q8_0,
    "int4": gguf.LlamaFileType.MOSTLY_Q4_0,
}
"""Precision -> type of file in its metadata."""
_EXACT = (".ffn_gate_inp.weight", ".ffn_gate_inp_shexp.weight", "_norm.weight", ".shortconv.conv.weight", "rope_freqs.weight")
"""Ends of the names of small tensors that llama.cpp reads in fp32."""
_HALF_LARGEST = 65504.0  # of fp16


@dataclass(frozen=True)
class Recipe:
    """The types of a model's matrices."""

    most: Type
    edges: Type
    """Of embedding and head."""
    attention: Type
    down: Type
    """Of the down projections of feed-forward layers."""

    @classmethod
    def of(cls, kind: Type) -> "Recipe":
        """Return the recipe with one type for all matrices."""
        return cls(kind, kind, kind, kind)

    def type_of(self, source: Source) -> Type:
        """Return the type of a tensor."""
        if len(source.shape) < 2 or source.name.endswith(_EXACT) or not source.name.endswith(".weight"):
            return Type.F32
        wanted = self._wanted(source.name)
        return Type.F16 if wanted not in (Type.F32, Type.F16) and source.shape[-1] % quantization.BLOCK else wanted

    def _wanted(self, name: str) -> Type:
        if not name.startswith("blk."):
            return self.edges
        return self.attention if ".attn_" in name else self.down if ".ffn_down" in name else self.most


RECIPES = {"fp32": Recipe.of(Type.F32), "fp16": Recipe.of(Type.F16), "int8": Recipe.of(Type.Q8_0)}
"""Precision -> types of the matrices, of a model of any size."""
FOUR_BITS = Recipe(Type.Q4_0, Type.Q8_0, Type.Q4_0, Type.Q4_1)
FOUR_BITS_SMALL = Recipe(Type.Q4_0, Type.Q8_0, Type.Q8_0, Type.Q5_1)
"""A small model loses more by four bits, and has less to gain: its embedding is a large part of it."""
SMALL = 1_000_000_000  # weights


def recipe_of(precision: str, shapes: Mapping[str, tuple[int, ...]]) -> Recipe:
    """Return the types of a model's matrices.

    Args:
        precision: `fp32`, `fp16`, `int8` or `int4`.
        shapes: Shapes of its tensors.
    """
    if precision != "int4":
        return RECIPES[precision]
    return FOUR_BITS_SMALL if sum(int(np.prod(shape)) for shape in shapes.values()) < SMALL else FOUR_BITS


def write(
    file: Path,
    values: Values,
    checkpoint: Checkpoint,
    vocabulary: Vocabulary | None,
    precision: str,
    described: Mapping[str, str],
) -> None:
    """Write a model.

    Args:
        values: Configuration of the text model.
        vocabulary: The tokenizer; None for a file that reads token ids only.
        precision: See `recipe_of`.
        described: Key of the metadata, such as `general.name` -> text.

    Raises:
        Unsupported: llama.cpp has no graph for the model.
    """
    recipe = recipe_of(precision, checkpoint.shapes)
    family = architectures.family(values)
    found = tensors.sources(checkpoint.shapes, values)
    writer = gguf.GGUFWriter(file, family.name)
    writer.add_type(gguf.GGUFType.MODEL)
    for key, text in described.items():
        writer.add_string(key, text)
    for key, value in architectures.metadata(values).items():
        given = gguf.RopeScalingType(value) if key == "rope_scaling_type" else value
        getattr(writer, f"add_{key}")(given)
    writer.add_file_type(FILE_TYPES[precision])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_sampling_temp(0.0)  # greedy decoding is what was judged
    writer.add_sampling_top_k(1)
    if vocabulary is None:
        writer.add_tokenizer_model("none")
    else:
        vocabulary.write(writer)
    kinds = [recipe.type_of(source) for source in found]
    for source, kind in zip(found, kinds, strict=True):
        shape = source.shape if kind in (Type.F32, Type.F16) else gguf.quant_shape_to_byte_shape(source.shape, kind)
        number = {Type.F32: np.float32, Type.F16: np.float16}.get(kind, np.uint8)
        size = int(np.prod(shape)) * np.dtype(number).itemsize
        writer.add_tensor_info(source.name, shape, np.dtype(number), size, raw_dtype=kind)
    factors = rotary.factors(values)
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", (len(factors),), np.dtype(np.float32), 4 * len(factors))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for source, kind in zip(found, kinds, strict=True):
        writer.write_tensor_data(_stored(tensors.assembled(source, checkpoint), kind, source.name))
    if factors is not None:
        writer.write_tensor_data(np.array(factors, dtype=np.float32))
    writer.close()


def _stored(weights: np.ndarray, kind: Type, name: str) -> np.ndarray:
    if kind == Type.F16 and np.abs(weights).max(initial=0) > _HALF_LARGEST:
        raise Unsupported(f"its tensor {name} has weights beyond the range of fp16")
    own: Any = {Type.Q4_0: quantization.q4_0, Type.Q4_1: quantization.q4_1}.get(kind)
    found: np.ndarray = own(weights) if own else gguf.quants.quantize(weights, kind)
    return found

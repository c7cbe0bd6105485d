"""Memory of a training run by component, from the shapes in a checkpoint's header: no weight is read."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from pipelines.params import Train

METHODS = ("lora", "qlora", "full")

# NF4 with double quantisation: 4 bits, an 8-bit scale per 64 weights, a 32-bit scale per 256 of those (arXiv 2305.14314).
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
BF16_BYTES = 2
ADAMW_BYTES = {"weights": 4, "gradients": 4, "optimizer": 8}  # per trained parameter, all fp32
CONTEXT_BYTES = 900_000_000  # interpreter, libraries and kernels, measured on a CPU; a CUDA context is of the same size


@dataclass(frozen=True)
class Shape:
    """What of a model decides its memory."""

    layers: int
    hidden: int
    heads: int
    vocabulary: int
    linear: tuple[tuple[int, int], ...]
    """(out, in) of every linear layer but the head."""
    other: int
    """Parameters in embeddings, norms and an untied head."""

    @property
    def parameters(self) -> int:
        """All of them; a head tied to the embedding counts once."""
        return sum(rows * columns for rows, columns in self.linear) + self.other


@dataclass(frozen=True)
class Batch:
    """The largest micro-step."""

    rows: int
    tokens: int
    """Per row, padding included."""
    learned: int
    """Label positions in the whole batch."""


def shape_of(model: Path) -> Shape:
    """Read the shapes from config.json and the headers of the safetensors files of a model directory."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    linear, other = [], 0
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is no mapping)
                sizes = tensors.get_slice(name).get_shape()
                if len(sizes) == 2 and "embed" not in name and "lm_head" not in name:
                    linear.append((sizes[0], sizes[1]))
                else:
                    other += _product(sizes)
    return Shape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=config["num_attention_heads"],
        vocabulary=config["vocab_size"],
        linear=tuple(linear),
        other=other,
    )


def trained_parameters(method: str, shape: Shape, train: Train) -> int:
    """LoRA trains `rank * (in + out)` numbers per linear layer; full fine-tuning trains everything."""
    if method == "full":
        return shape.parameters
    return sum(train.rank * (rows + columns) for rows, columns in shape.linear)


def forecast(method: str, shape: Shape, train: Train, batch: Batch) -> dict[str, int]:
    """Bytes by component, and their total.

    Activations follow Korthikanti et al. 2022 (arXiv 2205.05198, equation 1) without recomputation:
    `tokens * hidden * (34 + 5 * heads * length / hidden)` bytes per layer in 16 bits.
    """
    trained = trained_parameters(method, shape, train)
    linear = shape.parameters - shape.other
    base = linear * (NF4_BYTES if method == "qlora" else BF16_BYTES) + shape.other * BF16_BYTES
    tokens = batch.rows * batch.tokens
    parts = {
        "base": base,
        "adapter": 0 if method == "full" else trained * ADAMW_BYTES["weights"],
        "gradients": trained * (BF16_BYTES if method == "full" else ADAMW_BYTES["gradients"]),
        "optimizer": trained * (ADAMW_BYTES["optimizer"] + (ADAMW_BYTES["weights"] if method == "full" else 0)),
        "activations": shape.layers * tokens * shape.hidden * (34 + 5 * shape.heads * batch.tokens / shape.hidden),
        "logits": batch.learned * shape.vocabulary * (BF16_BYTES + 4 + 4),
        "context": CONTEXT_BYTES,
    }
    rounded = {part: round(size) for part, size in parts.items()}
    return rounded | {"total": sum(rounded.values())}


def _product(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total

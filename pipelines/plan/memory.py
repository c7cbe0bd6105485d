"""Memory of a training run by component, from the shapes in a checkpoint's header: no weight is read."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from pipelines.params.training import Train

METHODS = ("lora", "qlora", "full")

# NF4 with double quantisation: 4 bits, an 8-bit scale per 64 weights, a 32-bit scale per 256 of those (arXiv 2305.14314).
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
BF16_BYTES = 2
ADAMW_BYTES = {"weights": 4, "gradients": 4, "optimizer": 8}  # per trained parameter, all fp32
CONTEXT_BYTES = 920_000_000  # interpreter, libraries and kernels, measured on a CPU; a CUDA context is of the same size
# Saved for the backward pass, per token and block, counted with torch.autograd.graph.saved_tensors_hooks on a Llama block with
# LoRA on every linear layer, bf16 autocast and no recomputation; within 6% for rows of 38 to 256 tokens. With LoRA the inputs
# of all seven layers are kept whatever the rank.
SAVED_PER_HIDDEN = 26
SAVED_PER_INTERMEDIATE = 8
SAVED_PER_SCORE = 6  # per head and token looked at, by the eager attention kernel; the others keep no scores
LOGIT_BYTES = 2 + 4 + 4 + 4  # bf16, fp32, its log-softmax and its gradient


@dataclass(frozen=True)
class Shape:
    """What of a model decides its memory."""

    layers: int
    hidden: int
    intermediate: int
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
        intermediate=config["intermediate_size"],
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


def forecast(method: str, shape: Shape, train: Train, batch: Batch, *, scores: bool = False) -> dict[str, int]:
    """Bytes by component, and their total: what the run holds. On a CPU the C allocator keeps freed blocks, which comes on top.

    Args:
        scores: Whether the attention kernel keeps its score matrix (the eager one does).
    """
    trained = trained_parameters(method, shape, train)
    linear = shape.parameters - shape.other
    base = linear * (NF4_BYTES if method == "qlora" else BF16_BYTES) + shape.other * BF16_BYTES
    tokens = batch.rows * batch.tokens
    saved = SAVED_PER_HIDDEN * shape.hidden + SAVED_PER_INTERMEDIATE * shape.intermediate
    if scores:
        saved += SAVED_PER_SCORE * shape.heads * batch.tokens
    parts = {
        "base": base,
        "adapter": 0 if method == "full" else trained * ADAMW_BYTES["weights"],
        "gradients": trained * (BF16_BYTES if method == "full" else ADAMW_BYTES["gradients"]),
        "optimizer": trained * (ADAMW_BYTES["optimizer"] + (ADAMW_BYTES["weights"] if method == "full" else 0)),
        "activations": shape.layers * tokens * saved,
        "logits": batch.learned * shape.vocabulary * LOGIT_BYTES,
        "context": CONTEXT_BYTES,
    }
    rounded = {part: round(size) for part, size in parts.items()}
    return rounded | {"total": sum(rounded.values())}


def _product(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total

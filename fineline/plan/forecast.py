"""Memory by component, work and time of a training run: pure functions of shape, settings and micro-step."""

from fineline.adapters.methods import METHODS
from fineline.hardware.device import Device
from fineline.models.config import Precision
from fineline.models.shape import Shape
from fineline.plan.workload import Workload
from fineline.project.params.training import Train

HEAD_CHUNK = {"cpu": 128, "cuda": 512}
"""Number of label positions whose logits are computed at a time, as in `fineline.train.loss`."""
DENSE_SCORES = 1 << 19
"""Largest number of attention scores per head and group of rows that are kept on a CPU, as in `fineline.train.attention`."""
PARTS = ("base", "adapters", "gradients", "optimizer", "activations", "logits", "context")

CONTEXT_BYTES = {"cpu": 1_250_000_000, "cuda": 600_000_000}
"""Memory of interpreter, libraries, kernels and their buffers; on an accelerator, of driver and kernels."""
KERNEL_CACHE_BYTES = 180_000_000
"""Memory of oneDNN's 128 compiled kernels for bf16 products on a CPU (see `fineline.models.loading`); fp32 needs none."""
HELD = {"cpu": 0.6, "cuda": 0.0}
"""Memory that the allocator keeps in addition to the activations, as a share of them: glibc does not reuse a freed aligned
block for another of its size. Fitted to runs of SmolLM2-135M, `python benchmarks/methods.py`."""
_FP32 = 4
_BYTES = {"bf16": 2, "fp32": 4}
_LOGIT_BYTES = {"bf16": 2 + 4 + 4, "fp32": 4}  # per position and token of the vocabulary: product, fp32 copy, gradient


def memory_bytes(
    method: str,
    shape: Shape,
    train: Train,
    step: Workload,
    *,
    recompute: bool,
    dequantize: bool,
    kind: str,
    precision: Precision,
    scores: bool = False,
) -> dict[str, int]:
    """Return the bytes that a run needs, by component, and their total.

    Args:
        step: The largest micro-step.
        recompute: True if only the input of a block is kept for the backward pass.
        dequantize: True if a four-bit base is dequantized before training.
        kind: `cpu` or `cuda`.
        precision: Precision of matrix products and of the base.
        scores: True if attention keeps its weights for the backward pass.

    Raises:
        InputError: The base has nothing that the method trains.
    """
    trained = METHODS[method].trained_parameters(shape, train)
    packed = METHODS[method].quantized and not dequantize
    dequantized = (
        max((layer.weights for layer in shape.linear), default=0) * _BYTES[precision] if packed else 0
    )  # one weight at a time
    held = {
        "base": base_bytes(method, shape, train, dequantize=dequantize, precision=precision),
        "adapters": METHODS[method].added_parameters(shape, train) * _FP32,
        "gradients": trained * _FP32,
        "optimizer": trained * optimizer_bytes(train.optimizer),
        "activations": (1 + HELD[kind])
        * _activation_bytes(method, shape, train, step, recompute=recompute, precision=precision, scores=scores)
        + (dequantized + METHODS[method].working_bytes(shape, precision)),
        "logits": min(step.learned, HEAD_CHUNK[kind]) * shape.vocabulary * _LOGIT_BYTES[precision]
        + step.learned * shape.hidden * 2 * _BYTES[precision],
        "context": CONTEXT_BYTES[kind] + (KERNEL_CACHE_BYTES if (kind, precision) == ("cpu", "bf16") else 0),
    }
    rounded = {part: round(held[part]) for part in PARTS}
    return rounded | {"total": sum(rounded.values())}


def base_bytes(method: str, shape: Shape, train: Train, *, dequantize: bool, precision: Precision) -> float:
    """Return the bytes of the base.

    It is in fp32 if all of it is trained, otherwise in `precision`, with its linear layers in four bits if it is quantized.
    Weights of experts in three-dimensional parameters stay in `precision`: only linear layers are quantized.
    """
    if METHODS[method].trains_base:
        return (shape.parameters - shape.frozen) * _FP32 + shape.frozen * _BYTES[precision]
    packed = METHODS[method].quantized and not dequantize
    whole = _BYTES[precision]
    per_weight = four_bit_bytes(double=train.quantization.double) if packed else whole
    return shape.linear_weights * per_weight + (shape.parameters - shape.linear_weights) * whole


def four_bit_bytes(*, double: bool) -> float:
    """Return the bytes per weight in NF4 or FP4: 4 bits and an fp32 scale per 64 weights.

    With double quantization, a scale takes 8 bits, and 256 scales share one in fp32 (arXiv 2305.14314, section 3).
    """
    return (4 + (8 / 64 + 32 / (64 * 256) if double else 32 / 64)) / 8


def optimizer_bytes(optimizer: str) -> float:
    """Return the bytes of AdamW's two moments per trained parameter.

    They are in fp32, or in 8 bits with an fp32 scale per 256 (arXiv 2110.02861). Paged optimizers may
    move the moments to the memory of the machine; here they count in full.
    """
    return 2 * (1 + 4 / 256) if optimizer.endswith("8bit") else 2 * 4


def _activation_bytes(
    method: str, shape: Shape, train: Train, step: Workload, *, recompute: bool, precision: Precision, scores: bool
) -> int:
    tokens, size = step.worked + (train.virtual_tokens if METHODS[method].adds_embeddings else 0), _BYTES[precision]
    per_block = tokens * METHODS[method].saved(shape, precision) + (size * shape.heads * step.squares if scores else 0)
    if recompute:
        return shape.layers * tokens * shape.hidden * size + per_block
    return shape.layers * per_block


SHARE: dict[tuple[str, Precision], float] = {
    ("cpu", "bf16"): 0.45, ("cpu", "fp32"): 0.55, ("cuda", "bf16"): 0.40, ("cuda", "fp32"): 0.40,
}  # fmt: skip
"""Share of the peak rate that a training run reaches. An assumption between published runs (4N FLOPs per token, 6N with
recomputation), so a forecast time may be wrong by a factor of two:

| run | tokens/s | share |
|---|---|---|
| Llama-3.1-8B QLoRA, RTX 4090, packs of 2048 (torchtune, recomputes) | 2,413 | 0.61 |
| Llama-3.1-8B LoRA, H100, batch 4 x 1024 (Liger, FlashAttention-2) | 10,256 | 0.29 |
| Llama-2-7B QLoRA, A100, batch 4 x 1024 (transformers and PEFT) | 2,415 | 0.20 |
| Llama-2-7B QLoRA, A100, batch 4 x 1024 (Unsloth) | 3,726 | 0.31 |
| SmolLM2-135M QLoRA, two CPU cores, bf16 (fineline 0.1) | 485 | 0.30 to 0.50 |
| SmolLM2-135M LoRA, two CPU cores, fp32 (fineline 0.1) | 318 | 0.63 |
"""
FOUR_BIT = 0.85
"""Factor for four-bit weights that are dequantized at every use; also an assumption."""


def forward_flops(shape: Shape, work: Workload) -> float:
    """Return the floating-point operations of a forward pass: two per weight and token, the head at label positions only.

    Attention adds 2 per feature and pair of tokens for the scores and 2 for the values; half of the pairs are computed.
    """
    attention = shape.layers * 2 * shape.heads * shape.head_dim * work.squares
    return 2 * shape.active_weights * work.worked + attention + 2 * shape.head_weights * work.learned


def training_flops(
    method: str, shape: Shape, train: Train, epoch: Workload, *, recompute: bool, validation: Workload | None = None
) -> float:
    """Return the floating-point operations of a run, including its passes over the validation rows.

    A forward pass takes 2N per token. The gradient of the inputs takes as much again, and so does that of trained weights
    (Kaplan et al. 2020, arXiv 2001.08361, section 2.1): 4N with a frozen base, 6N for full fine-tuning, and 2N more with
    recomputation.
    """
    work = _with_virtual_tokens(method, train, epoch)
    passes = _passes(method, recompute=recompute)
    steps = passes * forward_flops(shape, work) + METHODS[method].added_flops(shape, train, work.worked)
    validated = forward_flops(shape, _with_virtual_tokens(method, train, validation)) if validation else 0
    return steps * train.epochs + validated * train.validations


def seconds(
    flops: float,
    device: Device,
    method: str,
    shape: Shape,
    step: Workload,
    *,
    recompute: bool,
    dequantize: bool,
    precision: Precision,
) -> float:
    """Return the time of a run: limited by computation, or by reading the weights if micro-steps are small."""
    packed = METHODS[method].quantized and not dequantize
    rate = device.tflops[precision] * 1e12 * SHARE[device.kind, precision] * (FOUR_BIT if packed else 1.0)
    if device.bandwidth is None:
        return flops / rate
    passes = _passes(method, recompute=recompute)
    work = passes * forward_flops(shape, step)
    read = passes * shape.linear_weights * (2 if precision == "bf16" else 4) / (device.bandwidth * 1e9)
    return flops / rate * max(1.0, read / (work / rate))


def share_of_base(flops: float, shape: Shape, training_tokens: float | None) -> float | None:
    """Return the work of a run divided by that of training the base, 6ND (arXiv 2001.08361); None if D is unknown."""
    return None if training_tokens is None else flops / (6 * shape.parameters * training_tokens)


def _passes(method: str, *, recompute: bool) -> int:
    """Return the work of a training step as a multiple of a forward pass."""
    return (3 if METHODS[method].trains_base else 2) + (1 if recompute else 0)


def _with_virtual_tokens(method: str, train: Train, work: Workload) -> Workload:
    if not METHODS[method].adds_embeddings:
        return work
    more = train.virtual_tokens
    squares = work.squares + 2 * more * work.tokens + work.rows * more * more
    return Workload(work.rows, work.tokens + work.rows * more, work.learned, squares, work.spared)

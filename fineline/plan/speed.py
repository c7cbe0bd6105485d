"""Work and time of a training run: pure functions."""

from fineline.adapters.methods import METHODS
from fineline.hardware.device import Device
from fineline.models.precision import Precision
from fineline.models.shape import Shape
from fineline.plan.workload import Workload
from fineline.project.params.training import Train

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
    return 2 * shape.linear_weights * work.worked + attention + 2 * shape.head_weights * work.learned


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

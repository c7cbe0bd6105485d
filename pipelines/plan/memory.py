"""Memory of a training run by component, as pure functions of shape, settings and micro-step."""

from pipelines.params.methods import METHODS
from pipelines.params.training import Train
from pipelines.plan.shape import Shape
from pipelines.plan.trained import targets, trained_parameters
from pipelines.plan.workload import Workload

HEAD_CHUNK = {"cpu": 128, "cuda": 512}
"""Label positions that the head works on at a time, as in `pipelines.train.loss`."""
DENSE_SCORES = 1 << 19
"""Scores of a head and a group of rows up to which attention on a CPU keeps them, as in `pipelines.train.attention`."""
PARTS = ("base", "adapters", "gradients", "optimizer", "activations", "logits", "context")

# Interpreter, libraries and kernels on a CPU, 0.9 GB of it before the first step; driver and kernels on an accelerator.
CONTEXT_BYTES = {"cpu": 1_200_000_000, "cuda": 600_000_000}
HELD = {"cpu": 0.25, "cuda": 0.0}
"""Of the activations, what the allocator holds beyond them because their sizes change from step to step."""
_BF16, _FP32 = 2, 4
_SCORE_BYTES = 2  # per head and pair of tokens, where attention keeps its weights
_LOGIT_BYTES = 2 + 4 + 4  # bf16, fp32, and the gradient
_FAST = frozenset({"lora", "qlora", "rslora"})

# Saved for the backward pass per token and block by methods whose layers are PEFT's own: bytes per hidden and per intermediate
# feature. Counted with torch.autograd.graph.saved_tensors_hooks on SmolLM2-135M in the training step; tests/plan counts anew.
_SAVED = {
    "lora": (28, 8),
    "dora": (37, 16),
    "vera": (18, 10),
    "ia3": (11, 10),
    "prefix": (9, 6),
    "prompt": (10, 6),
    "p-tuning": (10, 6),
    "bottleneck": (11, 6),
    "bitfit": (10, 6),
    "full": (34, 8),
} | dict.fromkeys(("qlora", "rslora"), (28, 8)) | {"qdora": (37, 16)}  # fmt: skip


def forecast(
    method: str,
    shape: Shape,
    train: Train,
    step: Workload,
    *,
    recompute: bool,
    dequantize: bool,
    kind: str,
    scores: bool = False,
) -> dict[str, int]:
    """Bytes that a run holds, by component, and their total.

    Args:
        step: The largest micro-step.
        recompute: Whether only the input of a block is kept for the backward pass.
        dequantize: Whether a four-bit base is unpacked to bf16 for the training.
        kind: `cpu` or `cuda`.
        scores: Whether attention keeps its weights for the backward pass.

    Raises:
        InputError: The base has nothing that the method trains.
    """
    trained = trained_parameters(method, shape, train)
    held = {
        "base": base_bytes(method, shape, train, dequantize=dequantize),
        "adapters": _adapter_bytes(method, shape, train),
        "gradients": trained * _FP32,
        "optimizer": trained * optimizer_bytes(train.optimizer),
        "activations": (1 + HELD[kind]) * _activation_bytes(method, shape, train, step, recompute=recompute, scores=scores)
        + _working_bytes(method, shape, dequantize=dequantize),
        "logits": min(step.learned, HEAD_CHUNK[kind]) * shape.vocabulary * _LOGIT_BYTES
        + step.learned * shape.hidden * 2 * _BF16,
        "context": CONTEXT_BYTES[kind],
    }
    rounded = {part: round(held[part]) for part in PARTS}
    return rounded | {"total": sum(rounded.values())}


def base_bytes(method: str, shape: Shape, train: Train, *, dequantize: bool) -> float:
    """The base: fp32 if all of it is trained, else bf16, with its linear layers but the head in four bits if so chosen."""
    if method == "full":
        return shape.parameters * _FP32
    packed = METHODS[method].quantized and not dequantize
    per_weight = four_bit_bytes(double=train.quantization.double) if packed else _BF16
    return shape.linear_weights * per_weight + (shape.parameters - shape.linear_weights) * _BF16


def four_bit_bytes(*, double: bool) -> float:
    """Bytes per weight in NF4 or FP4: 4 bits and an fp32 scale per 64 weights.

    With double quantisation the scale takes 8 bits, and each 256 scales share one in fp32 (arXiv 2305.14314, section 3).
    """
    return (4 + (8 / 64 + 32 / (64 * 256) if double else 32 / 64)) / 8


def optimizer_bytes(optimizer: str) -> float:
    """Bytes of AdamW's two moments per trained number: fp32, or 8 bits with an fp32 scale per 256 (arXiv 2110.02861).

    Paged optimizers may move them to the machine's memory when the accelerator's is short; here they count in full.
    """
    return 2 * (1 + 4 / 256) if optimizer.endswith("8bit") else 2 * 4


def saved_fast(shape: Shape) -> int:
    """Bytes saved for the backward pass per token and block by the step of `pipelines.train` (lora, qlora, rslora)."""
    norm_inputs = 2 * shape.hidden
    layer_inputs = 2 * shape.hidden  # q, k and v share one, gate and up another; that of down is computed again
    attention = (3 * shape.heads + 3 * shape.kv_heads) * shape.head_dim  # q, k, v, spread out by rows, and what comes of them
    mlp = 2 * shape.intermediate  # gate and up
    return _BF16 * (norm_inputs + layer_inputs + attention + mlp)


def saved(method: str, shape: Shape) -> int:
    """Bytes saved for the backward pass per token and block, attention weights apart."""
    if method in _FAST and shape.gated:
        return saved_fast(shape)
    per_hidden, per_intermediate = _SAVED[method]
    return per_hidden * shape.hidden + per_intermediate * shape.intermediate


def _adapter_bytes(method: str, shape: Shape, train: Train) -> int:
    """What lies beside the base, in fp32."""
    if method in ("full", "bitfit"):
        return 0
    numbers = trained_parameters(method, shape, train)
    if method == "vera":
        layers = targets(shape, train)
        numbers += train.rank * (max(layer.rows for layer in layers) + max(layer.columns for layer in layers))
    return numbers * _FP32


def _activation_bytes(method: str, shape: Shape, train: Train, step: Workload, *, recompute: bool, scores: bool) -> int:
    tokens = step.worked + (train.virtual_tokens if method in ("prompt", "p-tuning") else 0)
    per_block = tokens * saved(method, shape) + (_SCORE_BYTES * shape.heads * step.squares if scores else 0)
    if recompute:
        return shape.layers * tokens * shape.hidden * _BF16 + per_block
    return shape.layers * per_block


def _working_bytes(method: str, shape: Shape, *, dequantize: bool) -> int:
    """Copies of weights that come and go, or stay until the backward pass has used them."""
    largest = max(layer.weights for layer in shape.linear)
    if method == "full":
        return shape.linear_weights * _BF16  # those that autocast makes
    unpacked = largest * _BF16 if METHODS[method].quantized and not dequantize else 0
    merged = largest * 3 * _FP32 if METHODS[method].name in ("dora", "qdora") else 0  # W, BA and their sum, for its norm
    return unpacked + merged

"""Fused layers: linear layers with LoRA, the gated MLP and RMSNorm as one autograd function each.

PyTorch's autograd saves the operands of every operation. A fused layer saves its input and little else, adds the LoRA product
in place, and computes the activation of the MLP again instead of saving it. The results are those of the plain layers up to
the order of bf16 roundings (tests/train/test_fused.py). The idea of hand-written LoRA backward passes is Unsloth's (Han and
Han 2023, github.com/unslothai/unsloth); the gradients are derived from y = W x + b + s B A x.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from inspect import signature
from types import MethodType, SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu


@contextmanager
def fused(model: nn.Module) -> Iterator[int]:
    """Within the context, layers of `model` that have a fused form run in it. Yield the number of such layers."""
    replaced = []
    for module in model.modules():
        forward = _forward_for(module)
        if forward is not None:
            module.forward = MethodType(forward, module)
            replaced.append(module)
    try:
        yield len(replaced)
    finally:
        for module in replaced:
            del module.__dict__["forward"]


def _forward_for(module: nn.Module) -> Any:
    if _plain_lora(module):
        return _lora_forward
    kind: Any = type(module)
    if _gated(module) and _computes_gated_mlp(kind):
        return _mlp_forward
    if _normed(module) and _computes_rms_norm(kind):
        return _norm_forward
    return None


_EPSILONS = ("variance_epsilon", "eps", "epsilon")
"""Names of the small number that classes of RMSNorm add."""


def _epsilon(module: Any) -> Any:
    return next((value for name in _EPSILONS if (value := getattr(module, name, None)) is not None), None)


def _normed(module: nn.Module) -> bool:
    """True if a module has the parts of an RMSNorm: one frozen vector and an epsilon."""
    weights = dict(module.named_parameters())
    if list(weights) != ["weight"] or any(True for _ in module.children()):
        return False
    return weights["weight"].dim() == 1 and not weights["weight"].requires_grad and isinstance(_epsilon(module), float)


@cache
def _computes_rms_norm(kind: type) -> bool:
    """True if the forward pass of a class is y = weight * (x / rms(x)), rounded as here.

    It is called with the parts of a small RMSNorm. A class that uses more, such as a gate, or adds one to the weight, differs.
    """
    draw = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, generator=draw).to(torch.bfloat16) for size in ((4, 32), (32,)))
    parts = SimpleNamespace(weight=weight, **dict.fromkeys(_EPSILONS, 1e-2))
    return _gives(kind, parts, x, lambda: _norm_forward(parts, x))


@cache
def _computes_gated_mlp(kind: type) -> bool:
    """True if the forward pass of a class is y = down(silu(gate(x)) * up(x)), called with the parts of a small MLP."""
    draw = torch.Generator().manual_seed(0)
    x, gate, up, down = (torch.randn(size, generator=draw) for size in ((4, 8), (6, 8), (6, 8), (8, 6)))
    projections = {
        f"{name}_proj": lambda given, weight=weight: linear(given, weight)
        for name, weight in (("gate", gate), ("up", up), ("down", down))
    }
    parts = SimpleNamespace(act_fn=silu, **projections)
    return _gives(kind, parts, x, lambda: linear(silu(linear(x, gate)) * linear(x, up), down))


def _gives(kind: type, parts: Any, x: Tensor, expected: Callable[[], Tensor]) -> bool:
    """True if the forward pass of a class takes one tensor, and with these parts returns the expected one."""
    forward: Any = kind.forward  # type: ignore[attr-defined]
    with torch.no_grad():
        try:
            return len(signature(forward).parameters) == 2 and torch.equal(forward(parts, x), expected())
        except (AttributeError, TypeError, RuntimeError, ValueError, NotImplementedError):
            return False


def _plain_lora(module: nn.Module) -> bool:
    """True if a module is a linear layer, in full precision or four bits, with one LoRA adapter and no dropout."""
    from peft.tuners.lora import LoraLayer

    if not isinstance(module, LoraLayer) or len(module.active_adapters) != 1 or module.lora_variant:
        return False
    (name,) = module.active_adapters
    if name not in module.lora_A or not isinstance(module.lora_dropout[name], nn.Identity):
        return False
    return isinstance(module.get_base_layer(), nn.Linear) and not module.lora_bias[name]


def _gated(module: Any) -> bool:
    named = all(hasattr(module, part) for part in ("gate_proj", "up_proj", "down_proj", "act_fn"))
    return named and isinstance(module.act_fn, nn.SiLU | _silu_classes()) and _plain_lora(module.down_proj)


def _silu_classes() -> type:
    from transformers.activations import ACT2FN

    return type(ACT2FN["silu"])


class _Lora(NamedTuple):
    """The parts of an adapted linear layer."""

    layer: Any
    """The frozen layer, (in) -> (out)."""
    a: Tensor
    """(rank, in)."""
    b: Tensor
    """(out, rank)."""
    scaling: float


def _parts(module: Any) -> _Lora:
    (name,) = module.active_adapters
    return _Lora(module.get_base_layer(), module.lora_A[name].weight, module.lora_B[name].weight, module.scaling[name])


def _weight(layer: Any, dtype: torch.dtype) -> Tensor:
    """Return the frozen weight (out, in), dequantized if it is in four bits."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        return layer.weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, state).to(dtype)


def _forward(x: Tensor, lora: _Lora, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output (tokens, out) for x (tokens, in), and the inner product with A (tokens, rank)."""
    bias = lora.layer.bias
    y = linear(x, _weight(lora.layer, x.dtype), None if bias is None else bias.to(x.dtype))
    inner = linear(x, a)
    return y.addmm_(inner, b.T, alpha=lora.scaling), inner


def _backward(outer: Tensor, x: Tensor, inner: Tensor, lora: _Lora, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of A, B and their inner product with x (tokens, rank), given the gradient of y (tokens, out)."""
    d_b = (inner.T @ outer).T  # faster in this order: the thin matrix first
    d_inner = outer @ b
    d_a = d_inner.T @ x
    return d_a.float().mul_(lora.scaling), d_b.float().mul_(lora.scaling), d_inner


def _inward(outer: Tensor, d_inner: Tensor, lora: _Lora, a: Tensor) -> Tensor:
    """Return the gradient of x (tokens, in)."""
    return (outer @ _weight(lora.layer, outer.dtype)).addmm_(d_inner, a, alpha=lora.scaling)


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, lora: _Lora) -> Tensor:
        a, b = a.to(x.dtype), b.to(x.dtype)
        y, inner = _forward(x, lora, a, b)
        ctx.save_for_backward(x, inner, a, b)
        ctx.lora = lora
        return y

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        x, inner, a, b = ctx.saved_tensors
        d_a, d_b, d_inner = _backward(outer[0], x, inner, ctx.lora, a, b)
        d_x = _inward(outer[0], d_inner, ctx.lora, a) if ctx.needs_input_grad[0] else None
        return d_x, d_a, d_b, None


class _GatedDown(torch.autograd.Function):
    """down(silu(gate) * up), which saves only gate and up."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, a: Tensor, b: Tensor, lora: _Lora) -> Tensor:
        a, b = a.to(gate.dtype), b.to(gate.dtype)
        y, inner = _forward(silu(gate).mul_(up), lora, a, b)
        ctx.save_for_backward(gate, up, inner, a, b)
        ctx.lora = lora
        return y

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        gate, up, inner, a, b = ctx.saved_tensors
        active = silu(gate)
        d_a, d_b, d_inner = _backward(outer[0], active * up, inner, ctx.lora, a, b)
        d_hidden = _inward(outer[0], d_inner, ctx.lora, a)
        d_gate = torch.ops.aten.silu_backward(d_hidden * up, gate)
        d_up = active.mul_(d_hidden)
        return d_gate, d_up, d_a, d_b, None


class _RmsNorm(torch.autograd.Function):
    """weight * x / rms(x) in fp32, which saves x and 1 / rms (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True).add_(epsilon))
        ctx.save_for_backward(x, weight, scale)
        return (wide * scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        x, weight, scale = ctx.saved_tensors
        normed = x.float() * scale  # not in place: float() returns an fp32 tensor itself
        grad = outer[0].float() * weight
        inward = (grad * normed).mean(-1, keepdim=True)
        return grad.sub_(normed.mul_(inward)).mul_(scale).to(x.dtype), None, None


def _lora_forward(module: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
    lora = _parts(module)
    y: Tensor = _LoraLinear.apply(x.reshape(-1, x.shape[-1]), lora.a, lora.b, lora)
    return y.view(*x.shape[:-1], -1)


def _mlp_forward(module: Any, x: Tensor) -> Tensor:
    lora = _parts(module.down_proj)
    flat = x.reshape(-1, x.shape[-1])
    y: Tensor = _GatedDown.apply(module.gate_proj(flat), module.up_proj(flat), lora.a, lora.b, lora)
    return y.view(*x.shape[:-1], -1)


def _norm_forward(module: Any, x: Tensor) -> Tensor:
    y: Tensor = _RmsNorm.apply(x, module.weight, _epsilon(module))
    return y

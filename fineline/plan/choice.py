"""The choice of training settings: a pure function of the forecasts and the available memory.

`method: auto` takes the first row that fits:

| | method | recompute | rows per micro-step | cost |
|---|---|---|---|---|
| 1 | lora | no | as configured | none |
| 2 | lora | no | fewer, with more micro-steps | none: the same sums, the same work |
| 3 | lora | yes | as configured, then fewer | time: 50% more work |
| 4 | qlora | no | as configured, then fewer | the exact base; a sixth of the speed |
| 5 | qlora | yes | as configured, then fewer | both |
| 6 | qlora | yes | one | both, and the speed of large micro-steps |

Time is paid once, but a base rounded to four bits is evaluated, merged and shipped: exactness is given up last. Micro-steps are
split only down to MICRO_STEP_TOKENS tokens: smaller ones save little memory and do not keep a device busy. `batch_size` times
`accumulation` stays as configured. Dequantized weights take as much memory as exact ones, so `auto` never dequantizes. A
`recompute` or `dequantize` that is set to true or false applies to every row.

A configured method keeps its batch size. Its `recompute: auto` and `dequantize: auto` take the first row that fits. All rows
compute the same numbers, the fastest first:

| | dequantize | recompute | work |
|---|---|---|---|
| 1 | yes | no | 1 |
| 2 | no | no | 1.2 |
| 3 | yes | yes | 1.5 |
| 4 | no | yes | 1.8 |

Full fine-tuning is forecast for comparison and never recommended: on as much data as one team has, it forgets more than LoRA
and is no better on the task (Biderman et al. 2024, arXiv 2405.09673).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fineline.adapters.methods import METHODS
from fineline.project.params.training import AUTO, Train

HEADROOM = 0.9  # share of the memory that a run may use; the rest covers errors of the forecast
MICRO_STEP_TOKENS = 256

_REMEDIES = {
    "base": "use a smaller base",
    "adapters": "lower `train.rank`",
    "gradients": "lower `train.rank`",
    "optimizer": "set `train.optimizer` to adamw-8bit, or lower `train.rank`",
    "activations": "lower `curate.max_tokens` or `train.batch_size`",
    "logits": "lower `curate.max_tokens` or `train.batch_size`",
    "context": "use a larger machine",
}


@dataclass(frozen=True)
class Setting:
    """The settings that determine memory and can be chosen."""

    method: str
    batch_size: int
    accumulation: int
    recompute: bool
    dequantize: bool


@dataclass(frozen=True)
class Choice:
    """A setting, whether it fits, and why it was chosen."""

    setting: Setting
    memory_bytes: dict[str, int]
    fits: bool
    reason: str


Forecast = Callable[[Setting], dict[str, int]]
"""Setting -> bytes by component, and `total`."""
Tokens = Callable[[int], int]
"""Rows per micro-step -> tokens in the largest micro-step."""


def fits(total: int, memory: int) -> bool:
    """True if a run of `total` bytes fits into `memory` bytes with headroom."""
    return total <= HEADROOM * memory


def decide(train: Train, forecast: Forecast, tokens: Tokens, memory: int) -> Choice:
    """Return the settings for a `train:` block by the tables above; if none fit, those that need least, with `fits` false."""
    candidates = _automatic(train, tokens) if train.method == AUTO else settings(train.method, train, tokens)
    return _first(candidates, train, forecast, memory)


def settle(method: str, train: Train, forecast: Forecast, tokens: Tokens, memory: int) -> Choice:
    """Return the settings of one method, for comparison. The batch may be split if the block leaves the method open."""
    return _first(settings(method, train, tokens), train, forecast, memory)


def settings(method: str, train: Train, tokens: Tokens) -> list[Setting]:
    """Return the settings to try for one method, in order."""
    modes = _dequantized(method, train)
    return [
        Setting(method, batch_size, accumulation, recompute, dequantize)
        for recompute in _recomputed(train)
        for dequantize in modes
        for batch_size, accumulation in _splits(train, tokens)
    ]


def _automatic(train: Train, tokens: Tokens) -> list[Setting]:
    last = settings("qlora", train, tokens)[-1]
    one_row = Setting("qlora", 1, train.batch_size * train.accumulation, last.recompute, last.dequantize)
    return [*settings("lora", train, tokens), *settings("qlora", train, tokens), one_row]


def _recomputed(train: Train) -> tuple[bool, ...]:
    return (False, True) if train.recompute == AUTO else (bool(train.recompute),)


def _dequantized(method: str, train: Train) -> tuple[bool, ...]:
    if not METHODS[method].quantized:
        return (False,)
    if train.dequantize == AUTO:
        return (False,) if train.method == AUTO else (True, False)
    return (bool(train.dequantize),)


def _splits(train: Train, tokens: Tokens) -> list[tuple[int, int]]:
    """Return pairs of batch_size and accumulation with the same product, the configured one first."""
    configured = (train.batch_size, train.accumulation)
    if train.method != AUTO:
        return [configured]
    product = train.batch_size * train.accumulation
    smaller = [size for size in range(train.batch_size - 1, 0, -1) if product % size == 0]
    return [configured, *((size, product // size) for size in smaller if tokens(size) >= MICRO_STEP_TOKENS)]


def _first(candidates: list[Setting], train: Train, forecast: Forecast, memory: int) -> Choice:
    """Return the first setting that fits, otherwise the one that needs least."""
    tried: list[tuple[Setting, dict[str, int]]] = []
    for setting in candidates:
        sizes = forecast(setting)
        if fits(sizes["total"], memory):
            reason = f"{describe(setting, train)} needs {_gib(sizes['total'])} of {_gib(HEADROOM * memory)}: {_gain(setting)}."
            if tried:
                first, needed = tried[0]
                reason += f" {describe(first, train)} would need {_gib(needed['total'])}."
            return Choice(setting, sizes, True, reason)
        tried.append((setting, sizes))
    setting, sizes = min(tried, key=lambda entry: entry[1]["total"])
    return Choice(setting, sizes, False, _short(setting, train, sizes, memory))


def _gain(setting: Setting) -> str:
    if METHODS[setting.method].quantized:
        return "four-bit weights, dequantized once" if setting.dequantize else "the base takes four bits per weight"
    if METHODS[setting.method].trains_base:
        return "all weights are trained"
    return "the base stays exact"


def _short(setting: Setting, train: Train, sizes: Mapping[str, int], memory: int) -> str:
    """Return why nothing fits, with the largest component and the setting that would help."""
    parts = {part: size for part, size in sizes.items() if part != "total"}
    largest = max(parts, key=lambda part: parts[part])
    remedy = _REMEDIES[largest]
    if largest == "base" and not METHODS[setting.method].quantized:
        remedy = "set `train.method` to qlora, or use a smaller base"
    elif largest == "base" and setting.dequantize:
        remedy = "set `train.dequantize` to auto, or use a smaller base"
    elif largest == "activations" and not setting.recompute:
        remedy = "set `train.recompute` to auto, or lower `curate.max_tokens` or `train.batch_size`"
    return (
        f"Even {describe(setting, train)} needs {_gib(sizes['total'])} of {_gib(HEADROOM * memory)},"
        f" most of it {largest} ({_gib(parts[largest])}): {remedy}."
    )


def describe(setting: Setting, train: Train) -> str:
    """Return a setting in words, such as `qlora with recomputation in 4 micro-steps of 4 rows`."""
    words = [setting.method]
    if setting.dequantize:
        words.append("with dequantized weights")
    if setting.recompute:
        words.append("with recomputation" if len(words) == 1 else "and recomputation")
    if setting.batch_size != train.batch_size:
        unit = "row" if train.packing is None else "pack"
        words.append(f"in {setting.accumulation} micro-steps of {setting.batch_size} {unit}{'s' * (setting.batch_size > 1)}")
    return " ".join(words)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"

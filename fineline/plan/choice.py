"""Which settings to train with: a pure function of the forecasts and the room there is.

`method: auto` takes the first line that fits:

| | method | recompute | rows per micro-step | what it gives up |
|---|---|---|---|---|
| 1 | lora | no | as configured | nothing |
| 2 | lora | no | fewer, and as many more micro-steps | nothing: the same sums, the same work |
| 3 | lora | yes | as configured, then fewer | time: half as much work again |
| 4 | qlora, packed | no | as configured, then fewer | the exact base; a sixth of the speed |
| 5 | qlora, packed | yes | as configured, then fewer | both |
| 6 | qlora, packed | yes | one | both, and the speed of large micro-steps |

Time is paid once; a base rounded to four bits is judged, merged and shipped. So exactness goes last, and what costs nothing
goes first. Micro-steps are split only while they hold MICRO_STEP_TOKENS: below that a split saves little memory and keeps no
device busy. `batch_size` times `accumulation` stays what was configured. Unpacked four-bit weights take as much room as exact
ones, so `auto` never unpacks them. A `recompute` or `dequantize` set to true or false is kept in every line.

A configured method keeps its batch size. Its `recompute: auto` and `dequantize: auto` take the first that fits, all equal in
numbers and the fastest first:

| | dequantize | recompute | work |
|---|---|---|---|
| 1 | yes | no | 1 |
| 2 | no | no | 1.2 |
| 3 | yes | yes | 1.5 |
| 4 | no | yes | 1.8 |

Full fine-tuning is forecast for comparison and never recommended: on the data sizes of one team it forgets more than LoRA and
is no better on the task (Biderman et al. 2024, arXiv 2405.09673).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fineline.adapters.methods import METHODS
from fineline.project.params.training import AUTO, Train

HEADROOM = 0.9  # of the memory; the rest is for what a forecast cannot see
MICRO_STEP_TOKENS = 256

_REMEDIES = {
    "base": "take a smaller base",
    "adapters": "lower `train.rank`",
    "gradients": "lower `train.rank`",
    "optimizer": "set `train.optimizer` to adamw-8bit, or lower `train.rank`",
    "activations": "lower `curate.max_tokens` or `train.batch_size`",
    "logits": "lower `curate.max_tokens` or `train.batch_size`",
    "context": "take a larger machine",
}


@dataclass(frozen=True)
class Setting:
    """What decides memory and may be chosen."""

    method: str
    batch_size: int
    accumulation: int
    recompute: bool
    dequantize: bool


@dataclass(frozen=True)
class Choice:
    """A setting, whether it fits, and why it was taken."""

    setting: Setting
    memory_bytes: dict[str, int]
    fits: bool
    reason: str


Forecast = Callable[[Setting], dict[str, int]]
"""Bytes by component and `total`."""
Tokens = Callable[[int], int]
"""Tokens in the largest micro-step of so many rows."""


def fits(total: int, memory: int) -> bool:
    """Whether a run of `total` bytes may be started in `memory` bytes."""
    return total <= HEADROOM * memory


def decide(train: Train, forecast: Forecast, tokens: Tokens, memory: int) -> Choice:
    """The settings for a `train:` block, by the tables above; if none fits, those that need least, with `fits` false."""
    candidates = _automatic(train, tokens) if train.method == AUTO else settings(train.method, train, tokens)
    return _first(candidates, train, forecast, memory)


def settle(method: str, train: Train, forecast: Forecast, tokens: Tokens, memory: int) -> Choice:
    """The settings of one method, to compare it with others; the batch may be split if the block leaves the method open."""
    return _first(settings(method, train, tokens), train, forecast, memory)


def settings(method: str, train: Train, tokens: Tokens) -> list[Setting]:
    """What is tried for one method, in order."""
    unpacked = _unpacked(method, train)
    return [
        Setting(method, batch_size, accumulation, recompute, dequantize)
        for recompute in _recomputed(train)
        for dequantize in unpacked
        for batch_size, accumulation in _splits(train, tokens)
    ]


def _automatic(train: Train, tokens: Tokens) -> list[Setting]:
    last = settings("qlora", train, tokens)[-1]
    one_row = Setting("qlora", 1, train.batch_size * train.accumulation, last.recompute, last.dequantize)
    return [*settings("lora", train, tokens), *settings("qlora", train, tokens), one_row]


def _recomputed(train: Train) -> tuple[bool, ...]:
    return (False, True) if train.recompute == AUTO else (bool(train.recompute),)


def _unpacked(method: str, train: Train) -> tuple[bool, ...]:
    if not METHODS[method].quantized:
        return (False,)
    if train.dequantize == AUTO:
        return (False,) if train.method == AUTO else (True, False)
    return (bool(train.dequantize),)


def _splits(train: Train, tokens: Tokens) -> list[tuple[int, int]]:
    """(batch_size, accumulation) with one product, the configured one first."""
    configured = (train.batch_size, train.accumulation)
    if train.method != AUTO:
        return [configured]
    product = train.batch_size * train.accumulation
    smaller = [size for size in range(train.batch_size - 1, 0, -1) if product % size == 0]
    return [configured, *((size, product // size) for size in smaller if tokens(size) >= MICRO_STEP_TOKENS)]


def _first(candidates: list[Setting], train: Train, forecast: Forecast, memory: int) -> Choice:
    """The first that fits, else the one that needs least."""
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
        return "four-bit weights, unpacked once" if setting.dequantize else "the base takes four bits a weight"
    if METHODS[setting.method].trains_base:
        return "all weights are trained"
    return "the base stays exact"


def _short(setting: Setting, train: Train, sizes: Mapping[str, int], memory: int) -> str:
    """Why nothing fits, with the largest component and the setting that would help."""
    parts = {part: size for part, size in sizes.items() if part != "total"}
    largest = max(parts, key=lambda part: parts[part])
    remedy = _REMEDIES[largest]
    if largest == "base" and not METHODS[setting.method].quantized:
        remedy = "set `train.method` to qlora, or take a smaller base"
    elif largest == "base" and setting.dequantize:
        remedy = "set `train.dequantize` to auto, or take a smaller base"
    elif largest == "activations" and not setting.recompute:
        remedy = "set `train.recompute` to auto, or lower `curate.max_tokens` or `train.batch_size`"
    return (
        f"Even {describe(setting, train)} needs {_gib(sizes['total'])} of {_gib(HEADROOM * memory)},"
        f" most of it {largest} ({_gib(parts[largest])}): {remedy}."
    )


def describe(setting: Setting, train: Train) -> str:
    """A setting in words: `qlora with recomputation in 4 micro-steps of 4 rows`."""
    words = [setting.method]
    if setting.dequantize:
        words.append("with unpacked weights")
    if setting.recompute:
        words.append("with recomputation" if len(words) == 1 else "and recomputation")
    if setting.batch_size != train.batch_size:
        what = "row" if train.packing is None else "pack"
        words.append(f"in {setting.accumulation} micro-steps of {setting.batch_size} {what}{'s' * (setting.batch_size > 1)}")
    return " ".join(words)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"

"""Training speed and memory on a GPU: LoRA and QLoRA on random weights of real shapes, next to the forecast.

`python benchmarks/gpu.py --json gpu.json` runs every setting, each in a separate process, so that one which runs out of memory
ends alone. `--shape tiny --device cpu` tries it out without a GPU. Needs no data, no download, no Dagster and no DVC: only
torch, transformers 5.20 or newer, peft 0.21, bitsandbytes, pydantic and PyYAML, with their dependencies.

Weights are made layer by layer on the device and put in four bits at once, so a 70B model is never in memory in bf16. Rows
are random tokens. A step is that of `fineline.train.loop`: micro-step, clipping to norm 1, optimizer. Tokens count as in the
loop, the last one of a row included. The share of the peak is 4N FLOPs a token over the datasheet's bf16 rate, N the weights
of linear layers and of the head at label positions: work that serves the gradient. What recomputation repeats (6N in all), what
the adapter adds, and attention are not counted.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it need not be installed

import torch

from fineline import adapters
from fineline.artifacts import reports
from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.hardware import device
from fineline.models import loading
from fineline.plan import choice
from fineline.plan.report import Run
from fineline.plan.workload import Lengths
from fineline.project.params.training import Train
from fineline.train import attention, loss, memory, rows
from fineline.train.fused import fused
from random_models import SHAPES, materialized, shape_of

_WAYS: dict[str, dict[str, Any]] = {
    "fastest": {"method": "qlora", "dequantize": True, "recompute": False},
    "middle": {"method": "qlora", "dequantize": False, "recompute": False},
    "smallest": {"method": "qlora", "dequantize": False, "recompute": True, "optimizer": "paged-adamw-8bit"},
    "lora": {"method": "lora", "recompute": False},
    "lora-recompute": {"method": "lora", "recompute": True},
}


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    shape: str
    name: str
    rows: int
    length: int
    """Tokens of a row."""
    least_speed: float | None = None
    """Tokens a second that it should reach."""
    most_memory: float | None = None
    """Bytes that it should stay within."""

    @property
    def train(self) -> Train:
        """The `train:` block: rank 16 on all linear layers."""
        return Train.model_validate(_WAYS[self.name] | {"rank": 16, "alpha": 32, "batch_size": self.rows})


SETTINGS = (
    *(Setting("tiny", name, 4, 128) for name in ("fastest", "smallest", "lora")),
    Setting("llama-3.1-8b", "fastest", 4, 1024, least_speed=10_000, most_memory=80e9),
    Setting("llama-3.1-8b", "middle", 4, 1024),
    Setting("llama-3.1-8b", "smallest", 4, 1024, least_speed=7_000, most_memory=12 * 2**30),
    Setting("llama-3.1-8b", "lora", 4, 1024),
    Setting("llama-3.1-8b", "lora-recompute", 4, 1024),
    Setting("llama-2-7b", "smallest", 1, 1024, most_memory=6 * 2**30),
    Setting("llama-3.1-70b", "smallest", 1, 1024, most_memory=48 * 2**30),
)


def main() -> int:
    """Print one table. Return 1 if a setting failed for another reason than memory, 2 if there is no GPU."""
    asked = _arguments()
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("no GPU was found; to try the benchmark without one, pass `--shape tiny --device cpu`", file=sys.stderr)
        return 2
    if asked.here:
        setting = next(each for each in SETTINGS if [each.shape, each.name] == asked.here)
        print(json.dumps(_measured(setting, asked)), flush=True)
        return 0
    chosen = [
        each
        for each in SETTINGS
        if each.shape in (asked.shape or [name for name in SHAPES if name != "tiny"]) and each.name in (asked.setting or _WAYS)
    ]
    print(
        f"{'shape':<14} {'setting':<15} {'tokens/s':>9} {'target':>8} {'of peak':>8}"
        f" {'peak memory':>12} {'target':>10} {'forecast':>10} {'forecast/peak':>14}",
        flush=True,
    )
    results = []
    for setting in chosen:
        results.append({"shape": setting.shape, "setting": setting.name} | _in_own_process(setting, asked.device))
        print(_line(setting, results[-1]), flush=True)
        if asked.json:
            reports.write(asked.json, {"date": datetime.now(UTC).isoformat(timespec="seconds"), "results": results})
    for result in results:
        if "device" in result:
            print(f"{result['device']}, {', '.join(f'{name} {each}' for name, each in result['versions'].items())}")
            break
    return 1 if any(result.get("failed", "out of memory") != "out of memory" for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", action="append", choices=SHAPES, help="may be repeated; default: all but tiny")
    parser.add_argument("--setting", action="append", choices=_WAYS, help="may be repeated; default: all")
    parser.add_argument("--steps", type=int, default=10, help="timed steps")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them")
    parser.add_argument("--learned", type=float, default=1.0, help="share of a row's tokens that carry a label, at its end")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--profile", type=Path, help="directory for a table of the kernels of one more step")
    parser.add_argument("--json", type=Path, help="file for all results")
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_own_process(setting: Setting, kind: str) -> dict[str, Any]:
    environment = dict(os.environ)
    if kind == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""  # memory is then counted as the machine's
    command = [sys.executable, __file__, *sys.argv[1:], "--here", setting.shape, setting.name]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if run.returncode:
        return {"failed": "out of memory" if run.returncode == -9 else f"exit code {run.returncode}"}
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def _line(setting: Setting, result: Mapping[str, Any]) -> str:
    start = f"{setting.shape:<14} {setting.name:<15} "
    if "failed" in result:
        return start + result["failed"]
    speed = f">={setting.least_speed:.0f}" if setting.least_speed else ""
    room = f"<={setting.most_memory / 2**30:.1f} GiB" if setting.most_memory else ""
    peak, forecast = result["peak_memory_bytes"], result["predicted"]["total"]
    return start + (
        f"{result['tokens_per_second']:>9.0f} {speed:>8} {result['share_of_peak']:>8.2f}"
        f" {peak / 2**30:>8.2f} GiB {room:>10} {forecast / 2**30:>6.2f} GiB {forecast / peak:>14.2f}"
    )


def _measured(setting: Setting, asked: argparse.Namespace) -> dict[str, Any]:
    try:
        return measure(setting, asked.steps, asked.warmup, asked.learned, asked.profile)
    except torch.OutOfMemoryError as error:
        return {"failed": "out of memory", "error": str(error).splitlines()[0]}


def measure(setting: Setting, steps: int, warmup: int = 0, learned: float = 1.0, profile: Path | None = None) -> dict[str, Any]:
    """Train for `warmup` and then `steps` timed steps in this process.

    Args:
        learned: Share of a row's tokens that carry a label.
        profile: Directory for `<shape>-<setting>.txt`: the kernels of one more step.
    """
    from transformers import LlamaConfig

    train, machine = setting.train.model_copy(update={"precision": "bf16"}), device.detect()
    place = torch.device(machine.kind)
    config = LlamaConfig(**SHAPES[setting.shape])
    held: dict[str, int] = {}
    attention.register()
    torch.manual_seed(train.seed)
    model = materialized(config, place, train.quantization if train.method == "qlora" else None)
    if train.method == "qlora" and train.dequantize:
        loading.dequantize(model, torch.bfloat16)
    held["base"] = _allocated()
    if train.recompute:
        model.activation_checkpointing_enable({"use_reentrant": False})
    model = adapters.attach(model, train, base=Path())
    model.get_base_model().set_attn_implementation(attention.NAME)
    model.train()
    held["adapters"] = _allocated() - held["base"]
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = _optimizer(train, trained)
    drawn = _rows(setting, config.vocab_size, learned)
    batch = _to(rows.collate(drawn), place)

    def step() -> None:
        value = loss.completion_loss(model, batch)
        if not torch.isfinite(value):
            raise ArithmeticError(f"the loss is {value.item()}")
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    with fused(model) as layers:
        for _ in range(warmup):
            step()
        seconds = _timed(step, steps)
        peak = memory.peak()
        allocated = torch.cuda.max_memory_allocated() if place.type == "cuda" else None
        if profile:
            _profile(step, profile / f"{setting.shape}-{setting.name}.txt")
    speed = setting.rows * setting.length * steps / seconds
    plan = Run(shape_of(config), machine, train, Lengths(tuple((len(row.input_ids), row.learned) for row in drawn)))
    weights = plan.shape.linear_weights + plan.shape.head_weights * len(batch["labels"]) / (setting.rows * setting.length)
    return {
        "tokens_per_second": speed,
        "seconds_per_step": seconds / steps,
        "share_of_peak": 4 * weights * speed / (machine.tflops["bf16"] * 1e12),
        "peak_memory_bytes": peak,
        "peak_allocated_bytes": allocated,
        "held_bytes": held,
        "predicted": plan.memory_bytes(
            choice.Setting(train.method, train.batch_size, 1, bool(train.recompute), train.dequantize is True)
        ),
        "rows": setting.rows,
        "length": setting.length,
        "labels": len(batch["labels"]),
        "trained_parameters": sum(weight.numel() for weight in trained),
        "fused_layers": layers,
        "train": train.model_dump(mode="json"),
        "targets": {"tokens_per_second": setting.least_speed, "memory_bytes": setting.most_memory},
        "steps": steps,
        "gemm_tflops": _gemm(place),
        "device": machine.name,
        "peak_tflops": machine.tflops["bf16"],
        "device_memory_bytes": machine.memory_bytes,
        "allocator": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", ""),
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda}
        | {name: version(name) for name in ("transformers", "peft", "bitsandbytes")},
    }


def _optimizer(train: Train, trained: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer that the Trainer would make of `train.optimizer`."""
    values: dict[str, Any] = {"lr": train.learning_rate, "weight_decay": 0.0}
    if train.optimizer == "adamw":
        return torch.optim.AdamW(trained, fused=True, **values)
    import bitsandbytes

    kinds = {"adamw-8bit": "AdamW8bit", "paged-adamw": "PagedAdamW32bit", "paged-adamw-8bit": "PagedAdamW8bit"}
    made: torch.optim.Optimizer = getattr(bitsandbytes.optim, kinds[train.optimizer])(trained, **values)
    return made


def _rows(setting: Setting, vocabulary: int, learned: float) -> list[TokenizedRow]:
    """Random tokens, no two rows with the same first one; labels on the last `learned` of each."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(vocabulary, (setting.rows, setting.length), generator=generator)
    drawn[:, 0] = torch.randperm(vocabulary, generator=generator)[: setting.rows]
    silent = setting.length - max(1, round(setting.length * learned))
    return [TokenizedRow(row, [IGNORED] * silent + row[silent:]) for row in drawn.tolist()]


def _to(batch: Mapping[str, Any], place: torch.device) -> dict[str, Any]:
    moved = {name: value.to(place) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    return moved | {"group_places": [places.to(place) for places in batch["group_places"]]}


def _allocated() -> int:
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def _timed(work: Callable[[], Any], times: int) -> float:
    """Seconds of all the calls together."""
    wait: Callable[[], Any] = torch.cuda.synchronize if torch.cuda.is_available() else int
    wait()
    started = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return time.perf_counter() - started


def _profile(step: Callable[[], None], file: Path) -> None:
    """Write where one step spends its time: by kernel if there is a GPU, else by operation."""
    with torch.profiler.profile() as seen:
        step()
    order = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(seen.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=80), encoding="utf-8")


def _gemm(place: torch.device) -> float:
    """10^12 operations a second of a bf16 product of square matrices: the measured rate of the device, not its datasheet's."""
    size = 8192 if place.type == "cuda" else 1024
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=place) for _ in range(2))
    seconds = math.inf
    with torch.no_grad():
        for _ in range(5):
            seconds = min(seconds, _timed(lambda: left @ right, 4) / 4)
    return 2 * size**3 / seconds / 1e12


if __name__ == "__main__":
    sys.exit(main())

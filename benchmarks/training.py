"""Training speed: fineline's loop against TRL's SFTTrainer, on the same rows, first weights and steps.

`make bench`, or `python benchmarks/training.py --steps 25`, after `dvc repro curate@home-en` (base model and rows). Each
contender trains in a separate process, LoRA and QLoRA, in the precision that the machine is fastest in: first with the
machine to itself, then next to a process that keeps one core busy. Afterwards one process measures the loss of the adapters on
the same validation rows. The GEMM ceiling is measured before and after the quiet runs: a token takes 4 FLOPs per weight of the
linear layers (forward, and backward to the inputs; frozen weights have no gradient), the head on label positions only.

`--path plain` has fineline take the path of models whose rows cannot share a sequence. It is to reach 0.95 of TRL's tokens a
second with no more memory, at the same validation loss.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import typer

from fineline import adapters
from fineline.artifacts import reports
from fineline.chat import tokens
from fineline.hardware.device import native
from fineline.models import loading
from fineline.models.config import dtype
from fineline.project import layout
from fineline.project.params.training import Train
from fineline.train import attention, loop, loss, rows, trial
from fineline.train.batches import LengthGrouped
from fineline.train.path import TrainingPath

ADAPTER = "home-en"
BASE = "smollm2-135m"
PEER = Path(__file__).with_name("trl_peer.py")
METHODS = ("lora", "qlora")
BATCH = 16  # rows a step
RATE = 1e-3
PRECISION = native(loading.device().type)
WARMUP = 0.1


def main(
    steps: Annotated[int, typer.Option(help="Optimizer steps of each run.")] = 25,
    peer: Annotated[bool, typer.Option(help="Run TRL on the same rows.")] = True,
    busy: Annotated[bool, typer.Option(help="Repeat next to a process that keeps one core busy.")] = True,
    path: Annotated[
        str, typer.Option(help="Path of fineline's training: auto, or plain as for models without a flat one.")
    ] = "auto",
    ours: Annotated[str, typer.Option(hidden=True, help="A task to train in this process.")] = "",
) -> None:
    """Print one table: tokens a second, peak memory, validation loss, and the share of the GEMM ceiling."""
    if ours:
        _train(json.loads(Path(ours).read_text(encoding="utf-8")))
        return
    encoded = _rows("train")
    order = list(LengthGrouped([len(row.input_ids) for row in encoded], BATCH, seed=1))[: steps * BATCH]
    chosen = [{"input_ids": encoded[place].input_ids, "labels": encoded[place].labels} for place in order]
    ceiling = [_gemm()]
    speeds = _table(chosen, steps, peer, path)
    ceiling.append(_gemm())
    per_token = 4 * _linear_weights() + 4 * _head_weights() * sum(row.learned for row in encoded) / _count(encoded)
    highest = max(ceiling) / per_token
    shares = ", ".join(f"{method} {speed / highest:.0%}" for method, speed in speeds.items())
    print(f"{PRECISION} GEMM {max(ceiling) / 1e9:.0f} GFLOP/s: at most {highest:.0f} tokens/s if nothing but these took time")
    print(f"share of it that fineline reached: {shares}")
    if busy:
        print("next to a process that keeps one core busy:")
        with _busy():
            _table(chosen, steps, peer, path)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {loading.device().type}, {steps} steps")


def _table(chosen: list[dict[str, Any]], steps: int, peer: bool, path: str) -> dict[str, float]:
    """Train with every method and trainer, print a line for each, and return fineline's tokens a second by method."""
    print(
        f"{'method':<7} {'trainer':<9} {'path':<6} {'tokens/s':>9} {'ratio':>6} {'peak memory':>12} {'ratio':>6}"
        f" {'validation loss':>16}"
    )
    speeds = {}
    with TemporaryDirectory() as directory:
        for method in METHODS:
            task = _task(method, chosen, steps, Path(directory)) | {"path": path}
            found = {"fineline": _run([sys.executable, __file__, "--ours"], task, Path(directory) / f"{method}-fineline")}
            speeds[method] = found["fineline"]["tokens_per_second"]
            if peer:
                command = ["uv", "run", "--quiet", "--script", str(PEER)]
                found["TRL"] = _run(command, task, Path(directory) / f"{method}-trl")
            for name, result in found.items():
                other = found.get("TRL", result)
                speed, memory = (result[key] / other[key] for key in ("tokens_per_second", "peak_memory_bytes"))
                print(
                    f"{method:<7} {name:<9} {result.get('path', ''):<6} {result['tokens_per_second']:>9.0f} {speed:>6.2f}"
                    f" {result['peak_memory_bytes'] / 2**30:>8.2f} GiB {memory:>6.2f} {result['loss']:>16.4f}",
                    flush=True,
                )
    return speeds


@contextmanager
def _busy() -> Iterator[None]:
    """Within the context, another process keeps one core busy."""
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()


def _rows(split: str) -> list[tokens.TokenizedRow]:
    file = layout.curated(ADAPTER) / f"{split}.jsonl"
    return tokens.encode_all(tokens.tokenizer_of(layout.base(BASE)), reports.read_lines(file), file)


def _count(encoded: list[tokens.TokenizedRow]) -> int:
    return sum(len(row.input_ids) for row in encoded)


def _config(method: str, steps: int) -> Train:
    return Train.model_validate(
        {
            "method": method,
            "rank": 16,
            "alpha": 32,
            "batch_size": BATCH,
            "learning_rate": RATE,
            "warmup": WARMUP,
            "recompute": False,
            "precision": PRECISION,
            "seed": 1,
        }
        | ({"dequantize": False} if method == "qlora" else {})
    )


def _task(method: str, chosen: list[dict[str, Any]], steps: int, directory: Path) -> dict[str, Any]:
    """Return the task of both contenders, with the first weights."""
    config = _config(method, steps)
    torch.manual_seed(config.seed)
    quantization = config.quantization if method == "qlora" else None
    first = directory / f"{method}-first"
    first.mkdir()
    model = loading.base_model(layout.base(BASE), quantization=quantization, precision=PRECISION)
    adapters.save(adapters.attach(model, config), first)
    return {
        "method": method,
        "quantized": method == "qlora",
        "precision": PRECISION,
        "base": str(layout.base(BASE).absolute()),
        "adapter": str(first),
        "rows": chosen,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "warmup_steps": -(-steps * WARMUP // 1),
        "seed": 1,
        "steps": steps,
    }


def _run(command: list[str], task: dict[str, Any], out: Path) -> dict[str, Any]:
    """Train in a separate process, with the environment of the stage for fineline, then measure the adapter's loss here."""
    out.mkdir()
    file = out.with_suffix(".json")
    file.write_text(json.dumps(task | {"out": str(out)}), encoding="utf-8")
    environment = os.environ | ({"OMP_WAIT_POLICY": "PASSIVE"} if "--ours" in command else {})  # as `fineline.stages` sets it
    run = subprocess.run([*command, str(file)], stdout=subprocess.PIPE, text=True, check=True, env=environment)
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result | {"loss": _loss(out, task["method"])}


def _train(task: dict[str, Any]) -> None:
    """Our side."""
    given = [tokens.TokenizedRow(row["input_ids"], row["labels"]) for row in task["rows"]]
    config = _config(task["method"], task["steps"])
    attach = adapters.attach

    def from_first(model: Any, train: Train, **_: Any) -> Any:
        adapted = attach(model, train)
        _copy(adapted, Path(task["adapter"]))
        return adapted

    loop.adapters.attach = from_first  # both contenders start at the same weights
    loop.batches.LengthGrouped.__iter__ = lambda self: iter(range(len(self.lengths)))  # and see rows in the same order
    if task["path"] == "plain":
        _refuse_flat()
    with TemporaryDirectory() as scratch:
        result = loop.train(
            layout.base(BASE), given, [], config, report=Path(scratch) / "report", scratch=Path(scratch) / "state"
        )
    adapters.save(result.model, Path(task["out"]))
    print(
        json.dumps(
            {
                "tokens_per_second": result.metrics["tokens_per_second"],
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "steps": result.metrics["steps"],
                "path": result.metrics["path"],
            }
        )
    )


def _refuse_flat() -> None:
    """Have the trial take the plain path, as it does for a model whose rows cannot share a sequence."""
    difference = trial.Trial.difference

    def refused(self: Any, given: TrainingPath, reach: int = 0) -> str:
        return "the benchmark asks for the plain path" if given.name == "flat" else difference(self, given, reach)

    trial.Trial.difference = refused  # type: ignore[method-assign]


def _copy(adapted: Any, directory: Path) -> None:
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(adapted, load_file(directory / "adapter_model.safetensors"))


def _loss(adapter: Path, method: str) -> float:
    """Mean loss per label over the validation rows."""
    attention.register()
    quantization = _config(method, 1).quantization if method == "qlora" else None
    model = loading.base_model(layout.base(BASE), quantization=quantization, attention=attention.NAME, precision=PRECISION)
    model = adapters.load(model, adapter)
    total, labels = 0.0, 0
    held_out = _rows("validation")
    with torch.no_grad():
        for start in range(0, len(held_out), BATCH):
            batch = rows.collate(held_out[start : start + BATCH])
            total += loss.completion_loss(model, batch, 1, precision=PRECISION).item()
            labels += len(batch["labels"])
    return total / labels


def _gemm() -> float:
    """FLOP/s of a product of the size that training does most: a step's tokens by the layers of the MLP."""
    left, right = (torch.randn(height, 1536).to(dtype(PRECISION)) for height in (1024, 1536))
    best = 0.0
    for _ in range(30):
        started = time.perf_counter()
        for _ in range(5):
            left @ right
        best = max(best, 5 * 2 * 1024 * 1536 * 1536 / (time.perf_counter() - started))
    return best


def _linear_weights() -> int:
    model = loading.base_model(layout.base(BASE))
    head = model.get_output_embeddings()
    return sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer is not head)


def _head_weights() -> int:
    weight: Any = loading.base_model(layout.base(BASE)).get_output_embeddings().weight
    return int(weight.numel())


if __name__ == "__main__":
    typer.run(main)

"""Every method of fine-tuning and every initialization on one base and one set of rows, as a Markdown table.

`python benchmarks/methods.py --steps 20`, after `make demo` (it makes the base model and the rows). Each trains through
`fineline.train.loop` in a separate process, on the same rows, with a learning rate usual for its kind. A few steps show what
a method costs and that it learns, not which one is best. A method that the base does not allow shows its refusal.
"""

import csv
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import typer

from fineline.adapters.methods import METHODS
from fineline.artifacts import reports
from fineline.chat import tokens
from fineline.errors import InputError
from fineline.project import layout
from fineline.project.params.training import Train

ADAPTER = "home-en"
BASE = "smollm2-135m"
BATCH = 16  # rows a step
VALIDATION = 32  # rows
INITIALIZATIONS = {"lora, pissa": ("lora", "pissa"), "lora, eva": ("lora", "eva"), "qlora, loftq": ("qlora", "loftq")}
RATES = {"vera": 2e-3, "ia3": 1e-2, "prefix": 1e-2, "prompt": 3e-3, "p-tuning": 2e-4, "full": 5e-5}
"""Learning rates; LoRA and all others that train matrices take `RATE`."""
RATE = 1e-3
HEAD = (
    "method", "trained", "share", "tokens/s", "peak memory", "forecast", "forecast/peak", "adapter", "loss, first to last",
    "validation loss", "merge and export", "served with others",
)  # fmt: skip


def main(
    steps: Annotated[int, typer.Option(min=2, help="Optimizer steps of each run.")] = 20,
    only: Annotated[list[str] | None, typer.Option(help="A method, or `lora, pissa`, `lora, eva`, `qlora, loftq`.")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="File for all figures.")] = None,
    here: Annotated[str, typer.Option(hidden=True, help="Train this one in this process.")] = "",
) -> None:
    """Print for each method its trained parameters, cost, losses, and what its result can be used for."""
    if here:
        print(json.dumps(_trained(here, steps)))
        return
    names = [*METHODS, *INITIALIZATIONS]
    unknown = sorted(set(only or ()) - set(names))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r}: take one of {'; '.join(names)}")
    print(_row(HEAD))
    print(_row(["---"] * len(HEAD)), flush=True)
    results: dict[str, dict[str, Any]] = {}
    for name in only or names:
        results[name] = _in_own_process(name, steps)
        print(_line(name, results[name]), flush=True)
        if out:
            reports.write(out, {"base": BASE, "steps": steps, "batch": BATCH, "results": results})
    print(f"\n{BASE}, {steps} steps of {BATCH} rows; {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    if any("failed" in result for result in results.values()):
        raise typer.Exit(1)


def _in_own_process(name: str, steps: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--here", name, "--steps", str(steps)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        return {"failed": f"exit code {run.returncode}"}
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def _trained(name: str, steps: int) -> dict[str, Any]:
    """The figures of one line, or why the method is refused."""
    from fineline import adapters
    from fineline.train import batches, loop

    config, encoded = _config(name), _rows("train")
    order = list(batches.LengthGrouped([len(row.input_ids) for row in encoded], BATCH, config.seed))
    chosen = [encoded[place] for place in order[: steps * BATCH]]
    with TemporaryDirectory() as directory:
        report, scratch, adapter = (Path(directory) / part for part in ("report", "scratch", "adapter"))
        try:
            predicted = _forecast(config, chosen)
            result = loop.train(
                layout.base(BASE),
                chosen,
                _rows("validation")[:VALIDATION],
                config,
                report=report,
                scratch=scratch,
                between=float("inf"),  # no checkpoints
            )
        except InputError as error:
            return {"refused": str(error)}
        adapters.save(result.model, adapter)
        size = sum(file.stat().st_size for file in adapter.iterdir())
        with (report / "loss.csv").open(encoding="utf-8") as stream:
            losses = [float(point["loss"]) for point in csv.DictReader(stream)]
    return result.metrics | {"predicted": predicted, "adapter_bytes": size, "losses": losses, "train": config.model_dump()}


def _config(name: str) -> Train:
    method, initialization = INITIALIZATIONS.get(name, (name, None))
    values = {
        "method": method,
        "batch_size": BATCH,
        "learning_rate": RATES.get(method, RATE),
        "warmup": 0.1,
        "validations": 1,
        "recompute": False,
        "seed": 1,
    }
    if METHODS[method].quantized:
        values["dequantize"] = False
    if initialization:
        values["initialization"] = initialization
    return Train.model_validate(values)


def _rows(split: str) -> list[tokens.TokenizedRow]:
    file = layout.curated(ADAPTER) / f"{split}.jsonl"
    return tokens.encode_all(tokens.tokenizer_of(layout.base(BASE)), reports.read_lines(file), file)


def _forecast(config: Train, chosen: list[tokens.TokenizedRow]) -> dict[str, int]:
    """Bytes by component."""
    from fineline.hardware import device
    from fineline.models import shape
    from fineline.plan import choice
    from fineline.plan.report import Run
    from fineline.plan.workload import Lengths

    run = Run(shape.of_model(layout.base(BASE)), device.detect(), config, Lengths.of(chosen))
    return run.memory_bytes(choice.Setting(config.method, BATCH, 1, recompute=False, dequantize=False))


def _line(name: str, result: Mapping[str, Any]) -> str:
    if "predicted" not in result:
        words = f"refused: {result['refused']}" if "refused" in result else f"failed with {result['failed']}"
        return _row([name, words, *[""] * (len(HEAD) - 2)])
    method = METHODS[INITIALIZATIONS.get(name, (name,))[0]]
    peak, forecast = result["peak_memory_bytes"], result["predicted"]["total"]
    return _row(
        [
            name,
            f"{result['trained_parameters']:,}",
            f"{result['trained_parameters'] / result['base_parameters']:.3%}",
            f"{result['tokens_per_second']:.0f}",
            f"{peak / 2**30:.2f} GiB",
            f"{forecast / 2**30:.2f} GiB",
            f"{forecast / peak:.2f}",
            f"{result['adapter_bytes'] / 1e6:.2f} MB",
            f"{result['losses'][0]:.3f} to {result['losses'][-1]:.3f}",
            f"{result['validation_loss']:.3f}",
            "yes" if method.mergeable else "no",
            "no" if method.not_servable else "yes",
        ]
    )


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    typer.run(main)

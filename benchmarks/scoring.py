"""Scoring speed: fineline's scorer against lm-eval's own Hugging Face model, on the same items of the shipped adapter.

`make bench` after `make demo`. Both run in this process, one after the other, on the same model object; answers are compared
item by item, so that speed is not bought with other results.
"""

import os
import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from pipelines import artifacts, layout, loading, params
from pipelines.evaluate import verdict
from pipelines.evaluate.scorer import Scorer
from pipelines.evaluate.suites import Task
from pipelines.evaluate.torch_engine import TorchEngine
from pipelines.tokens import tokenizer_of

ADAPTER = "home-en"
ITEMS = 64  # of each task; the harness's model is slow
BATCH = 16  # rows, for the harness's model


def main() -> None:
    """Print one row per task: seconds of both, ratio, share of equal scores."""
    block = params.load().adapter(ADAPTER)
    base = layout.base(block.base)
    trained_with = artifacts.read(layout.adapter(ADAPTER)).parameters
    quantization, precision = loading.quantization_of(trained_with), loading.precision_of(trained_with)
    model = loading.base_model(base, quantization=quantization, precision=precision)
    model = loading.with_adapter(model, layout.adapter(ADAPTER))
    tokenizer = tokenizer_of(base)
    peers = {"lm-eval HFLM": HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH)}
    peers["fineline"] = Scorer(TorchEngine(model, precision), tokenizer)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {loading.device().type}, {ITEMS} items a task"
    )
    print(f"{'task':<20} {'HFLM':>8} {'fineline':>9} {'ratio':>6} {'equal':>6}")
    with TemporaryDirectory() as directory:
        for task in verdict.lay_out(ADAPTER, block, tokenizer, Path(directory)):
            timed = {name: _score(peer, task, Path(directory)) for name, peer in peers.items()}
            (slow, expected), (fast, found) = timed.values()
            equal = sum(one == two for one, two in zip(expected, found, strict=True)) / len(found)
            print(f"{task.name:<20} {slow:>7.1f}s {fast:>8.1f}s {slow / fast:>6.2f} {equal:>6.1%}")


def _score(model: Any, task: Task, scratch: Path) -> tuple[float, list[float]]:
    started = time.perf_counter()
    results = simple_evaluate(
        model=model,
        tasks=[task.name],
        task_manager=TaskManager(include_path=str(scratch), include_defaults=False),
        apply_chat_template=not task.rendered,
        bootstrap_iters=0,
        limit=ITEMS,
        log_samples=True,
        verbosity="ERROR",
    )
    samples = sorted(results["samples"][task.name], key=lambda sample: sample["doc_id"])
    return time.perf_counter() - started, [float(sample[task.metric]) for sample in samples]


if __name__ == "__main__":
    main()

"""Running tasks on one model with lm-eval, and what is kept of every item."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.scorer import Engine, Scorer
from pipelines.evaluate.suites import Task


def score(engine: Engine, tokenizer: Any, tasks: Sequence[Task], scratch: Path) -> list[dict[str, Any]]:
    """Score every item of every task.

    Returns:
        One record per item: task, item, cluster, score (0 or 1), answer, expected, and the digests by which two models'
        records are paired (of the item, the prompt and the target).
    """
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    scorer = Scorer(engine, tokenizer)
    records: list[dict[str, Any]] = []
    for rendered in (True, False):
        chosen = [task for task in tasks if task.rendered == rendered]
        if not chosen:
            continue
        results = simple_evaluate(
            model=scorer,
            tasks=[task.name for task in chosen],
            task_manager=TaskManager(include_path=str(scratch), include_defaults=False),
            apply_chat_template=not rendered,
            bootstrap_iters=0,
            log_samples=True,
            verbosity="ERROR",
        )
        for task in chosen:
            samples = sorted(results["samples"][task.name], key=lambda sample: sample["doc_id"])
            records.extend(_record(task, sample) for sample in samples)
    return records


def _record(task: Task, sample: dict[str, Any]) -> dict[str, Any]:
    answer = sample["filtered_resps"]
    return {
        "task": task.name,
        "item": sample["doc_id"],
        "cluster": task.clusters[sample["doc_id"]],
        "score": float(sample[task.metric]),
        "answer": answer[0] if len(answer) == 1 else [[round(float(score), 4), greedy] for score, greedy in answer],
        "expected": sample["target"],
        "item_hash": sample["doc_hash"],
        "prompt_hash": sample["prompt_hash"],
        "target_hash": sample["target_hash"],
    }

"""An A/A test: the difference of a model to itself when its first items are scored again in smaller batches.

Floating-point sums depend on the batches, so a few items may flip although model and items are the same. A difference between
two models that is not larger than this means nothing. It is measured once for each base and environment.
"""

from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.evaluate import scores
from fineline.evaluate.arms import Arm
from fineline.evaluate.harness import Record, score
from fineline.inference.scorer import Scorer
from fineline.suites.task import Task

_ITEMS = 4  # of one task of each output type; tasks of one type are computed in the same way
_BUDGET = 0.25  # of the tokens of a normal batch


def measured(arm: Arm, tasks: list[Task], known: list[Record], tokenizer: Any, store: Path) -> dict[str, Any]:
    """Return the difference between the `known` records of a model and the same items scored again.

    Returns:
        `items` compared, `flips` (items whose share-like scores differ) and `largest`, the largest difference of a
        log-likelihood measure in bits.
    """
    own = [task for task in tasks if not task.packaged]  # a task of lm-eval cannot be asked in part
    asked = list({task.output_type: task.first(_ITEMS) for task in reversed(own)}.values())
    file = store / f"noise-{scores.key(arm.identity, asked)}.json"
    if file.is_file():
        found: dict[str, Any] = reports.read(file)
        return found
    print(f"{arm.name} {arm.artifact.name}: scored again in smaller batches to measure noise", flush=True)
    again: list[Record] = []
    with arm.engine() as engine:
        for task in asked:
            again += score(Scorer(engine, tokenizer, budget=_BUDGET), [task])
    found = difference(known, again, tasks)
    reports.write(file, found)
    return found


def difference(known: list[Record], again: list[Record], tasks: list[Task]) -> dict[str, Any]:
    """Return how far two sets of records of one model differ, over the items of the second."""
    before = {(record["task"], record["item"]): record["scores"] for record in known}
    units = {measure.name: measure.unit for task in tasks for measure in task.measures}
    flips, largest = 0, 0.0
    for record in again:
        distance = {
            units[name]: abs((score or 0.0) - (before[record["task"], record["item"]][name] or 0.0))
            for name, score in record["scores"].items()
        }
        flips += distance.pop("share", 0.0) > 0
        largest = max([largest, *distance.values()])
    return {"items": len(again), "flips": flips, "largest": largest}

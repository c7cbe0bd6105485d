"""What one model differs from itself by: its first items again, in batches of another size (an A/A test).

Sums of floating-point numbers depend on how the work was cut up, so the same model on the same items may flip a few. A
difference between two models that is no larger than this means nothing. Measured once for each base and environment.
"""

from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.evaluate import scores
from fineline.evaluate.arms import Arm
from fineline.evaluate.run import Record, score
from fineline.inference.scorer import Scorer
from fineline.suites.task import Task

_ITEMS = 4  # of one task of each kind: kinds are computed in different ways, tasks of one kind are not
_BUDGET = 0.25  # of the tokens of a usual batch


def measured(arm: Arm, tasks: list[Task], known: list[Record], tokenizer: Any, store: Path) -> dict[str, Any]:
    """The difference between `known` records of a model and the same computed again.

    Returns:
        `items` compared, `flips` (items whose share-like scores differ) and `largest`, the largest difference of a
        log-likelihood measure in bits.
    """
    own = [task for task in tasks if not task.packaged]  # what the harness brings cannot be asked in part
    asked = list({task.output_type: task.first(_ITEMS) for task in reversed(own)}.values())
    file = store / f"noise-{scores.key(arm.identity, asked)}.json"
    if file.is_file():
        found: dict[str, Any] = reports.read(file)
        return found
    print(f"{arm.name} {arm.artifact.name}: again in other batches, to see its own noise", flush=True)
    again: list[Record] = []
    with arm.engine() as engine:
        for task in asked:
            again += score(Scorer(engine, tokenizer, budget=_BUDGET), [task])
    found = difference(known, again, tasks)
    reports.write(file, found)
    return found


def difference(known: list[Record], again: list[Record], tasks: list[Task]) -> dict[str, Any]:
    """How far two sets of records of one model are apart, over the items that the second has."""
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

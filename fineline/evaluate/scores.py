"""Scores of a model: computed with lm-eval, once for each model and what it is asked, and how much they vary by themselves.

Scores are stored under a digest of everything that decides them, in a directory of this machine; missing scores are computed
again. lm-eval's own cache does not have the model in its key, so it could return the answers of another model.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.artifacts import reports
from fineline.errors import FinelineError
from fineline.inference.scorer import Scorer
from fineline.suites import metrics
from fineline.suites.metrics import Given
from fineline.suites.task import Task

if TYPE_CHECKING:
    from fineline.evaluate.arms import Arm

_SEED = 1234  # as in lm-eval
_NOISE_ITEMS = 4  # of one task of each output type; tasks of one type are computed in the same way
_NOISE_BUDGET = 0.25  # of the tokens of a normal batch

Record = dict[str, Any]
"""One item of one model: task, item, cluster, scores (measure -> number or None), question, answer, expected, choices if any,
and the digests of item, prompt and target by which the records of two models are paired."""


def score(scorer: Any, tasks: Sequence[Task]) -> list[Record]:
    """Score every item of a group of tasks; either all or none of them have rendered prompts.

    Args:
        scorer: A model class of lm-eval.

    Returns:
        The records, task by task, in the order of the items.

    Raises:
        FinelineError: lm-eval returns no number for a measure.
    """
    from lm_eval.evaluator import evaluate

    (rendered,) = {task.rendered for task in tasks}
    built = {task.name: task.built() for task in tasks}
    for one in built.values():
        one.set_fewshot_seed(_SEED)  # the same few-shot examples for every arm
    results = evaluate(
        lm=scorer,
        task_dict={"tasks": dict(built), "groups": {}, "group_map": {}},
        apply_chat_template=not rendered,
        fewshot_as_multiturn=not rendered,
        bootstrap_iters=0,
        log_samples=True,
    )
    return [record for task in tasks for record in _records(task, built[task.name], results["samples"][task.name])]


def _records(task: Task, built: Any, samples: list[dict[str, Any]]) -> list[Record]:
    first = samples[0]["filter"]  # of several filters, the first is the strictest
    samples = sorted((sample for sample in samples if sample["filter"] == first), key=lambda sample: sample["doc_id"])
    if len(samples) != len(task.items):
        raise FinelineError(f"{task.name}: {len(task.items)} items were asked, but lm-eval returned {len(samples)} answers")
    signs = {name: 1 if better else -1 for name, better in built.higher_is_better().items()}
    return [_record(task, built, sample, signs) for sample in samples]


def _record(task: Task, built: Any, sample: dict[str, Any], signs: dict[str, int]) -> Record:
    number = sample["doc_id"]
    item = task.items[number]
    choices = built.doc_to_choice(sample["doc"]) if task.output_type == "multiple_choice" else ()
    given = _given(item, sample, task.output_type, choices, rendered=task.rendered)
    harness = {name: signs.get(name, 1) * sample[name] for name in sample["metrics"] if isinstance(sample[name], int | float)}
    scores = {measure.name: metrics.score(measure.metric, given, harness, packaged=task.packaged) for measure in task.measures}
    record = {
        "task": task.name,
        "item": number,
        "cluster": task.clusters[number],
        "scores": scores,
        "question": str(item.get("question", "")),
        "answer": given.text if task.output_type == "generate_until" else [_likelihood(one) for one in given.likelihoods],
        "expected": sample["target"],
    }
    if choices:
        record["choices"] = list(choices)
    return record | {
        "item_hash": sample["doc_hash"],
        "prompt_hash": sample["prompt_hash"],
        "target_hash": sample["target_hash"],
    }


def _given(item: dict[str, Any], sample: dict[str, Any], output_type: str, choices: Any, *, rendered: bool) -> Given:
    answers = sample["filtered_resps"]
    if output_type == "generate_until":
        text = str(answers[0])
        return Given(item, text=metrics.bare_answer(text, item) if rendered else text, expected=sample["target"])
    if output_type == "loglikelihood_rolling":
        return Given(item, likelihoods=[(float(answers[0]), False)], expected=sample["target"])
    pairs = [(float(score), bool(greedy)) for score, greedy in answers]
    return Given(item, likelihoods=pairs, choices=choices, expected=sample["target"])


def _likelihood(likelihood: metrics.Likelihood) -> list[Any]:
    score, greedy = likelihood
    return [None if score != score else round(score, 4), greedy]


def cached(
    identity: dict[str, Any], tasks: Iterable[Task], compute: Callable[[list[Task], Path], list[Record]], store: Path
) -> list[Record]:
    """Return the records of a model on tasks, by group; records that are not in the store are computed.

    Each group is stored as soon as it is done, so an interrupted evaluation resumes where it stopped.

    Args:
        identity: Everything that decides the numbers apart from the task: digest of the model, precision, device, versions of
            libraries and of the stage.
        compute: Scores tasks; the path is that of a journal for the answers that are done so far.
        store: Directory in which scores are kept, on this machine only.
    """
    records: list[Record] = []
    for group in groups(tasks):
        file = store / f"{group[0].name}-{key(identity, group)}.json"
        if not file.is_file():
            journal = file.with_suffix(".part.jsonl")
            journal.parent.mkdir(parents=True, exist_ok=True)
            reports.write(file, compute(group, journal))
            journal.unlink(missing_ok=True)
        records += reports.read(file)
    return records


def groups(tasks: Iterable[Task]) -> list[list[Task]]:
    """Return tasks grouped by what is asked together, in the order of their first tasks.

    Batches depend on everything in a group, so a group is stored as one: every model sees the same batches.
    """
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(f"group {task.group}" if task.group else task.name, []).append(task)
    return list(found.values())


def key(identity: dict[str, Any], tasks: Iterable[Task]) -> str:
    """Return the key under which the scores of a model on a group of tasks are stored."""
    asked = identity | {"tasks": [task.digest for task in tasks]}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def measured_noise(arm: "Arm", tasks: list[Task], known: list[Record], chat: Any, store: Path) -> dict[str, Any]:
    """Return the result of an A/A test: the `known` records of a model against the first items, scored in smaller batches.

    Floating-point sums depend on the batches, so a few items may flip although model and items are the same. A difference
    between two models that is not larger than this means nothing. It is measured once for each base and environment.

    Returns:
        `items` compared, `flips` (items whose share-like scores differ) and `largest`, the largest difference of a
        log-likelihood measure in bits.
    """
    own = [task for task in tasks if not task.packaged]  # a task of lm-eval cannot be asked in part
    asked = list({task.output_type: task.first(_NOISE_ITEMS) for task in reversed(own)}.values())
    file = store / f"noise-{key(arm.identity, asked)}.json"
    if file.is_file():
        found: dict[str, Any] = reports.read(file)
        return found
    print(f"{arm.name} {arm.artifact.name}: scored again in smaller batches to measure noise", flush=True)
    again: list[Record] = []
    with arm.engine() as engine:
        for task in asked:
            again += score(Scorer(engine, chat, budget=_NOISE_BUDGET), [task])
    found = noise_between(known, again, tasks)
    reports.write(file, found)
    return found


def noise_between(known: list[Record], again: list[Record], tasks: list[Task]) -> dict[str, Any]:
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

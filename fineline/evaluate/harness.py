"""Running tasks on one model with lm-eval, and the record of each item."""

from collections.abc import Sequence
from typing import Any

from fineline.errors import FinelineError
from fineline.suites import metrics
from fineline.suites.metrics import Given
from fineline.suites.task import Task

_SEED = 1234  # as in lm-eval

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
    given = _given(item, sample, task.output_type, choices)
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


def _given(item: dict[str, Any], sample: dict[str, Any], output_type: str, choices: Any) -> Given:
    answers = sample["filtered_resps"]
    if output_type == "generate_until":
        return Given(item, text=str(answers[0]), expected=sample["target"])
    if output_type == "loglikelihood_rolling":
        return Given(item, likelihoods=[(float(answers[0]), False)], expected=sample["target"])
    pairs = [(float(score), bool(greedy)) for score, greedy in answers]
    return Given(item, likelihoods=pairs, choices=choices, expected=sample["target"])


def _likelihood(likelihood: metrics.Likelihood) -> list[Any]:
    score, greedy = likelihood
    return [None if score != score else round(score, 4), greedy]

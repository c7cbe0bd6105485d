"""The target suites: what the adapter was trained for, on the test split it never saw."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fineline.chat.completions import field as json_field
from fineline.chat.completions import is_object
from fineline.chat.tokens import prompt_and_completion
from fineline.errors import InputError
from fineline.project.params.evaluation import Target
from fineline.suites.metrics import unit
from fineline.suites.task import Measure, Task

GENERATION, CHOICE, GOLD = "target_generation", "target_choice", "target_gold"


@dataclass(frozen=True)
class Asked:
    """One row of the test split as the model meets it."""

    question: str
    """The last thing the user said, for people to read."""
    prompt: str
    """All of it, rendered as at serving time."""
    completion: str
    cluster: str


def asked(rows: list[dict[str, Any]], tokenizer: Any) -> list[Asked]:
    """Rows of a curated split, rendered with the chat template."""
    found = []
    for row in rows:
        prompt, text = prompt_and_completion(tokenizer, row)
        # a turn that only calls tools is what the template makes of it
        call = text.strip().removesuffix(tokenizer.eos_token or "").strip()
        said = [message["content"] for message in row["messages"][:-1] if message["role"] == "user"]
        found.append(Asked(said[-1] if said else "", prompt, row["messages"][-1]["content"] or call, str(row["group"])))
    return found


def tasks(rows: list[dict[str, Any]], target: Target, tokenizer: Any) -> list[Task]:
    """The target tasks of a curated test split.

    One task generates completions and scores them with every metric of `target.metrics` that reads an answer; `gold` asks for
    the likelihood of the reference; `target_choice` offers the beginning of the completion up to `target.choice_field`, once
    with the right value and else with values drawn from the other rows.

    Raises:
        InputError: There are no test rows, a completion is not what a metric needs, or none has the field.
    """
    if not rows:
        raise InputError("the test split has no rows to judge by; raise `curate.split.test`, or lower `evaluate.holdout`")
    items = asked(rows, tokenizer)
    found = []
    written = [metric for metric in target.metrics if metric != "gold"]
    if written:
        found.append(_generation(items, target, written))
    if "gold" in target.metrics:
        found.append(_gold(items))
    if target.choice_field:
        found.append(_choice(items, target.choice_field, target.choices))
    return found


def generation(name: str, metrics: dict[str, str], rows: list[dict[str, Any]], clusters: list[str], most: int) -> Task:
    """A task of rendered prompts to be answered in at most `most` tokens.

    Args:
        metrics: Measure -> metric.
        rows: `prompt`, `completion` (the reference), `question`, and what the metrics read.
    """
    until = [] if any("\n" in row["completion"] for row in rows) else ["\n"]
    definition = {
        "task": name,
        "output_type": "generate_until",
        "doc_to_text": "prompt",  # the fields as they are: what looks like a list would be taken for one if it were rendered
        "doc_to_target": "completion",
        "target_delimiter": "",
        "generation_kwargs": {"until": until, "max_gen_toks": most, "do_sample": False},
        "metric_list": [{"metric": "bypass"}],
    }
    measures = tuple(Measure(measure, metric, unit(metric, "generate_until")) for measure, metric in metrics.items())
    return Task(name, measures, clusters, rows, definition, rendered=True, beside="written")


def choice(name: str, metric: str, rows: list[dict[str, Any]], clusters: list[str]) -> Task:
    """A task of rendered prompts, each with `choices` and the place of the right one as `answer`."""
    definition = {
        "task": name,
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }
    measures = (Measure(name, metric, unit(metric, "multiple_choice")),)
    return Task(name, measures, clusters, rows, definition, rendered=True, beside="read")


def _generation(items: list[Asked], target: Target, metrics: Sequence[str]) -> Task:
    if "json_f1" in metrics:
        odd = next((item for item in items if not is_object(item.completion)), None)
        if odd:
            raise InputError(
                f"evaluate.target.metrics: json_f1 needs JSON objects as completions; that of {odd.question[:60]!r} is none"
            )
    rows = [_row(item) | ({"pattern": target.pattern} if target.pattern else {}) for item in items]
    measures = {f"target_{metric}": metric for metric in metrics}
    return generation(GENERATION, measures, rows, [item.cluster for item in items], target.max_new_tokens)


def _gold(items: list[Asked]) -> Task:
    definition = {
        "task": GOLD,
        "output_type": "loglikelihood",
        "doc_to_text": "prompt",  # the fields as they are: what looks like a list would be taken for one if it were rendered
        "doc_to_target": "completion",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }
    measures = (Measure(GOLD, "gold", unit("gold", "loglikelihood")),)
    clusters, rows = [item.cluster for item in items], [_row(item) for item in items]
    return Task(GOLD, measures, clusters, rows, definition, rendered=True, beside="read")


def _row(item: Asked) -> dict[str, Any]:
    return {"question": item.question, "prompt": item.prompt, "completion": item.completion}


def _choice(asked: list[Asked], field: str, count: int) -> Task:
    values = [json_field(item.completion, field) for item in asked]
    known = sorted({value for value in values if value is not None}, key=repr)
    if len(known) < 2:
        raise InputError(
            f"evaluate.target.choice_field: the test completions have {len(known)} values of {field!r}; two or more are needed"
        )
    rows, clusters = [], []
    for item, value in zip(asked, values, strict=True):
        if value is None:
            continue
        draw = random.Random(hashlib.sha256(item.prompt.encode()).hexdigest())  # an item's distractors are its own
        offered = [value, *draw.sample([other for other in known if other != value], min(count, len(known)) - 1)]
        draw.shuffle(offered)
        choices = ["{" + f"{json.dumps(field)}:{json.dumps(option)}" for option in offered]
        rows.append({"question": item.question, "prompt": item.prompt, "choices": choices, "answer": offered.index(value)})
        clusters.append(item.cluster)
    return choice(CHOICE, "acc", rows, clusters)

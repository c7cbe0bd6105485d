"""The target tasks: the task that the adapter was trained for, on its test split."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fineline.chat.answer import RenderedAnswer
from fineline.chat.tokens import chat_of, checked, json_field, json_object
from fineline.errors import InputError, ParameterError
from fineline.project.params.evaluation import Target
from fineline.suites.metrics import unit
from fineline.suites.task import Measure, Task

GENERATION, CHOICE, GOLD = "target_generation", "target_choice", "target_gold"


@dataclass(frozen=True)
class Asked:
    """One row of the test split, as the model is asked."""

    question: str
    """The last user message, for people to read."""
    rendered: RenderedAnswer
    """Prompt and answer, as they are learned and served."""
    cluster: str
    mark: str
    """The text that ends a block of reasoning; empty if the template writes none."""

    @property
    def prompt(self) -> str:
        """The whole conversation, rendered as at serving time."""
        return self.rendered.prompt

    @property
    def completion(self) -> str:
        """The answer as the template writes it: the reference."""
        return self.rendered.answer

    @property
    def begun(self) -> str:
        """The prompt and what the template writes before the answer."""
        return self.rendered.begun

    @property
    def around(self) -> dict[str, str]:
        """The texts around an answer that are not compared: see `fineline.suites.metrics.bare_answer`."""
        return {"lead": self.rendered.lead, "mark": self.mark, "tail": self.rendered.tail}


def asked(rows: list[dict[str, Any]], chat: Any) -> list[Asked]:
    """Render rows of a curated split with the chat template.

    Args:
        chat: A `ChatFormat`, or a tokenizer of transformers.

    Raises:
        InputError: A row cannot be rendered.
    """
    chat = chat_of(chat)
    found = []
    for row in rows:
        answer = chat.answer(checked(row["messages"]), row.get("tools"))
        users = [message["content"] for message in row["messages"][:-1] if message["role"] == "user"]
        found.append(Asked(users[-1] if users else "", answer, str(row["group"]), chat.mark_of(row.get("tools"))))
    return found


def tasks(rows: list[dict[str, Any]], target: Target, chat: Any) -> list[Task]:
    """Return the target tasks of a curated test split.

    One task generates completions and scores them with every metric of `target.metrics` that reads an answer. `gold` asks for
    the likelihood of everything that is learned of the reference, its end included. `target_choice` offers the completion up to
    `target.choice_field`, with the right value and with values drawn from other rows.

    Raises:
        InputError: There are no test rows, a completion is not what a metric needs, or none has the field.
    """
    if not rows:
        raise InputError("the test split has no open rows to evaluate; raise `curate.split.test`, or lower `evaluate.holdout`")
    items = asked(rows, chat)
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
    """Return a task of rendered prompts to be answered in at most `most` tokens.

    Args:
        metrics: Measure -> metric.
        rows: `prompt`, `completion` (the reference), `question`, what may be around an answer, and the fields that the metrics
            read. An answer ends at a line break if no row of the task has one in its answer, nor a block of reasoning.
    """
    several = any("\n" in row["completion"] + row.get("lead", "") + row.get("tail", "") or row.get("mark") for row in rows)
    until = [] if several else ["\n"]
    kwargs = {"until": until, "max_gen_toks": most, "do_sample": False}
    definition = _definition(name, "generate_until", "bypass", generation_kwargs=kwargs)
    measures = tuple(Measure(measure, metric, unit(metric, "generate_until")) for measure, metric in metrics.items())
    return Task(name, measures, clusters, rows, definition, rendered=True, group="written")


def choice(name: str, metric: str, rows: list[dict[str, Any]], clusters: list[str]) -> Task:
    """Return a task of rendered prompts, each with `choices` and the index of the right one as `answer`."""
    definition = _definition(name, "multiple_choice", "acc", target="answer", doc_to_choice="choices")
    measures = (Measure(name, metric, unit(metric, "multiple_choice")),)
    return Task(name, measures, clusters, rows, definition, rendered=True, group="read")


def _definition(name: str, output_type: str, metric: str, target: str = "completion", **others: Any) -> dict[str, Any]:
    """Return a task of rendered prompts in lm-eval's format.

    Text and target are names of fields and not templates, because lm-eval parses rendered text that looks like a list.
    """
    return {
        "task": name,
        "output_type": output_type,
        "doc_to_text": "prompt",
        "doc_to_target": target,
        "target_delimiter": "",
        "metric_list": [{"metric": metric}],
        **others,
    }


def _generation(items: list[Asked], target: Target, metrics: Sequence[str]) -> Task:
    if "json_f1" in metrics:
        odd = next((item for item in items if json_object(item.completion) is None), None)
        if odd:
            raise ParameterError(
                "evaluate.target.metrics",
                f"json_f1 needs JSON objects as completions, but that of {odd.question[:60]!r} is not one",
            )
    rows = [_row(item) | ({"pattern": target.pattern} if target.pattern else {}) for item in items]
    measures = {f"target_{metric}": metric for metric in metrics}
    return generation(GENERATION, measures, rows, [item.cluster for item in items], target.max_new_tokens)


def _gold(items: list[Asked]) -> Task:
    definition = _definition(GOLD, "loglikelihood", "acc", target="learned")
    measures = (Measure(GOLD, "gold", unit("gold", "loglikelihood")),)
    clusters = [item.cluster for item in items]
    rows = [_row(item) | _learned(item) for item in items]
    return Task(GOLD, measures, clusters, rows, definition, rendered=True, group="read")


def _row(item: Asked) -> dict[str, Any]:
    return {"question": item.question, "prompt": item.prompt, "completion": item.completion, **item.around}


def _learned(item: Asked) -> dict[str, str]:
    """Return the text whose likelihood is asked for, and the text before it."""
    answer = item.rendered
    if answer.masked:
        return {"prompt": item.begun, "learned": answer.answer + answer.end}
    return {"learned": answer.completion}


def _choice(asked: list[Asked], field: str, count: int) -> Task:
    values = [json_field(item.completion, field) for item in asked]
    known = sorted({value for value in values if value is not None}, key=repr)
    if len(known) < 2:
        raise ParameterError(
            "evaluate.target.choice_field",
            f"the test completions have {len(known)} values of {field!r}; two or more are needed",
        )
    rows, clusters = [], []
    for item, value in zip(asked, values, strict=True):
        if value is None:
            continue
        draw = random.Random(
            hashlib.sha256(item.prompt.encode()).hexdigest()
        )  # the distractors of an item depend only on the item
        offered = [value, *draw.sample([other for other in known if other != value], min(count, len(known)) - 1)]
        draw.shuffle(offered)
        choices = ["{" + f"{json.dumps(field)}:{json.dumps(option)}" for option in offered]
        rows.append({"question": item.question, "prompt": item.begun, "choices": choices, "answer": offered.index(value)})
        clusters.append(item.cluster)
    return choice(CHOICE, "acc", rows, clusters)

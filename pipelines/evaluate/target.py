"""The target suite: what the adapter was trained for, on the test split it never saw."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from pipelines.completions import field as json_field
from pipelines.errors import InputError
from pipelines.evaluate.suites import Task, write_task
from pipelines.params.evaluation import Target
from pipelines.tokens import halves

EXACT_MATCH = "target_exact_match"
CHOICE = "target_choice"


def lay_out(rows: list[dict[str, Any]], target: Target, tokenizer: Any, scratch: Path) -> list[Task]:
    """Write the target tasks of a curated test split.

    `target_exact_match` generates the completion and asks for the very same text. `target_choice` offers the beginning of the
    completion up to `target.choice_field`, once with the right value and else with values drawn from the other rows.

    Raises:
        InputError: There are no test rows, or no completion has the field.
    """
    if not rows:
        raise InputError("the test split has no rows; raise `curate.split.test`")
    clusters = [str(row["group"]) for row in rows]
    texts = [halves(tokenizer, row) for row in rows]
    prompts = [prompt for prompt, _ in texts]
    # a turn that only calls tools is what the template makes of it
    calls = [text.strip().removesuffix(tokenizer.eos_token or "").strip() for _, text in texts]
    completions = [row["messages"][-1]["content"] or call for row, call in zip(rows, calls, strict=True)]
    items = [{"prompt": prompt, "completion": completion} for prompt, completion in zip(prompts, completions, strict=True)]
    until = [] if any("\n" in completion for completion in completions) else ["\n"]
    tasks = [write_task(EXACT_MATCH, _exact_match(target, until), items, clusters, rendered=True, scratch=scratch)]
    if target.choice_field:
        choices, clusters = _choices(prompts, completions, clusters, target.choice_field, target.choices)
        tasks.append(write_task(CHOICE, _CHOICE, choices, clusters, rendered=True, scratch=scratch))
    return tasks


def _exact_match(target: Target, until: list[str]) -> dict[str, Any]:
    return {
        "task": EXACT_MATCH,
        "dataset_path": "json",
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{completion}}",
        "target_delimiter": "",
        "generation_kwargs": {"until": until, "max_gen_toks": target.max_new_tokens, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}],
    }


_CHOICE = {
    "task": CHOICE,
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{prompt}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "answer",
    "target_delimiter": "",
    "metric_list": [{"metric": "acc"}],
}


def _choices(
    prompts: list[str], completions: list[str], clusters: list[str], field: str, count: int
) -> tuple[list[dict[str, Any]], list[str]]:
    values = [json_field(completion, field) for completion in completions]
    known = sorted({value for value in values if value is not None}, key=repr)
    if len(known) < 2:
        raise InputError(
            f"evaluate.target.choice_field: the test completions have {len(known)} values of {field!r}; two or more are needed"
        )
    items, kept = [], []
    for prompt, value, cluster in zip(prompts, values, clusters, strict=True):
        if value is None:
            continue
        draw = random.Random(hashlib.sha256(prompt.encode()).hexdigest())  # an item's distractors are its own
        offered = [value, *draw.sample([other for other in known if other != value], min(count, len(known)) - 1)]
        draw.shuffle(offered)
        choices = ["{" + f"{json.dumps(field)}:{json.dumps(option)}" for option in offered]
        items.append({"prompt": prompt, "choices": choices, "answer": offered.index(value)})
        kept.append(cluster)
    return items, kept

"""A consumer's answers and likelihoods, held against the record of fineline's own judging."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.consumers.record import mean_difference

LEAST_SAME = {"float32": 0.98, "bfloat16": 0.8}
"""Share of prompts whose answer must be the same text. Where two tokens are equally likely, rounding decides."""


@dataclass(frozen=True)
class Result:
    """What was found for one form of one model in one consumer."""

    difference: float
    """Mean absolute difference of the log-likelihoods of the probe rows, in nats."""
    tolerance: float
    base_difference: float | None
    """The same of the base without the adapter: it must be larger than the tolerance, or the rows cannot tell them apart."""
    same_tokens: float
    """Share of prompts that the consumer tokenizes to the same ids."""
    same_answers: float
    """Share of prompts with the same answer."""
    exact_match: float
    """Share of prompts whose answer is the expected one."""
    tokens_per_second: float
    samples: bool
    """True if the consumer samples unless a request asks for greedy decoding, which was judged."""
    problems: tuple[str, ...]
    """Why the consumer does not run what was judged; empty if it does."""


def compare(found: Mapping[str, Any], record: Mapping[str, Any], dtype: str, decode: Callable[[Sequence[int]], str]) -> Result:
    """Compare an answer to a request (`programs/protocol.py`) with the record.

    Args:
        decode: Returns the text of ids.
    """
    texts = [decode(answer) for answer in found["answers"]]
    ours, count = record["loglikelihoods"], len(record["prompts"])
    tolerance = record["tolerance"][dtype]
    difference = mean_difference(found["loglikelihoods"], ours)
    base = None if found["base"] is None else mean_difference(found["base"], ours)
    same_tokens = sum(one == other for one, other in zip(found["prompts"], record["prompts"], strict=True)) / count
    same = sum(one == other for one, other in zip(texts, record["answers"], strict=True)) / count
    matched = sum(one.strip() == other.strip() for one, other in zip(texts, record["expected"], strict=True)) / count
    problems = []
    if same_tokens < 1:
        problems.append(f"{1 - same_tokens:.0%} of prompts are tokenized differently")
    if not difference <= tolerance:
        problems.append(f"likelihoods differ by {difference:.2g} nats per row (at most {tolerance:.2g})")
    if base is not None and not base > tolerance:
        problems.append(f"the base alone is as near ({base:.2g} nats per row): the rows cannot tell it from the adapter")
    if same < LEAST_SAME[dtype]:
        problems.append(f"{same:.0%} of the answers are the same (at least {LEAST_SAME[dtype]:.0%})")
    tokens = sum(len(answer) + 1 for answer in found["answers"])
    speed, samples = tokens / found["seconds"], found.get("samples", False)
    return Result(difference, tolerance, base, same_tokens, same, matched, speed, samples, tuple(problems))


def recorded(before: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return recorded results with those that were found now: one for each model, form and consumer, in that order."""
    every = {(one["model"], one["form"], one["consumer"]): one for one in (*before, *found)}
    return [every[key] for key in sorted(every)]

"""Probe rows with the answers and likelihoods of fineline's own judging, which those of a consumer are held against."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance

from fineline.chat.tokens import chat_format, prompt_and_completion
from fineline.inference.scorer import Engine, Scorer

PROMPTS, ROWS = 50, 16
FP32_TOLERANCE = 1e-3  # nats per row, of sums in another order
NOISE = 4
"""A consumer in bf16 may differ by this multiple of what bf16 changes in fineline's own likelihoods: its kernels round at other
places."""


def record(
    engine: Engine,
    chat_files: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    new_tokens: int,
    rounded: Engine | None = None,
) -> dict[str, Any]:
    """Return what a consumer is asked, and the answers of an engine.

    Args:
        engine: The form, as `assess` judges it.
        chat_files: Directory with tokenizer and chat template.
        rows: Curated rows. The first ones are prompts, answers to which are written; the last ones have their answers scored.
        new_tokens: Largest number of tokens of an answer.
        rounded: The form in bf16, for consumers that compute in it.

    Returns:
        `messages`, `expected` texts, `prompts` (ids), `answers` (texts), `ends` and `new_tokens`; `rows` of prompt and answer
        ids, their `loglikelihoods` in nats, and the `tolerance` of their mean difference per row, by type.
    """
    chat = chat_format(chat_files)
    scorer = Scorer(engine, chat)
    asked, scored = rows[:PROMPTS], rows[-ROWS:]
    pairs = [prompt_and_completion(chat, row) for row in asked]
    requests = [
        Instance("generate_until", {}, (prompt, {"max_gen_toks": new_tokens, "until": []}), number)
        for number, (prompt, _) in enumerate(pairs)
    ]
    questions = [(None, *scorer._encode_pair(*prompt_and_completion(chat, row))) for row in scored]
    likelihoods = [score for score, _ in scorer._loglikelihood_tokens(questions)]
    tolerance = {"float32": FP32_TOLERANCE}
    if rounded is not None:
        near = [score for score, _ in Scorer(rounded, chat)._loglikelihood_tokens(questions)]
        tolerance["bfloat16"] = max(FP32_TOLERANCE, NOISE * mean_difference(likelihoods, near))
    return {
        "messages": [list(row["messages"][:-1]) for row in asked],
        "expected": [row["messages"][-1]["content"] for row in asked],
        "prompts": [scorer.tok_encode(prompt) for prompt, _ in pairs],
        "answers": scorer.generate_until(requests),
        "ends": sorted(chat.ends.values()),
        "new_tokens": new_tokens,
        "rows": [{"prompt": prompt, "answer": answer} for _, prompt, answer in questions],
        "loglikelihoods": likelihoods,
        "tolerance": tolerance,
    }


def mean_difference(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the mean absolute difference of the log-likelihoods of rows, in nats."""
    return sum(abs(left - right) for left, right in zip(one, other, strict=True)) / len(one)


def write(found: Mapping[str, Any], form: Path, base: Path | None, dtype: str, file: Path) -> None:
    """Write a request for the programs of consumers; `programs/protocol.py` describes it."""
    asked = {key: found[key] for key in ("messages", "new_tokens", "ends", "rows")}
    asked |= {"form": str(form), "base": str(base) if base else None, "dtype": dtype}
    file.write_text(json.dumps(asked), encoding="utf-8")

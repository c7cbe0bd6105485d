"""Checks of rows, tokenizer and chat template before any weight is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fineline.chat.format import ChatFormat
from fineline.chat.tokens import chat_of
from fineline.errors import InputError
from fineline.project.params.training import Train
from fineline.train import base_checks, chat_checks, rendering, row_checks
from fineline.train.markers import Markers
from fineline.train.row_checks import Line, PreflightIssue, Split

REPORT = "preflight.json"
LONGEST = 5  # rows that are listed


@dataclass(frozen=True)
class Preflight:
    """The result of every check, with statistics of the rows: the content of preflight.json."""

    rows: dict[str, int]
    """Split -> rows."""
    template: str
    """sha256 of the chat template."""
    lengths: dict[str, float]
    """Tokens of rows: shortest, median, mean, p95, p99, longest."""
    longest: list[dict[str, Any]]
    shown: list[dict[str, Any]]
    """The rows of the rendering, without their text."""
    findings: list[PreflightIssue]


def examine(
    tokenizer: Any,
    splits: Mapping[str, Split],
    base: Path,
    context: int | None,
    chat: ChatFormat | None = None,
    train: Train | None = None,
) -> Preflight:
    """Examine the rows that are to be trained on.

    Args:
        base: Directory of the base model, whose files a server reads.
        context: Length of the longest row that the model accepts, in tokens; None if it is not known.
        chat: How rows become conversations; by default as the tokenizer has it.
        train: The settings of the training, for what depends on the method.

    Raises:
        InputError: The tokenizer has no chat template.
    """
    chat = chat or chat_of(tokenizer)
    lines = row_checks.lines_of(splits)
    markers = Markers(tokenizer)
    lengths = [line.length for line in lines]
    return Preflight(
        rows={name: len(split.tokens) for name, split in splits.items()},
        template=base_checks.digest(tokenizer.chat_template),
        lengths=_quantiles(lengths),
        longest=[line.described() for line in sorted(lines, key=lambda line: -line.length)[:LONGEST]],
        shown=[line.described() for line in _shown(lines)],
        findings=[
            row_checks.labels(lines),
            row_checks.end_of_turn(lines, chat),
            base_checks.stop_token(base, chat, lines),
            base_checks.end_token_trained(base, lines, train),
            *chat_checks.issues(lines, chat),
            row_checks.beginning(lines, tokenizer),
            row_checks.masked(lines),
            row_checks.length(lines, context),
            base_checks.chat_template(base, tokenizer),
            row_checks.unknown_markers(lines, tokenizer, markers),
            row_checks.special_in_text(lines, markers),
        ],
    )


def rendered(tokenizer: Any, splits: Mapping[str, Split]) -> str:
    """Return the shortest, the median and the longest row as Markdown that marks the learned tokens."""
    lines = _shown(row_checks.lines_of(splits))
    return rendering.markdown(tokenizer, [(_title(line), line.tokens) for line in lines])


def check(preflight: Preflight) -> None:
    """Raise `InputError` with every issue that is an error."""
    errors = [f"{issue.name}: {issue.message}" for issue in preflight.findings if issue.severity == "error"]
    if errors:
        raise InputError("\n".join(["the rows cannot be trained on as they are:", *errors]))


def _shown(lines: list[Line]) -> list[Line]:
    """Return the shortest, the median and the longest row."""
    ordered = sorted(lines, key=lambda line: line.length)
    places = sorted({0, len(ordered) // 2, len(ordered) - 1}) if ordered else []
    return [ordered[place] for place in places]


def _title(line: Line) -> str:
    return f"{line}, {line.length} tokens, {line.tokens.learned} learned"


def _quantiles(lengths: list[int]) -> dict[str, float]:
    if not lengths:
        return {}
    median, p95, p99 = np.percentile(lengths, [50, 95, 99], method="nearest").tolist()
    return {
        "shortest": min(lengths),
        "median": int(median),
        "mean": round(sum(lengths) / len(lengths), 1),
        "p95": int(p95),
        "p99": int(p99),
        "longest": max(lengths),
    }

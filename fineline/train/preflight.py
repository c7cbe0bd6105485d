"""What can be wrong with rows, tokenizer and chat template, told before any weight is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fineline.errors import InputError
from fineline.train import rendering, row_findings, served
from fineline.train.finding import Finding
from fineline.train.markers import Markers
from fineline.train.row_findings import Line, Split

REPORT = "preflight.json"
LONGEST = 5  # rows that are listed


@dataclass(frozen=True)
class Preflight:
    """All findings, and what the rows are like."""

    rows: dict[str, int]
    """Split -> rows."""
    template: str
    """sha256 of the chat template."""
    lengths: dict[str, float]
    """Tokens of rows: shortest, median, mean, p95, p99, longest."""
    longest: list[dict[str, Any]]
    shown: list[dict[str, Any]]
    """The rows of the rendering; their text stays out of this report."""
    findings: list[Finding]


def examine(tokenizer: Any, splits: Mapping[str, Split], base: Path, context: int | None) -> Preflight:
    """Examine the rows that are to be trained on.

    Args:
        base: Directory of the base model, whose files a server reads.
        context: Most tokens of a row that the model takes, see `served.context_of`; None if that is not known.

    Raises:
        InputError: The tokenizer has no chat template.
    """
    lines = row_findings.lines_of(splits)
    markers = Markers(tokenizer)
    lengths = [line.length for line in lines]
    return Preflight(
        rows={name: len(split.tokens) for name, split in splits.items()},
        template=served.digest(tokenizer.chat_template),
        lengths=_quantiles(lengths),
        longest=[line.described() for line in sorted(lines, key=lambda line: -line.length)[:LONGEST]],
        shown=[line.described() for line in _shown(lines)],
        findings=[
            row_findings.labels(lines),
            row_findings.end_of_turn(lines, tokenizer),
            served.stop_token(base, tokenizer),
            row_findings.beginning(lines, tokenizer),
            row_findings.masked(lines),
            row_findings.length(lines, context),
            served.chat_template(base, tokenizer),
            row_findings.unknown_markers(lines, tokenizer, markers),
            row_findings.special_in_text(lines, markers),
        ],
    )


def rendered(tokenizer: Any, splits: Mapping[str, Split]) -> str:
    """Return the shortest, the median and the longest row as Markdown in which a reader sees what is learned."""
    lines = _shown(row_findings.lines_of(splits))
    return rendering.markdown(tokenizer, [(_title(line), line.tokens) for line in lines])


def check(preflight: Preflight) -> None:
    """Raise `InputError` with every finding that is an error."""
    errors = [f"{finding.name}: {finding.message}" for finding in preflight.findings if finding.severity == "error"]
    if errors:
        raise InputError("\n".join(["the rows cannot be trained on as they are:", *errors]))


def _shown(lines: list[Line]) -> list[Line]:
    """The shortest row, the median, and the longest."""
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

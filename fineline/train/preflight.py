"""What can be wrong with rows, tokenizer and chat template, told before any weight is loaded."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.project import layout
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


def run(
    name: str, tokenizer: Any, splits: Mapping[str, Split], base: Path, context: int | None, left_out: Path | None = None
) -> Preflight:
    """Examine the rows of adapter `name`, write its report and the rendering of three rows, and let `check` decide.

    Raises:
        InputError: See `check`.
    """
    preflight = examine(tokenizer, splits, base, context, left_out)
    text = rendering.markdown(tokenizer, [(_title(line), line.tokens) for line in _shown(row_findings.lines_of(splits))])
    file = layout.rendered(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")
    rendered = hashlib.sha256(text.encode()).hexdigest()  # tells whether the file is of this run
    reports.write(layout.reports(name) / REPORT, asdict(preflight) | {"rendered": rendered})
    check(preflight)
    return preflight


def examine(
    tokenizer: Any, splits: Mapping[str, Split], base: Path, context: int | None, left_out: Path | None = None
) -> Preflight:
    """Ask every question about the rows that are to be trained on.

    Args:
        base: Directory of the base model, which is served with the files that lie there.
        context: Most tokens of a row that the model takes, see `served.context_of`; None if that is not known.
        left_out: left_out.jsonl of curation.

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
            row_findings.length(lines, context, left_out),
            served.chat_template(base, tokenizer),
            row_findings.unknown_markers(lines, tokenizer, markers),
            row_findings.special_in_text(lines, markers),
        ],
    )


def check(preflight: Preflight) -> None:
    """Raises `InputError` with every finding that is an error."""
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

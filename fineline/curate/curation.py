"""Curation as a whole: raw rows of all parts -> the files of a data set, and the report on it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fineline.chat.settings import ChatSettings
from fineline.curate import dataset, quality, summary
from fineline.curate.decide import decide
from fineline.curate.decision import NAMES
from fineline.curate.examine import ExaminerSettings
from fineline.curate.privacy import Cleaner
from fineline.curate.table import Outcomes, Table
from fineline.curate.workers import RowProgress, examine_all
from fineline.errors import FinelineError, InputError, ParameterError
from fineline.project.params.curation import Curate
from fineline.suites.guards import SuiteItem

_EXAMPLES = 3
_MANY = 0.02  # share of linked rows above which they are not a coincidence


@dataclass(frozen=True)
class Curated:
    """The result of a curation."""

    report: dict[str, Any]
    """Content of curation.json, without the digest of the data set."""
    tokens: np.ndarray
    """(kept rows,) their lengths."""
    seconds: dict[str, float]
    """Step -> how long it took."""


def check(rule: Curate, cleaner: Cleaner) -> None:
    """Check what can be checked of a rule before any row is read.

    Raises:
        InputError: The system message contains personal data, or a language is unknown.
    """
    kinds = {match.kind for match in cleaner.find(rule.system or "")}
    if kinds:
        found = ", ".join(sorted(kinds))
        raise ParameterError("curate.system", f"contains {found}, and would be in every row; remove it")
    unknown = sorted(set(rule.quality.languages) - quality.known_languages())
    if unknown:
        raise ParameterError("curate.quality.languages", f"{', '.join(unknown)} cannot be detected; use codes of ISO 639-1")


def curate(
    rule: Curate,
    raw: Path,
    parts: Mapping[str, Any],
    tokenizer: Path,
    guards: Sequence[str],
    items: Sequence[SuiteItem],
    directory: Path,
    scratch: Path,
    chat: ChatSettings | None = None,
) -> Curated:
    """Fill a directory with the splits and the account of every other row.

    Args:
        raw: Directory of the raw rows, a file per part.
        parts: Part -> its entry in parts.json.
        tokenizer: Directory of the base model's tokenizer.
        guards: Names of the suites whose leaks are counted, and `items` their items.
        directory: Empty directory to fill.
        scratch: Directory for temporary files.
        chat: How rows become conversations.

    Raises:
        InputError: Too many rows are malformed, a split is empty, or the rule does not fit the rows.
        FinelineError: The raw rows changed meanwhile, or a process was killed.
    """
    before = _state(raw)
    files = {part: raw / f"{part}.jsonl" for part in parts}
    total = sum(part["rows"] for part in parts.values())
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch, prefix="curate.") as temporary, RowProgress(total) as progress:
        settings = ExaminerSettings(rule, tokenizer, items, parts, Path(temporary), chat)
        chunks = examine_all(settings, files, lambda chunk: progress.advance(chunk.outcomes.rows_in))
        outcomes = Outcomes()
        for chunk in chunks:
            outcomes.add(chunk.outcomes)
        _check_rejected(outcomes, rule.max_rejected, raw, Path(temporary), len(chunks))
        progress.step("gather")
        with Table(chunks, list(parts), Path(temporary)) as table:
            _check_stratum(table, rule)
            decision = decide(table, rule, [part["weight"] for part in parts.values()], progress.step)
            progress.step("write")
            dataset.write(table, decision, len(chunks), Path(temporary), directory)
            progress.step("summarize")
            report = summary.summarize(table, decision, outcomes, rule, parts, guards)
            progress.step("audit")
            report["checks"] |= dataset.audit(directory, rule, items, report["splits"])
            tokens = table.tokens[decision.kept]
    _check_splits(report, rule)
    _warn(report)
    if _state(raw) != before:
        raise FinelineError(f"{raw}: changed while it was being read; run again when nothing writes to it")
    return Curated(report, tokens, progress.seconds)


def _state(directory: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of every file."""
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(directory.iterdir())]


def _check_rejected(outcomes: Outcomes, limit: float, raw: Path, scratch: Path, chunks: int) -> None:
    if not outcomes.rows_in:
        raise InputError(f"{raw}: no rows; check the source of the adapter")
    rejected = sum(rows for (step, _), rows in outcomes.left_out.items() if step == "rejected")
    if rejected / outcomes.rows_in > limit:
        raise InputError(
            f"{rejected:,} of {outcomes.rows_in:,} rows are unusable, more than `curate.max_rejected` ({limit:.1%}) allows:\n"
            f"{_examples(scratch, chunks)}\n"
            "fix the source, or raise the limit in params.yaml if they may be left out"
        )


def _examples(scratch: Path, chunks: int) -> str:
    found: list[str] = []
    for chunk in range(chunks):
        for line in (scratch / f"{chunk}.left_out").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["step"] == "rejected":
                found.append(f"  {entry['source']}: {entry['at']}: {entry['reason']}")
            if len(found) == _EXAMPLES:
                return "\n".join(found)
    return "\n".join(found)


def _check_stratum(table: Table, rule: Curate) -> None:
    field = rule.split.stratify
    if field and len(table) and not table.stratum.any():
        raise ParameterError("curate.split.stratify", f"no row has a column {field!r}, or a JSON completion with such a field")


def _check_splits(report: dict[str, Any], rule: Curate) -> None:
    step, most = max(report["removed"].items(), key=lambda item: item[1])
    gone = f"; most rows, {most:,} of {report['rows_in']:,}, were left out by `{step}`: see `fineline docs curation`"
    wanted = {"train": 1.0, "validation": rule.split.validation, "test": rule.split.test}
    for name in NAMES:
        if wanted[name] and not report["splits"][name]["rows"]:
            remedy = f"raise `curate.split.{name}`, or set it to 0" if name != "train" else "lower the other shares"
            found = f"the {name} split is empty: {report['kept']:,} rows were kept; add data, {remedy}"
            raise InputError(found + gone if most else found)


def _warn(report: dict[str, Any]) -> None:
    linked = report["removed"]["linked"]
    if linked > _MANY * report["rows_in"]:
        print(
            f"warning: {linked:,} rows were left out because a similar row is in another split; if they are variants of one"
            " template, give them a `group`",
            flush=True,
        )

"""The funnel of the data: raw rows, what each step of curation removed and why, and the splits."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fineline.report import figures
from fineline.report.reading import Content


@dataclass(frozen=True)
class Stop:
    """One bar of the funnel."""

    name: str
    rows: int
    """Left after the step."""
    removed: int
    reasons: Sequence[str]
    drawn: Markup


@dataclass(frozen=True)
class Split:
    """One split of the curated rows."""

    name: str
    rows: int
    tokens: int | None
    drawn: Markup


@dataclass(frozen=True)
class Funnel:
    """The whole funnel."""

    stops: Sequence[Stop]
    """Raw rows, and each step that removed at least one."""
    idle: Sequence[str]
    """Steps that removed nothing."""
    splits: Sequence[Split]
    rows_in: int
    kept: int


def funnel(content: Content) -> Funnel | None:
    """Return the funnel; None if the data were not curated."""
    report = content.report("curation")
    if not report.get("rows_in"):
        return None
    whole, left = report["rows_in"], report["rows_in"]
    stops = [_stop("raw rows", whole, 0, whole, [])]
    removed = report.get("removed", {})
    for step, count in removed.items():
        if count:
            left -= count
            reasons = [f"{reason.partition(': ')[2]}: {rows:,}" for reason, rows in _reasons(report, step)]
            stops.append(_stop(_words(step), left, count, whole, reasons))
    idle = [_words(step) for step, count in removed.items() if not count]
    splits = [_split(name, split, whole) for name, split in report.get("splits", {}).items()]
    return Funnel(stops, idle, splits, whole, report["kept"])


def _reasons(report: dict, step: str) -> list[tuple[str, int]]:
    """Return (reason, rows) of a step, the most frequent first."""
    found = [(reason, rows) for reason, rows in report.get("reasons", {}).items() if reason.startswith(f"{step}: ")]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def _stop(name: str, rows: int, removed: int, whole: int, reasons: Sequence[str]) -> Stop:
    said = f"{rows:,} rows" + (f" left, {removed:,} removed" if removed else "")
    parts = [("kept", float(rows)), ("removed", float(removed))]
    return Stop(name, rows, removed, reasons, figures.bar(parts, whole, f"{name}: {said}"))


def _split(name: str, split: dict | int, whole: int) -> Split:
    rows, tokens = (split.get("rows", 0), split.get("tokens")) if isinstance(split, dict) else (split, None)
    return Split(name, rows, tokens, figures.bar([("split", float(rows))], whole, f"{name}: {rows:,} rows"))


def _words(step: str) -> str:
    return step.replace("_", " ")

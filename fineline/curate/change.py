"""What changed since the version of the data set that was last committed: drift nobody asked for, and sources that grew.

The report of that version is in git. It decides nothing about the data: the same rows in give the same data set out.
"""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

DRIFT_LIMIT = 0.2
_JUMP = 0.1  # a source whose share of the rows grew by so much


def since_last_commit(report: dict[str, Any], lengths: list[dict[str, Any]], where: Path) -> dict[str, Any] | None:
    """The change against the committed version; None if there is none.

    If this very data set is the committed one, the change that it brought then is told again.

    Args:
        report: With `dataset`, `kept`, `rows_in`, `sources`, `languages` and `domains`.
        lengths: Rows of lengths.csv.
        where: Directory of the adapter's reports.
    """
    committed = _committed(where / "curation.json")
    if committed is None:
        return None
    try:
        return _change(json.loads(committed), report, lengths, where)
    except (ValueError, KeyError, TypeError, AttributeError):  # a report of another release, or one with merge marks
        return None


def _change(
    before: dict[str, Any], report: dict[str, Any], lengths: list[dict[str, Any]], where: Path
) -> dict[str, Any] | None:
    if before["dataset"] == report["dataset"]:
        change: dict[str, Any] | None = before["change"]
        return change
    lengths_before = csv.DictReader(io.StringIO(_committed(where / "curation" / "lengths.csv") or ""))
    drift = {
        "sources": distance(_kept(before), _kept(report)),
        "languages": distance(before["languages"], report["languages"]),
        "domains": distance(*_shown_in_both(before["domains"], report["domains"])),
        "lengths": distance(
            {row["tokens"]: int(row["rows"]) for row in lengths_before}, {str(row["tokens"]): row["rows"] for row in lengths}
        ),
    }
    return {
        "previous": before["dataset"],
        "rows": report["rows_in"] - before["rows_in"],
        "kept": report["kept"] - before["kept"],
        "drift": drift,
        "source_shares": _jumps(_kept(before), _kept(report)),
    }


def distance(before: dict[str, int], now: dict[str, int]) -> float:
    """Total variation distance of two distributions: 0 alike, 1 nothing in common. 0 if there is nothing to compare."""
    total_before, total_now = sum(before.values()), sum(now.values())
    if not total_before or not total_now:
        return 0.0
    shares = ((before.get(name, 0) / total_before, now.get(name, 0) / total_now) for name in before.keys() | now.keys())
    return round(sum(abs(one - two) for one, two in shares) / 2, 4)


def _shown_in_both(before: dict[str, int], now: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Domains that both reports show; the rest of each, which only their `other` counts, as one."""
    both = (before.keys() & now.keys()) - {"other"}
    one, two = ({name: rows for name, rows in shown.items() if name in both} for shown in (before, now))
    return one | {"other": sum(before.values()) - sum(one.values())}, two | {"other": sum(now.values()) - sum(two.values())}


def table(before_and_now: dict[str, Any] | None, report: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of change.csv."""
    if before_and_now is None:
        return []
    return [
        {"what": what, "before": report[what] - before_and_now[key], "now": report[what]}
        for what, key in (("rows_in", "rows"), ("kept", "kept"))
    ]


def _kept(report: dict[str, Any]) -> dict[str, int]:
    return {name: source["kept"] for name, source in report["sources"].items()}


def _jumps(before: dict[str, int], now: dict[str, int]) -> list[dict[str, Any]]:
    """Sources whose share jumped: a poisoned or mistaken delivery shows here first."""
    total_before, total_now = max(1, sum(before.values())), max(1, sum(now.values()))
    shares = {name: (before.get(name, 0) / total_before, rows / total_now) for name, rows in now.items()}
    jumped = {name: (one, two) for name, (one, two) in shares.items() if two - one > _JUMP}
    return [{"source": name, "before": round(one, 4), "now": round(two, 4)} for name, (one, two) in jumped.items()]


def _committed(file: Path) -> str | None:
    """The committed text of a file; None outside a repository and for a file that it does not hold."""
    command = ["git", "show", f"HEAD:./{file.as_posix()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout if answer.returncode == 0 else None

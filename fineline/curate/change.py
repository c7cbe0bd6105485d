"""Comparison of a data set with the version that was last committed: drift, and sources whose share grew.

The comparison reads the reports in git's HEAD, so it depends on the history of the repository and not on the inputs of
curation alone. For that reason it is a separate report: it decides nothing about the rows, and no stage depends on it.
"""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

DRIFT_LIMIT = 0.2
"""Total variation distance above which the check `drift` warns."""
_JUMP = 0.1  # growth of a source's share of the rows from which the source is named


def since_last_commit(report: dict[str, Any], lengths: list[dict[str, Any]], where: Path) -> dict[str, Any]:
    """Return the content of change.json: the differences from the committed version of the data set.

    If the committed version is this very data set, its change.json is returned again. Without a version to compare with,
    `previous` and all differences are null.

    Args:
        report: With `dataset`, `kept`, `rows_in`, `sources`, `languages` and `domains`.
        lengths: Rows of lengths.csv.
        where: Directory of the adapter's reports.
    """
    try:
        before = json.loads(_committed(where / "curation.json") or "")
        if before["dataset"] == report["dataset"]:
            change = json.loads(_committed(where / "curation" / "change.json") or "")
            return change if change["dataset"] == report["dataset"] else _change(report)
        lengths_before = csv.DictReader(io.StringIO(_committed(where / "curation" / "lengths.csv") or ""))
        drift = {
            "sources": distance(_kept(before), _kept(report)),
            "languages": distance(before["languages"], report["languages"]),
            "domains": distance(*_shown_in_both(before["domains"], report["domains"])),
            "lengths": distance(
                {row["tokens"]: int(row["rows"]) for row in lengths_before},
                {str(row["tokens"]): row["rows"] for row in lengths},
            ),
        }
        return _change(
            report,
            previous=before["dataset"],
            rows=report["rows_in"] - before["rows_in"],
            kept=report["kept"] - before["kept"],
            drift=drift,
            largest_drift=max(drift.values()),
            source_shares=_jumps(_kept(before), _kept(report)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # no report, one of another release, or with merge markers
        return _change(report)


def _change(report: dict[str, Any], **differences: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"previous": None, "rows": None, "kept": None, "drift": {}, "largest_drift": None}
    return {"dataset": report["dataset"], **nothing, "drift_limit": DRIFT_LIMIT, "source_shares": [], **differences}


def distance(before: dict[str, int], now: dict[str, int]) -> float:
    """Return the total variation distance of two distributions, from 0 (equal) to 1 (disjoint); 0 if either is empty."""
    total_before, total_now = sum(before.values()), sum(now.values())
    if not total_before or not total_now:
        return 0.0
    shares = ((before.get(name, 0) / total_before, now.get(name, 0) / total_now) for name in before.keys() | now.keys())
    return round(sum(abs(one - two) for one, two in shares) / 2, 4)


def table(change: dict[str, Any], report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of change.csv; none if there is no version to compare with."""
    if change["previous"] is None:
        return []
    return [
        {"what": what, "before": report[what] - change[key], "now": report[what]}
        for what, key in (("rows_in", "rows"), ("kept", "kept"))
    ]


def _shown_in_both(before: dict[str, int], now: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Return both counts of domains with the domains that only one report lists added to `other`."""
    both = (before.keys() & now.keys()) - {"other"}
    one, two = ({name: rows for name, rows in shown.items() if name in both} for shown in (before, now))
    return one | {"other": sum(before.values()) - sum(one.values())}, two | {"other": sum(now.values()) - sum(two.values())}


def _kept(report: dict[str, Any]) -> dict[str, int]:
    return {name: source["kept"] for name, source in report["sources"].items()}


def _jumps(before: dict[str, int], now: dict[str, int]) -> list[dict[str, Any]]:
    """Return the sources whose share jumped: a poisoned or mistaken delivery shows here first."""
    total_before, total_now = max(1, sum(before.values())), max(1, sum(now.values()))
    shares = {name: (before.get(name, 0) / total_before, rows / total_now) for name, rows in now.items()}
    jumped = {name: (one, two) for name, (one, two) in shares.items() if two - one > _JUMP}
    return [{"source": name, "before": round(one, 4), "now": round(two, 4)} for name, (one, two) in jumped.items()]


def _committed(file: Path) -> str | None:
    """Return the committed text of a file; None outside a repository, or if the file is not committed."""
    command = ["git", "show", f"HEAD:./{file.as_posix()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout if answer.returncode == 0 else None

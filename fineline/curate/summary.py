"""The report of curation: the content of `curation.json`, the tables for `dvc plots`, and the change since the last commit.

The comparison reads the reports in git's HEAD, so it depends on the history of the repository and not on the inputs of
curation alone. For that reason it is a separate report: it decides nothing about the rows, and no stage depends on it.
"""

import csv
import io
import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fineline.curate.contamination import suspicious_phrases
from fineline.curate.decision import NAMES, STEPS, Decision
from fineline.curate.privacy import Cleaner
from fineline.curate.table import Outcomes, Table
from fineline.project.params.curation import Curate

_REASONS = 50
_DOMAINS = 30
_NAMES = 30
_LONGEST_NAME = 60  # characters
_EDGES = [0, *(round(2 ** (step / 2)) for step in range(6, 41))]  # tokens: 8, 11, 16, 23, 32 … 1,048,576
DRIFT_LIMIT = 0.2
"""Total variation distance above which the check `drift` warns."""
_JUMP = 0.1  # growth of a source's share of the rows from which the source is named


def summarize(
    table: Table, decision: Decision, outcomes: Outcomes, rule: Curate, parts: Mapping[str, Any], suites: Sequence[str]
) -> dict[str, Any]:
    """Return the content of curation.json without the digest of the data set; docs/curation.md explains the keys."""
    kept = decision.kept
    removed = Counter(dict.fromkeys(STEPS, 0))
    reasons: Counter[str] = Counter()
    for (step, reason), rows in outcomes.left_out.items():
        removed[step] += rows
        reasons[f"{step}: {_same_for_all(reason)}"] += rows
    for left in decision.left_out.values():
        removed[left.step] += 1
        reasons[f"{left.step}: {left.text}"] += 1
    reported = outcomes.reported + Counter(outliers=decision.outliers if rule.quality.outliers == "report" else 0)
    return {
        "rows_in": outcomes.rows_in,
        "kept": len(kept),
        "removed": dict(removed),
        "reasons": dict(reasons.most_common(_REASONS)),
        "changed": {"rows": 0} | dict(sorted(outcomes.changed.items())),
        "reported": dict(sorted((+reported).items())),
        "read": dict(sorted(outcomes.read.items())),
        "unread": {
            f"{kind.replace(' ', '_')}s": _unread(outcomes, kind, Cleaner(rule.privacy)) for kind in ("column", "message key")
        },
        "splits": {name: _split(table, decision, side) for side, name in enumerate(NAMES)},
        "sources": {
            name: {
                "rows_in": part["rows"],
                "kept": int(np.count_nonzero(table.part[kept] == place)),
                "unreadable": part["unreadable"],
                "weight": part["weight"],
            }
            for place, (name, part) in enumerate(parts.items())
        },
        "languages": _counted(table.languages, table.language[kept]),
        "domains": _most(_counted(table.domains, table.domain[kept])),
        "lengths": _lengths(table.tokens[kept]) | {"limit": rule.max_tokens},
        "contamination": {suite: _leaks(outcomes, suite) for suite in suites},
        "label_noise": {
            kind: {"prompts": len(found), "rows": sum(len(conflict.rows) for conflict in found)}
            for kind, found in (("same_prompt", decision.same_prompt), ("near_prompt", decision.near_prompt))
        },
        "signals": {"rare_phrases": [asdict(phrase) for phrase in suspicious_phrases(table, kept, Cleaner(rule.privacy))]},
        "checks": {
            "links_across_splits": links_across_splits(table, decision),
            "rejected_share": round(removed["rejected"] / max(1, outcomes.rows_in), 6),
            "rejected_limit": rule.max_rejected,
            "bounded_searches": decision.bounded,
        },
    }


def links_across_splits(table: Table, decision: Decision) -> int:
    """Return the number of groups, prompts and similar pairs that are in more than one split. Must be 0."""
    kept = decision.kept
    side = decision.side[kept]
    crossing = sum(decision.side[row] != decision.side[earlier] for row, earlier in decision.linked)
    for links in (table.group[kept], table.prompt[kept]):
        pairs = np.unique(np.column_stack([links, side.astype(np.uint64)]), axis=0)
        crossing += len(pairs) - len(np.unique(links))
    return int(crossing)


def tables(report: dict[str, Any], tokens: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table by file name."""
    left = report["rows_in"]
    funnel = [{"step": "rows in", "rows": left}]
    for step, rows in report["removed"].items():
        left -= rows
        funnel.append({"step": step.replace("_", " "), "rows": left})
    counts, edges = np.histogram(tokens, bins=_EDGES)
    present = np.nonzero(counts)[0]
    shown = range(present[0], present[-1] + 1) if len(present) else range(0)
    return {
        "funnel.csv": funnel,
        "lengths.csv": [{"tokens": int(edges[place + 1]), "rows": int(counts[place])} for place in shown],
        "languages.csv": [{"language": name, "rows": rows} for name, rows in report["languages"].items()],
        "domains.csv": [{"domain": name, "rows": rows} for name, rows in report["domains"].items()],
    }


def _same_for_all(reason: str) -> str:
    """Return a reason without its numbers, so that equal reasons are counted together."""
    return re.sub(r"(?<![\w-])\d+", "#", reason)


def _split(table: Table, decision: Decision, side: int) -> dict[str, int]:
    rows = decision.kept
    rows = rows[decision.side[rows] == side]
    groups = {decision.clusters.get(group, group) for group in table.group[rows].tolist()}
    copies = decision.copies[rows]
    return {
        "rows": int(copies.sum()),
        "groups": len(groups),
        "tokens": int((table.tokens[rows].astype(np.int64) * copies).sum()),
    }


def _unread(outcomes: Outcomes, kind: str, cleaner: Cleaner) -> dict[str, int]:
    """Return name -> rows with a value of that name that was not read, most frequent first; a name may be a private value."""
    counts: Counter[str] = Counter()
    for (of_kind, name), rows in outcomes.unread.items():
        if of_kind == kind:
            counts[name] = rows
    named = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown: Counter[str] = Counter()
    for name, rows in named[:_NAMES]:
        shown[cleaner.scrub(name)[:_LONGEST_NAME]] += rows
    others = sum(rows for _, rows in named[_NAMES:])
    return dict(shown) | ({"other": others} if others else {})


def _counted(names: list[str], codes: np.ndarray) -> dict[str, int]:
    """Return name -> rows, most frequent first; rows without a name are not counted."""
    counts = Counter({name: int(rows) for name, rows in zip(names, np.bincount(codes, minlength=len(names)), strict=True)})
    return {name: rows for name, rows in counts.most_common() if rows and name}


def _most(counts: dict[str, int]) -> dict[str, int]:
    shown = dict(list(counts.items())[:_DOMAINS])
    others = sum(list(counts.values())[_DOMAINS:])
    return shown | ({"other": others} if others else {})


def _lengths(tokens: np.ndarray) -> dict[str, float]:
    if not len(tokens):
        return {}
    return {
        "shortest": int(tokens.min()),
        "median": int(np.median(tokens)),
        "mean": round(float(tokens.mean()), 1),
        "p95": int(np.percentile(tokens, 95)),
        "longest": int(tokens.max()),
    }


def _leaks(outcomes: Outcomes, suite: str) -> dict[str, int]:
    rows = {item: rows for (name, item), rows in outcomes.leaked.items() if name == suite}
    return {"rows": sum(rows.values()), "items": len(rows)}


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


def change_table(change: dict[str, Any], report: dict[str, Any]) -> list[dict[str, Any]]:
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

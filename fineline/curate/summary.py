"""The report of curation: the content of `curation.json`, and the tables for `dvc plots`."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from fineline.curate import phrases
from fineline.curate.chunk import Outcomes
from fineline.curate.decide import STEPS, Decision
from fineline.curate.privacy import Cleaner
from fineline.curate.split import NAMES
from fineline.curate.table import Table
from fineline.project.params.curation import Curate

_REASONS = 50
_DOMAINS = 30
_EDGES = [0, *(round(2 ** (step / 2)) for step in range(6, 41))]  # tokens: 8, 11, 16, 23, 32 … 1,048,576


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
        "signals": {"rare_phrases": [asdict(phrase) for phrase in phrases.suspicious(table, kept, Cleaner(rule.privacy))]},
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

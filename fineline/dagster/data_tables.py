"""The tables of raw and curated rows, as plain data: name -> rows and columns.

Text of rows stands in tables only and never in Markdown, so that nothing in it is a link, an image or markup.
"""

import csv
import json
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]
Columns = dict[str, str]
Tables = dict[str, tuple[Rows, Columns]]

SAMPLES = 10
LONGEST_TEXT = 160
MOST_FILES = 50

PART_COLUMNS = {
    "part": "string",
    "layout": "string",
    "origin": "string",
    "rows": "int",
    "unreadable": "int",
    "files": "int",
    "weight": "float",
}
FILE_COLUMNS = {"part": "string", "path": "string", "rows": "int", "size": "int", "sha256": "string"}
SPLIT_COLUMNS = {"split": "string", "rows": "int", "groups": "int", "tokens": "int"}
SOURCE_COLUMNS = {
    "source": "string",
    "rows_in": "int",
    "kept": "int",
    "unreadable": "int",
    "weight": "float",
    "share_before": "float",
    "share_now": "float",
}
CHANGE_COLUMNS = {"what": "string", "before": "float", "now": "float"}


def parts(content: dict[str, Any]) -> Tables:
    """The parts of parts.json, and the first of their files."""
    rows = [{**facts, "part": part, "files": len(facts["files"])} for part, facts in content.items()]
    files = [{"part": part, **file} for part, facts in content.items() for file in facts["files"]]
    return {"parts": (rows, PART_COLUMNS), "files_of_parts": (files[:MOST_FILES], FILE_COLUMNS)}


def curation(content: dict[str, Any], change: dict[str, Any]) -> Tables:
    """Return the tables of curation.json, with the sources whose share grew according to change.json."""
    signals = content.get("signals", {})
    return {
        "splits": (_named("split", content.get("splits", {})), SPLIT_COLUMNS),
        "sources": (_sources(content.get("sources", {}), change.get("source_shares", [])), SOURCE_COLUMNS),
        "reasons": (_reasons(content.get("reasons", {})), {"step": "string", "reason": "string", "rows": "int"}),
        "label_noise": (
            _named("kind", content.get("label_noise", {})),
            {"kind": "string", "prompts": "int", "rows": "int"},
        ),
        "contamination": (
            _named("suite", content.get("contamination", {})),
            {"suite": "string", "rows": "int", "items": "int"},
        ),
        "rare_phrases": (
            signals.get("rare_phrases", []),
            {"phrase": "string", "rows": "int", "completion_share": "float"},
        ),
    }


def changes(file: Path) -> Rows:
    """What the version before held and what this one holds; empty if there was none."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return [
            {"what": row["what"], **{name: float(row[name]) if row[name] else None for name in ("before", "now")}}
            for row in csv.DictReader(stream)
        ]


def samples(file: Path, rows: int) -> Rows:
    """Prompt, completion and source of rows spread evenly over a file of `rows` rows, shortened."""
    if not file.exists():
        return []
    wanted = {position * rows // SAMPLES for position in range(SAMPLES)}
    with file.open(encoding="utf-8") as stream:
        return [_sample(json.loads(line)) for position, line in enumerate(stream) if position in wanted]


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    *before, completion = row["messages"]
    prompt = before[-1].get("content") if before else ""
    return {
        "prompt": _shortened(prompt),
        "completion": _shortened(completion.get("content")),
        "source": row.get("source"),
    }


def _shortened(text: str | None) -> str:
    """One line of what a reader can see; an assistant's turn that only calls a tool has no text."""
    visible = "".join(character if character.isprintable() else " " for character in text or "")
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"


def _named(column: str, content: dict[str, Any]) -> Rows:
    return [{column: name, **facts} for name, facts in content.items()]


def _sources(content: dict[str, Any], shares: Rows) -> Rows:
    by_source = {share["source"]: {"share_before": share["before"], "share_now": share["now"]} for share in shares}
    return [{**row, **by_source.get(row["source"], {})} for row in _named("source", content)]


def _reasons(content: dict[str, int]) -> Rows:
    """`{"quality: repetition": 10}` as a row of its own, the most frequent first."""
    ordered = sorted(content.items(), key=lambda item: (-item[1], item[0]))
    return [dict(zip(("step", "reason"), name.split(": ", 1), strict=False), rows=rows) for name, rows in ordered]

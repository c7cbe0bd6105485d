"""Raw and curated rows as metadata: the columns, and the tables that are more than one value of a report.

Text of rows is shown in tables only and never as Markdown, so that nothing in it becomes a link, an image or markup.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.dagster.metadata import Metadata, Rows, Shown, json_object, paths, report, report_file, rows_as, table
from fineline.dagster.pictures import counts, funnel, makeup
from fineline.dagster.stages import Stage
from fineline.project import layout

REPORT = "curation.json"
CHANGE = "curation/change.json"
SAMPLES = 10
LONGEST_TEXT = 160
MOST_FILES = 50
PART_COLUMNS = "part layout origin rows:int unreadable:int files:int weight:float"
FILE_COLUMNS = "part path rows:int size:int sha256"
SOURCE_COLUMNS = "source rows_in:int kept:int unreadable:int weight:float share_before:float share_now:float"
REASON_COLUMNS = "step reason rows:int"
CHANGE_COLUMNS = "what before:float now:float"
SAMPLE_COLUMNS = "prompt completion source"

_SAMPLED_ROWS = 500  # of each part, to find its columns
_TYPES = {str: "string", bool: "bool", int: "int", float: "float", list: "array", dict: "object", type(None): "null"}
_ENVELOPE = (
    dg.TableColumn("id", "string", "A digest of the row's key; it never changes"),
    dg.TableColumn("at", "string", "File and line that the row came from"),
)
_UNREADABLE = (
    dg.TableColumn("problem", "string", "Why the row could not be read, if so"),
    dg.TableColumn("raw", "string", "The text that was found instead, cut"),
)


def parts(stage: Stage) -> Metadata:
    """Return the parts of the raw rows, their columns, the first of their files, and their totals."""
    place = stage.root / layout.raw(stage.subject)
    content = json_object(stage, place / "parts.json")
    if not content:
        return {}
    files = [{"part": part, **file} for part, facts in content.items() for file in facts["files"]]
    shown = _column_schema(_raw_columns({part: place / f"{part}.jsonl" for part in content}))
    shown |= rows_as("parts", PART_COLUMNS, by="part", each=lambda row: row | {"files": len(row["files"])})(content)
    shown |= {"files_of_parts": table(files[:MOST_FILES], FILE_COLUMNS), "source_files": len(files)}
    for name in ("rows", "unreadable"):
        shown[name] = sum(facts[name] for facts in content.values())
        shown |= {f"{part}/{name}": facts[name] for part, facts in content.items()}
    return shown


def curated_columns(stage: Stage) -> Metadata:
    """Return the columns of curated rows as the dataset's own description has them."""
    description = json_object(stage, stage.root / layout.curated(stage.subject) / "croissant.json")
    fields = next((one["field"] for one in description.get("recordSet", ()) if one.get("@id") == "rows"), ())
    return _column_schema([dg.TableColumn(one["name"], _type(one), one.get("description")) for one in fields])


def pictures(stage: Stage) -> Metadata:
    """Return the funnel of the steps, and the lengths, languages and domains of the rows that stayed."""
    shown: Metadata = {}
    if steps := counts(_plot(stage, "funnel")):
        shown["funnel"] = funnel(steps)
    lengths, languages, domains = (counts(_plot(stage, name)) for name in ("lengths", "languages", "domains"))
    if lengths or languages or domains:
        shown["makeup"] = makeup(lengths, report(stage, REPORT).get("lengths", {}), languages, domains)
    return shown


def sources(stage: Stage) -> Metadata:
    """Return a row for each source, with its share before and now where sampling weights changed it."""
    shares = report(stage, CHANGE).get("source_shares", [])
    by_source = {share["source"]: {"share_before": share["before"], "share_now": share["now"]} for share in shares}
    kind = rows_as("sources", SOURCE_COLUMNS, by="source", each=lambda row: row | by_source.get(row["source"], {}))
    return Shown(REPORT, "sources", kind)(stage)


def reasons(content: dict[str, int]) -> Metadata:
    """Return a row for each reason to leave rows out, the most frequent first: `{"quality: repetition": 10}`."""
    ordered = sorted(content.items(), key=lambda item: (-item[1], item[0]))
    rows = [dict(zip(("step", "reason"), name.split(": ", 1), strict=False), rows=rows) for name, rows in ordered]
    return {"reasons": table(rows, REASON_COLUMNS)} if rows else {}


def changes(stage: Stage) -> Metadata:
    """Return the figures of the previous version and of this one; nothing for a first version."""
    file = _plot(stage, "change")
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as stream:
        rows = [
            {"what": row["what"], **{name: float(row[name]) if row[name] else None for name in ("before", "now")}}
            for row in csv.DictReader(stream)
        ]
    return {"changes": table(rows, CHANGE_COLUMNS)} if rows else {}


def samples(stage: Stage) -> Metadata:
    """Return prompt, completion and source of ten training rows."""
    rows = report(stage, REPORT).get("splits", {}).get("train", {}).get("rows", 0)
    found = spread(stage.root / layout.curated(stage.subject) / "train.jsonl", rows)
    return {"samples": table(found, SAMPLE_COLUMNS)} if found else {}


def spread(file: Path, rows: int) -> Rows:
    """Return samples spread evenly over a file of `rows` rows, shortened."""
    if not file.exists():
        return []
    wanted = {position * rows // SAMPLES for position in range(SAMPLES)}
    with file.open(encoding="utf-8") as stream:
        return [_sample(json.loads(line)) for position, line in enumerate(stream) if position in wanted]


def files(stage: Stage) -> Metadata:
    """Return links to the report, the dataset card, and the rows that were left out, changed or contradict each other."""
    curated = stage.root / layout.curated(stage.subject)
    names = ("README.md", "croissant.json", "left_out.jsonl", "changed.jsonl", "label_noise.jsonl")
    return paths(stage, [report_file(stage, REPORT), *(curated / name for name in names)])


def _plot(stage: Stage, name: str) -> Path:
    return report_file(stage, "curation") / f"{name}.csv"


def _column_schema(columns: Sequence[dg.TableColumn]) -> Metadata:
    """Return the metadata of the tab *Columns* of an asset."""
    return {"dagster/column_schema": dg.TableSchema(columns)} if columns else {}


def _raw_columns(files: Mapping[str, Path]) -> list[dg.TableColumn]:
    """Return the columns found in the first rows of each part: the source decides which there are."""
    seen: dict[str, dict[str, set[str]]] = {}
    existing = {part: file for part, file in files.items() if file.exists()}
    unreadable = False
    for part, file in existing.items():
        with file.open(encoding="utf-8") as stream:
            for line in islice(stream, _SAMPLED_ROWS):
                row = json.loads(line)
                unreadable |= "problem" in row
                for name, value in row.get("content", {}).items():
                    seen.setdefault(name, {}).setdefault(_TYPES[type(value)], set()).add(part)
    columns = [
        dg.TableColumn(f"content.{name}", " | ".join(sorted(types)), _where(types, existing)) for name, types in seen.items()
    ]
    return [*_ENVELOPE, *columns, *(_UNREADABLE if unreadable else ())]


def _where(types: Mapping[str, set[str]], files: Mapping[str, Path]) -> str | None:
    """Return in which parts a column was found, unless in all."""
    found = set().union(*types.values())
    return None if found == set(files) else f"in {', '.join(sorted(found))}"


def _type(field: Mapping[str, Any]) -> str:
    inner = [part["name"] for part in field.get("subField", ())]
    return f"array of {{{', '.join(inner)}}}" if inner else str(field.get("dataType", "sc:Text")).removeprefix("sc:").lower()


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    *before, completion = row["messages"]
    prompt = before[-1].get("content") if before else ""
    return {"prompt": _short(prompt), "completion": _short(completion.get("content")), "source": row.get("source")}


def _short(text: str | None) -> str:
    """Return one line of the visible characters; an assistant's turn that only calls a tool has no text."""
    visible = "".join(character if character.isprintable() else " " for character in text or "")
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"

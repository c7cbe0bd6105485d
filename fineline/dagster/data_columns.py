"""The columns of raw and curated rows, as Dagster's column schema."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg

_LOOKED_AT = 500  # rows of each part
_TYPES = {str: "string", bool: "bool", int: "int", float: "float", list: "array", dict: "object", type(None): "null"}
_ENVELOPE = (
    dg.TableColumn("id", "string", "A digest of what the row is known by; it stays for life"),
    dg.TableColumn("at", "string", "File and line that the row came from"),
)
_UNREADABLE = (
    dg.TableColumn("problem", "string", "Why the row could not be read, where it could not"),
    dg.TableColumn("raw", "string", "What stood there instead, cut"),
)


def raw(parts: Mapping[str, Path]) -> dg.TableSchema:
    """Columns of the first rows of each part, as they were found: the source decides what there is.

    Args:
        parts: Name -> its file of rows.
    """
    seen: dict[str, dict[str, set[str]]] = {}
    unreadable = False
    for part, file in parts.items():
        with file.open(encoding="utf-8") as stream:
            for line in islice(stream, _LOOKED_AT):
                row = json.loads(line)
                unreadable |= "problem" in row
                for name, value in row.get("content", {}).items():
                    seen.setdefault(name, {}).setdefault(_TYPES[type(value)], set()).add(part)
    columns = [
        dg.TableColumn(f"content.{name}", " | ".join(sorted(types)), _where(types, parts)) for name, types in seen.items()
    ]
    return dg.TableSchema([*_ENVELOPE, *columns, *(_UNREADABLE if unreadable else ())])


def curated(croissant: Mapping[str, Any]) -> dg.TableSchema:
    """Columns as the dataset's own description has them."""
    fields: Sequence[Mapping[str, Any]] = next(
        (one["field"] for one in croissant.get("recordSet", ()) if one.get("@id") == "rows"), ()
    )
    return dg.TableSchema([dg.TableColumn(one["name"], _type(one), one.get("description")) for one in fields])


def _where(types: Mapping[str, set[str]], parts: Mapping[str, Path]) -> str | None:
    """In which parts, if not in all."""
    found = set().union(*types.values())
    return None if found == set(parts) else f"in {', '.join(sorted(found))}"


def _type(field: Mapping[str, Any]) -> str:
    inner = [part["name"] for part in field.get("subField", ())]
    if inner:
        return f"array of {{{', '.join(inner)}}}"
    return str(field.get("dataType", "sc:Text")).removeprefix("sc:").lower()

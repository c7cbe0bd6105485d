"""The files of a data set: the rows of each split, and the account of all others."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from fineline.curate.decide import Decision
from fineline.curate.label_noise import Conflict
from fineline.curate.split import NAMES
from fineline.curate.table import Table

_CONFLICTS = 10_000  # of each kind that are listed; all are counted


def write(table: Table, decision: Decision, chunks: int, scratch: Path, directory: Path) -> None:
    """Write the three splits, left_out.jsonl, changed.jsonl and label_noise.jsonl.

    Every raw row is in exactly one of them: a split, or left_out.jsonl.
    """
    with ExitStack() as stack:
        splits = [stack.enter_context((directory / f"{name}.jsonl").open("wb")) for name in NAMES]
        left_out, changed = (stack.enter_context((directory / f"{name}.jsonl").open("wb")) for name in ("left_out", "changed"))
        for ending, sink in (("left_out", left_out), ("changed", changed)):
            for chunk in range(chunks):
                sink.write((scratch / f"{chunk}.{ending}").read_bytes())
        labels: dict[int, str] = {}  # cluster -> group of its first row, which represents all
        for row, (origin, content) in enumerate(table.all_lines()):
            if copies := int(decision.copies[row]):
                cluster = decision.clusters.get(int(table.group[row]))
                group = origin["group"] if cluster is None else labels.setdefault(cluster, origin["group"])
                head = orjson.dumps({"id": origin["id"], "source": origin["source"], "group": group})
                splits[decision.side[row]].write((head[:-1] + b"," + content[1:] + b"\n") * copies)
            else:
                left_out.write(_left_out(table, decision, row, origin))
    with (directory / "label_noise.jsonl").open("wb") as listed:
        listed.writelines(_conflicts(table, "same_prompt", decision.same_prompt))
        listed.writelines(_conflicts(table, "near_prompt", decision.near_prompt))


def _left_out(table: Table, decision: Decision, row: int, origin: dict[str, Any]) -> bytes:
    reason = decision.left_out[row]
    entry = {"id": origin["id"], "source": origin["source"], "at": origin["at"], "step": reason.step, "reason": reason.text}
    if reason.because is not None:
        entry["because"] = table.line(reason.because)[0].id
    if reason.similarity is not None:
        entry["similarity"] = reason.similarity
    return orjson.dumps(entry) + b"\n"


def _conflicts(table: Table, kind: str, conflicts: list[Conflict]) -> Iterable[bytes]:
    """Yield each conflict with all its sides: completion, prompt, rows, and True if the rows stay."""
    for conflict in conflicts[:_CONFLICTS]:
        sides: dict[int, list[int]] = {}
        for row in conflict.rows:
            sides.setdefault(int(table.completion[row]), []).append(row)
        listed = []
        for rows in sides.values():
            messages = table.messages(rows[0])
            side = {"prompt": messages[:-1], "completion": messages[-1]}
            listed.append(side | {"rows": [table.line(row)[0].id for row in rows], "stays": rows[0] in conflict.kept})
        yield orjson.dumps({"kind": kind, "sides": listed}) + b"\n"

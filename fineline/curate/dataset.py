"""The files of a data set: the rows of each split, the account of all others, and the audit that reads them back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from fineline.curate.cleaning import BETWEEN, texts
from fineline.curate.contamination import ItemIndex, leaks_of
from fineline.curate.decision import NAMES, Conflict, Decision
from fineline.curate.privacy import Cleaner
from fineline.curate.table import Table
from fineline.project.params.curation import Curate
from fineline.suites.guards import SuiteItem

_AUDITED = 10_000  # rows of each split that are read back, evenly spread
_BATCH = 2_000
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


def _left_out(table: Table, decision: Decision, row: int, origin: dict[str, str]) -> bytes:
    reason = decision.left_out[row]
    entry: dict[str, Any] = {
        "id": origin["id"],
        "source": origin["source"],
        "at": origin["at"],
        "step": reason.step,
        "reason": reason.text,
    }
    if reason.because is not None:
        entry["because"] = table.line(reason.because)[0]["id"]
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
            listed.append(side | {"rows": [table.line(row)[0]["id"] for row in rows], "stays": rows[0] in conflict.kept})
        yield orjson.dumps({"kind": kind, "sides": listed}) + b"\n"


def audit(directory: Path, rule: Curate, items: Sequence[SuiteItem], splits: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Search the files of a data set for personal data that should be gone, and for items of suites.

    Args:
        splits: Split -> its `rows`.

    Returns:
        `audited` rows, `private_values_left` (without the kinds that are only reported) and `contaminated_left`.
    """
    cleaner, index = Cleaner(rule.privacy), ItemIndex(items, rule.contamination)
    found = {"audited": 0, "private_values_left": 0, "contaminated_left": 0}
    for name in NAMES:
        every = splits[name]["rows"] // _AUDITED + 1
        for batch in _batches(directory / f"{name}.jsonl", every):
            found["audited"] += len(batch)
            for messages in batch:
                left = cleaner.find(BETWEEN.join(texts(messages)))
                found["private_values_left"] += sum(rule.privacy.action(match.kind) != "report" for match in left)
            found["contaminated_left"] += len(leaks_of(index, [_without(messages, rule.system) for messages in batch]))
    return found


def _batches(file: Path, every: int) -> Iterator[list[list[dict[str, Any]]]]:
    batch = []
    with file.open("rb") as stream:
        for number, line in enumerate(stream):
            if number % every == 0:
                batch.append(orjson.loads(line)["messages"])
            if len(batch) == _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _without(messages: list[dict[str, Any]], system: str | None) -> list[dict[str, Any]]:
    """Return the messages without the system message that curation added."""
    return messages[1:] if messages[0] == {"role": "system", "content": system} else messages

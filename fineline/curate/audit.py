"""Audit: the finished data set is read back, to check that it is what the report says."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from fineline.curate.cleaning import BETWEEN
from fineline.curate.contamination import ItemIndex, leaks_of
from fineline.curate.conversation import texts
from fineline.curate.privacy import Cleaner
from fineline.curate.split import NAMES
from fineline.project.params.curation import Curate
from fineline.suites.items import SuiteItem

_MOST = 10_000  # rows of each split that are read back, evenly spread
_BATCH = 2_000


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
        every = splits[name]["rows"] // _MOST + 1
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

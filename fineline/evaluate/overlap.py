"""Whether a suite asks what the adapter was trained on: curation leaves such rows out, and here that is not taken on trust."""

from pathlib import Path

from fineline.artifacts import reports
from fineline.curate import contamination
from fineline.errors import InputError
from fineline.project.params.curation import Curate

_BATCH = 2_000


def refuse(guards: list[str], data: Path, rule: Curate, adapter: str) -> None:
    """Look for the items of suites in the rows that were learned from or chosen by.

    Raises:
        InputError: A training or validation row holds an item of a suite.
    """
    items = contamination.items_of(guards)
    if not items:
        return
    index = contamination.Index(items, rule.contamination)
    for split in ("train", "validation"):
        file = data / f"{split}.jsonl"
        rows = reports.read_lines(file)
        for start in range(0, len(rows), _BATCH):
            batch = [row["messages"] for row in rows[start : start + _BATCH]]
            found = contamination.leaks_of(
                index, [messages[1:] if messages[0]["role"] == "system" else messages for messages in batch]
            )
            for place, item in sorted(found.items()):
                raise InputError(
                    f"{file}:{start + place + 1} holds the item {items[item].name}, so that suite proves nothing here; run"
                    f" `dvc repro curate@{adapter}`, which leaves such rows out, and train again"
                )

"""Check that the adapter was not trained on items of the suites. Curation removes such rows; evaluation verifies it."""

from collections.abc import Mapping, Sequence
from typing import Any

from fineline.curate import contamination
from fineline.errors import InputError
from fineline.project.params.curation import Contamination
from fineline.suites.guards import items_of

_BATCH = 2_000


def refuse(guards: list[str], splits: Mapping[str, Sequence[Mapping[str, Any]]], rule: Contamination) -> None:
    """Refuse suites whose items are in the rows that the adapter was trained on or selected by.

    Args:
        splits: Name of a split -> its rows.

    Raises:
        InputError: A row contains an item of a suite.
    """
    items = items_of(guards)
    if not items:
        return
    index = contamination.ItemIndex(items, rule)
    for split, rows in splits.items():
        for start in range(0, len(rows), _BATCH):
            batch = [row["messages"] for row in rows[start : start + _BATCH]]
            found = contamination.leaks_of(
                index, [messages[1:] if messages[0]["role"] == "system" else messages for messages in batch]
            )
            for place, item in sorted(found.items()):
                raise InputError(
                    f"{split}.jsonl:{start + place + 1}: the row contains the item {items[item].name}, so the adapter would be"
                    " judged on what it learned; run the stage `curate` again, which removes such rows, then train again"
                )

"""Raw and curated rows: how many came in, how many stayed, and why the rest did not."""

from assets.display import Display, Displays, Metadata
from assets.records import made, numbers, report, table
from assets.stages import Stage


def raw(stage: Stage) -> Metadata:
    """The record of the raw rows."""
    return made(stage)


def curated(stage: Stage) -> Metadata:
    """The record of the curated rows, what curation counted, and the size of each split."""
    curation = report(stage, "curation.json")
    shown = made(stage) | numbers(curation)
    splits = curation.get("splits")
    if splits:
        rows = [{"split": split, **counts} for split, counts in splits.items()]
        shown["splits"] = table(rows, {"split": "string", "rows": "int", "groups": "int"})
        for split, counts in splits.items():
            shown |= numbers(counts, f"{split}/")
    return shown


DISPLAYS: Displays = {
    "ingest": Display(raw, kind="json"),
    "curate": Display(curated, kind="json"),
}

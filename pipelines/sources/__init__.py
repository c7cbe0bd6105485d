"""Where raw examples come from. Each source writes `rows.jsonl` as it has them; judging rows is curation's business."""

import json
from pathlib import Path

from pipelines.params import Source
from pipelines.sources import files

ROWS = "rows.jsonl"


def fetch(source: Source, into: Path) -> int:
    """Write the rows of a `source:` block to `into/rows.jsonl` and return how many lines there are.

    Raises:
        InputError: The source is missing, unreadable or empty.
    """
    with (into / ROWS).open("wb") as sink:
        if source.home_assistant is None:
            return files.copy(Path(source.path), sink)
        from pipelines.sources import home_assistant

        written = 0
        block = source.home_assistant
        for example in home_assistant.examples(block.language, block.samples_per_template, block.seed):
            row = {"prompt": example.text, "completion": example.completion, "group": example.template}
            sink.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            written += 1
        return written

"""Exact duplicates and contradictions, told by the normalised prompt."""

from collections import defaultdict

from pipelines.curate.rows import Row, normalise


def distinct(rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """Keep one row per prompt.

    Returns:
        The rows kept (the first of each prompt, in order); the duplicates of them; and the contradictions: all rows of a
        prompt that is answered in more than one way, since no model can learn both.
    """
    by_prompt: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_prompt[row.prompt].append(row)
    kept: list[Row] = []
    duplicates: list[Row] = []
    contradictions: list[Row] = []
    for same in by_prompt.values():
        if len({normalise(row.completion) for row in same}) > 1:
            contradictions.extend(same)
        else:
            kept.append(same[0])
            duplicates.extend(same[1:])
    return kept, duplicates, contradictions

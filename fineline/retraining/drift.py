"""Detects drift between production and the champion's training data: `python -m fineline.retraining.drift ADAPTER`.

Examples from production, with their correct answers, are put as rows into data/inbox/<adapter>/. The champion scores the
likelihood of each correct answer in bits per byte, and that of the held-out rows. There is drift if the examples are less
likely by a one-sided test of Welch (1947, doi 10.1093/biomet/34.1-2.28) over the means of groups of rows. The likelihood is
used because it is far more sensitive than exact match.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.curate import layouts
from fineline.curate.reading import Rejected
from fineline.errors import InputError
from fineline.project import candidate, layout, params
from fineline.project.params.evaluation import Target
from fineline.project.params.project import Adapter
from fineline.project.params.sources import Part
from fineline.project.root import command
from fineline.retraining import triggers
from fineline.retraining.refresh import CHANNEL
from fineline.retraining.triggers import Drift
from fineline.sources import formats, listing

_MEASURE = "target_gold"


@dataclass(frozen=True)
class DriftResult:
    """The result of one look at an inbox."""

    examples: int
    holdout: int
    on_examples: float
    """Mean log-likelihood of the correct answers from production, in bits per byte: below 0, higher is better."""
    on_holdout: float
    p: float
    """Probability of a difference at least as large if there were none."""
    drifted: bool
    model: str
    """Digest of the champion."""


def result_file(adapter: str) -> Path:
    """Return the path of the last result."""
    return layout.SCRATCH / "drift" / f"{adapter}.json"


def judge(
    examples: Mapping[str, Sequence[float]], holdout: Mapping[str, Sequence[float]], rule: Drift, model: str
) -> DriftResult:
    """Decide by scores (higher is better) under the groups of their rows: rows of a group are not independent.

    Raises:
        InputError: One side has fewer than two groups.
    """
    from scipy.stats import ttest_ind

    for name, side in (("the inbox", examples), ("the holdout", holdout)):
        if len(side) < 2:
            raise InputError(f"{name} has rows of {len(side)} group(s); drift is judged over groups: at least two are needed")
    here, there = ([_mean(scores) for scores in side.values()] for side in (examples, holdout))
    p = float(ttest_ind(here, there, equal_var=False, alternative="less").pvalue)
    if math.isnan(p):  # no variance on either side
        p = 0.0 if _mean(here) < _mean(there) else 1.0
    return DriftResult(
        examples=sum(map(len, examples.values())),
        holdout=sum(map(len, holdout.values())),
        on_examples=_mean(here),
        on_holdout=_mean(there),
        p=p,
        drifted=p < 1 - rule.confidence,
        model=model,
    )


def run(name: str) -> None:
    """Look at the inbox of adapter `name`; print the result and write it to .fineline/drift/<name>.json.

    Too few examples are not an error: there is no result then.

    Raises:
        InputError: `retrain.drift` is not configured, or there is no model.
    """
    block = params.load().adapter(name)
    rule = triggers.triggers_of(name, block).drift
    if rule is None:
        raise InputError(f"params.yaml: adapters.{name}.retrain: `drift` is missing; add `drift: {{}}`")
    rows = read_inbox(name, block)
    if len(rows) < rule.examples:
        result_file(name).unlink(missing_ok=True)
        print(f"{layout.inbox(name)}: {len(rows)} usable examples so far; a decision needs {rule.examples}")
        return
    result = _measured(name, block, rows, rule)
    reports.write(result_file(name), asdict(result))
    decision = "drift" if result.drifted else "no drift"
    print(
        f"{decision}: {result.on_examples:.3f} bits per byte on {result.examples} examples, {result.on_holdout:.3f} on"
        f" {result.holdout} held-out rows (p {result.p:.2g})"
    )


def read_inbox(name: str, block: Adapter) -> list[dict[str, Any]]:
    """Return the usable examples as rows of a split; an example without a group is a group by itself.

    Raises:
        InputError: There is no data file in the inbox.
    """
    rows = []
    part = Part(files="**")
    for stored in listing.find_local("**", layout.inbox(name)):
        with stored.open() as stream:
            for row in formats.format_of(stored.name).rows(stream, stored.name, part):
                if row.content is None:
                    continue
                try:
                    example = layouts.read(row.content, {}, block.curate, sparse=".parquet" in stored.name)
                except Rejected:
                    continue
                if block.curate.system is not None and example.messages[0]["role"] != "system":
                    example.messages.insert(0, {"role": "system", "content": block.curate.system})
                group = example.group or f"{stored.name}:{row.number}"
                rows.append(
                    {"messages": example.messages, "group": group} | ({"tools": example.tools} if example.tools else {})
                )
    return rows


def _measured(name: str, block: Adapter, rows: list[dict[str, Any]], rule: Drift) -> DriftResult:
    from fineline.chat.tokens import chat_format
    from fineline.evaluate import arms
    from fineline.evaluate.arms import Subject, records
    from fineline.evaluate.target import tasks
    from fineline.evaluate.tasks import divide
    from fineline.export import formats
    from fineline.governance import store

    channel = store.channel(name, CHANNEL) / "model"
    place = channel if channel.is_dir() else candidate.shipped(name)
    released = Subject.verified(place)
    champion = arms.exported(released, formats.runtime(released.artifact, place, layout.base(block.base)))
    chat = chat_format(place, block.curate.chat)
    opened, _ = divide(reports.read_lines(layout.curated(name) / "test.jsonl"), block.evaluate.holdout)
    sides = []
    for side in (rows, opened):
        (task,) = tasks(side, Target(metrics=["gold"]), chat)
        sides.append(_by_group(records(champion, [task], chat, layout.SCORES)))
    return judge(sides[0], sides[1], rule, artifacts.read(place).digest)


def _by_group(found: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = defaultdict(list)
    for record in found:
        if (score := record["scores"][_MEASURE]) is not None:
            scores[record["cluster"]].append(float(score))
    return scores


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


if __name__ == "__main__":
    command(run)

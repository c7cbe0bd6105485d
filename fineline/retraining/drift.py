"""Whether production has moved away from what the champion learned: `python -m fineline.retraining.drift ADAPTER`.

Examples from production, with the answers that were right, are dropped as rows into data/inbox/<adapter>/. The champion says
how likely each right answer is to it, in bits a byte, and the same of the held-out rows of its own kind. If it finds those from
production less likely, by a one-sided test of Welch (1947, doi 10.1093/biomet/34.1-2.28) over the means of groups of rows, that
is drift. The likelihood is asked for because it is far more sensitive than whether the answer was hit.
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
from fineline.errors import InputError
from fineline.project import layout, params
from fineline.project.command import command
from fineline.project.params.evaluation import Target
from fineline.project.params.project import Adapter
from fineline.project.params.sources import Part
from fineline.retraining import triggers
from fineline.retraining.champion import CHANNEL
from fineline.retraining.triggers import Drift
from fineline.sources import formats, local

_MEASURE = "target_gold"


@dataclass(frozen=True)
class Finding:
    """What came of a look."""

    examples: int
    holdout: int
    on_examples: float
    """Mean log-likelihood of the right answers from production, in bits a byte: below 0, higher is better."""
    on_holdout: float
    p: float
    """How often a difference as large or larger would be seen if there were none."""
    drifted: bool
    model: str
    """Digest of the champion."""


def finding_file(adapter: str) -> Path:
    """Where the finding of the last look lies."""
    return layout.SCRATCH / "drift" / f"{adapter}.json"


def judge(examples: Mapping[str, Sequence[float]], holdout: Mapping[str, Sequence[float]], rule: Drift, model: str) -> Finding:
    """Decide by scores, higher is better, each under the group of its row: rows of a group are no independent witnesses.

    Raises:
        InputError: One side has fewer than two groups.
    """
    from scipy.stats import ttest_ind

    for name, side in (("the inbox", examples), ("the holdout", holdout)):
        if len(side) < 2:
            raise InputError(f"{name} has rows of {len(side)} group only; drift is judged over groups, so more are needed")
    here, there = ([_mean(scores) for scores in side.values()] for side in (examples, holdout))
    p = float(ttest_ind(here, there, equal_var=False, alternative="less").pvalue)
    if math.isnan(p):  # no spread at all on either side
        p = 0.0 if _mean(here) < _mean(there) else 1.0
    return Finding(
        examples=sum(map(len, examples.values())),
        holdout=sum(map(len, holdout.values())),
        on_examples=_mean(here),
        on_holdout=_mean(there),
        p=p,
        drifted=p < 1 - rule.confidence,
        model=model,
    )


def run(name: str) -> None:
    """Look at the inbox of adapter `name`; what was found is printed and written to .fineline/drift/<name>.json.

    Too few examples are no error: there is no finding then.

    Raises:
        InputError: `retrain.drift` is not configured, or there is no model to ask.
    """
    block = params.load().adapter(name)
    rule = triggers.of(name, block).drift
    if rule is None:
        raise InputError(f"adapters.{name}.retrain: has no `drift`; put `drift: {{}}` there")
    rows = read_inbox(name, block)
    if len(rows) < rule.examples:
        finding_file(name).unlink(missing_ok=True)
        print(f"{layout.inbox(name)}: {len(rows)} usable examples so far; a look takes {rule.examples}")
        return
    finding = _measured(name, block, rows, rule)
    reports.write(finding_file(name), asdict(finding))
    said = "drift" if finding.drifted else "no drift"
    print(
        f"{said}: {finding.on_examples:.3f} bits a byte on {finding.examples} examples, {finding.on_holdout:.3f} on"
        f" {finding.holdout} held-out rows (p {finding.p:.2g})"
    )


def read_inbox(name: str, block: Adapter) -> list[dict[str, Any]]:
    """The usable examples as rows of a split; an example without a group is one by itself.

    Raises:
        InputError: There is no data file in the inbox.
    """
    rows = []
    part = Part(files="**")
    for stored in local.find("**", layout.inbox(name)):
        with stored.open() as stream:
            for row in formats.of(stored.name).rows(stream, stored.name, part):
                if row.content is None:
                    continue
                try:
                    example = layouts.read(row.content, {})
                except layouts.Rejected:
                    continue
                if block.curate.system is not None and example.messages[0]["role"] != "system":
                    example.messages.insert(0, {"role": "system", "content": block.curate.system})
                group = example.group or f"{stored.name}:{row.number}"
                rows.append(
                    {"messages": example.messages, "group": group} | ({"tools": example.tools} if example.tools else {})
                )
    return rows


def _measured(name: str, block: Adapter, rows: list[dict[str, Any]], rule: Drift) -> Finding:
    from fineline.chat.tokens import tokenizer_of
    from fineline.evaluate import variants
    from fineline.evaluate.arms import Subject, records
    from fineline.evaluate.target import tasks
    from fineline.evaluate.tasks import divide
    from fineline.governance import store

    released = store.channel(name, CHANNEL) / "model"
    place = released if released.is_dir() else layout.export(name, "quantized")
    champion = variants.exported(Subject(place, artifacts.verified(place)))
    tokenizer = tokenizer_of(place)
    opened, _ = divide(reports.read_lines(layout.curated(name) / "test.jsonl"), block.evaluate.holdout)
    sides = []
    for side in (rows, opened):
        (task,) = tasks(side, Target(metrics=["gold"]), tokenizer)
        sides.append(_by_group(records(champion, [task], tokenizer, layout.SCORES)))
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

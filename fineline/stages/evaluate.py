"""Stage `evaluate@A`: the adapter against its base (and the champion) on the same items, and the verdict of the gate."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline import artifacts
from fineline.artifacts import Input, files, reports
from fineline.errors import parameters_of
from fineline.project import layout, params
from fineline.project.params.curation import Contamination
from fineline.project.params.evaluation import Evaluate
from fineline.stages import rows

if TYPE_CHECKING:
    from fineline.evaluate.arms import Subject


@dataclass(frozen=True)
class EvaluateInputs:
    """Everything that an evaluation reads, and the places it writes to. Nothing below `run` opens anything else."""

    title: str
    """Name of the adapter, for headings."""
    rule: Evaluate
    base: Path
    adapter: Path
    splits: Mapping[str, list[dict[str, Any]]]
    """`train`, `validation` and `test`."""
    data: Input
    """The rows, as an artifact."""
    contamination: Contamination
    """The rule of the curation."""
    reports: Path
    scores: Path
    """Directory of scores that are shared between adapters and runs."""


def run(name: str) -> None:
    """Evaluate adapter `name`: per-item results in reports/<name>/evaluation/, the verdict in reports/<name>/gate.json."""
    with parameters_of(f"adapters.{name}"):
        evaluate(read(name))


def read(name: str) -> EvaluateInputs:
    """Read and check what the evaluation of adapter `name` needs.

    Raises:
        InputError: Parameters or rows are missing or cannot be used.
        Refused: A file is not as its artifact recorded it.
    """
    block = params.load().adapter(name)
    data = artifacts.used(layout.curated(name), layout.JUDGING_ROWS)
    return EvaluateInputs(
        title=name,
        rule=block.evaluate,
        base=layout.base(block.base),
        adapter=layout.adapter(name),
        splits={split: rows.curated(name, split) for split in ("train", "validation", "test")},
        data=data,
        contamination=block.curate.contamination,
        reports=layout.reports(name),
        scores=layout.SCORES,
    )


def evaluate(inputs: EvaluateInputs) -> None:
    """Score every arm, decide, and write the reports.

    Raises:
        InputError: A suite, a measure or the champion cannot be used, or training rows contain an item of a suite.
        FinelineError: The arms cannot be compared.
    """
    from fineline.chat.tokens import tokenizer_of
    from fineline.evaluate import overlap, tasks

    rule, splits = inputs.rule, inputs.splits
    tokenizer = tokenizer_of(inputs.base)
    asked = tasks.build(rule, splits["test"], splits["train"], tokenizer)
    overlap.refuse(rule.guards, {split: splits[split] for split in ("train", "validation")}, inputs.contamination)

    from fineline.evaluate import arms, noise, verdict

    started = time.perf_counter()
    seconds: dict[str, float] = {}
    base = subject(inputs.base)
    pair = arms.Arms(base, subject(inputs.adapter))
    compared = [pair.arm(arms.BASE), pair.arm(arms.CANDIDATE)]
    if rule.champion:
        compared.append(arms.champion(rule.champion, subject(Path(rule.champion.path)), base).arm(arms.CHAMPION))
    records: dict[str, list[dict[str, Any]]] = {}
    own_noise: dict[str, Any] = {}
    for arm in compared:
        records[arm.name] = arms.records(arm, asked, tokenizer, inputs.scores)
        seconds[arm.name] = round(time.perf_counter() - started - sum(seconds.values()), 1)
        if arm.name == arms.BASE:  # while the base is loaded without its adapter
            own_noise = noise.measured(arm, asked, records[arm.name], tokenizer, inputs.scores)
            seconds["noise"] = round(time.perf_counter() - started - sum(seconds.values()), 1)

    decision = verdict.judge(
        asked,
        records[arms.BASE],
        records[arms.CANDIDATE],
        rule.gate,
        champion=records.get(arms.CHAMPION),
        pools=rule.pools,
    )
    decision["noise"] = own_noise
    decision["arms"] = {arm.name: arm.described for arm in compared}
    decision["data"] = inputs.data.digest
    decision["policy"] = rule.gate.model_dump(mode="json")
    decision["precision"] = pair.precision
    speed = {"seconds": round(time.perf_counter() - started, 1), "by_arm": seconds, "items": decision["items"]}
    _write(inputs, decision, records, speed)
    verdict.show(decision)


def subject(directory: Path) -> "Subject":
    """Verify an artifact for evaluation.

    Raises:
        InputError: The artifact is missing.
        Refused: A file is not as the artifact recorded it.
    """
    from fineline.evaluate.arms import Subject

    return Subject(directory, artifacts.verified(directory))


def _write(inputs: EvaluateInputs, decision: dict[str, Any], records: dict[str, Any], speed: dict[str, Any]) -> None:
    """Write the records of each arm, tables and plots for people, and the verdict last."""
    from fineline.evaluate import arms, flips, forest, tables, verdict

    directory = inputs.reports / "evaluation"
    for arm, found in records.items():
        verdict.write_samples(directory, arm, found)
    forest.draw(decision, directory / "forest.svg", inputs.title)
    tables.write(directory / "differences.csv", tables.differences(decision))
    markdown = flips.markdown(records[arms.BASE], records[arms.CANDIDATE], decision, pools=inputs.rule.pools)
    files.write_text(directory / "flips.md", markdown)
    files.write_text(directory / "table.md", tables.markdown(decision, speed, title=inputs.title))
    reports.write(directory / "speed.json", speed)
    reports.write(inputs.reports / "gate.json", decision)

"""Stage `evaluate@A`: the adapter against its base (and the champion) on the same items, and the verdict of the gate."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Input, files, reports
from fineline.chat.settings import ChatSettings
from fineline.curate import contamination
from fineline.errors import InputError, parameters_of
from fineline.project import layout, params
from fineline.project.params.curation import Contamination
from fineline.project.params.evaluation import Evaluate
from fineline.stages import handover
from fineline.suites.guards import items_of

_BATCH = 2_000  # training rows that are searched for items of suites at a time


@dataclass(frozen=True)
class EvaluateInputs:
    """Everything that an evaluation reads, and the places it writes to. Nothing below `run` opens anything else."""

    title: str
    """Name of the adapter, for headings."""
    rule: Evaluate
    chat: ChatSettings
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
    block = params.load_for(name).adapter(name)
    curated = layout.curated(name)
    data = artifacts.used(curated, layout.JUDGING_ROWS)
    return EvaluateInputs(
        title=name,
        rule=block.evaluate,
        chat=block.curate.chat,
        base=layout.base(block.base),
        adapter=layout.adapter(name),
        splits=handover.read_rows(curated, "train", "validation", "test"),
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
    from fineline.chat.tokens import chat_format
    from fineline.evaluate import tasks

    rule, splits = inputs.rule, inputs.splits
    chat = chat_format(inputs.base, inputs.chat)
    asked = tasks.build(rule, splits["test"], splits["train"], chat)
    _refuse_overlap(rule.guards, {split: splits[split] for split in ("train", "validation")}, inputs.contamination)

    from fineline.evaluate import arms, scores, verdict

    started = time.perf_counter()
    seconds: dict[str, float] = {}
    base = arms.Subject.verified(inputs.base)
    pair = arms.Arms(base, arms.Subject.verified(inputs.adapter))
    compared = [pair.arm(arms.BASE), pair.arm(arms.CANDIDATE)]
    if rule.champion:
        found = arms.Subject.verified(Path(rule.champion.path))
        compared.append(arms.champion(rule.champion, found, base).arm(arms.CHAMPION))
    records: dict[str, list[dict[str, Any]]] = {}
    own_noise: dict[str, Any] = {}
    for arm in compared:
        records[arm.name] = arms.records(arm, asked, chat, inputs.scores)
        seconds[arm.name] = round(time.perf_counter() - started - sum(seconds.values()), 1)
        if arm.name == arms.BASE:  # while the base is loaded without its adapter
            own_noise = scores.measured_noise(arm, asked, records[arm.name], chat, inputs.scores)
            seconds["noise"] = round(time.perf_counter() - started - sum(seconds.values()), 1)

    decision = verdict.judge(
        asked, records[arms.BASE], records[arms.CANDIDATE], rule.gate, champion=records.get(arms.CHAMPION), pools=rule.pools
    )
    decision["noise"] = own_noise
    decision["arms"] = {arm.name: arm.described for arm in compared}
    decision["data"] = inputs.data.digest
    decision["policy"] = rule.gate.model_dump(mode="json")
    decision["precision"] = pair.precision
    decision |= chat.recorded
    speed = {"seconds": round(time.perf_counter() - started, 1), "by_arm": seconds, "items": decision["items"]}
    _write(inputs, decision, records, speed)
    verdict.show(decision)


def _refuse_overlap(guards: list[str], splits: Mapping[str, Sequence[Mapping[str, Any]]], rule: Contamination) -> None:
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


def _write(inputs: EvaluateInputs, decision: dict[str, Any], records: dict[str, Any], speed: dict[str, Any]) -> None:
    """Write the records of each arm, tables and plots for people, and the verdict last."""
    from fineline.evaluate import arms, flips, forest, tables

    directory = inputs.reports / "evaluation"
    for arm, found in records.items():
        reports.write_lines(directory / "samples" / f"{arm}.jsonl", found)
    forest.draw(decision, directory / "forest.svg", inputs.title)
    tables.write(directory / "differences.csv", tables.differences(decision))
    markdown = flips.markdown(records[arms.BASE], records[arms.CANDIDATE], decision, pools=inputs.rule.pools)
    files.write_text(directory / "flips.md", markdown)
    files.write_text(directory / "table.md", tables.markdown(decision, speed, title=inputs.title))
    reports.write(directory / "speed.json", speed)
    reports.write(inputs.reports / "gate.json", decision)

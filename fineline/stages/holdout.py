"""The sealed holdout: the exported model against its base on rows that no evaluation has used, and a record of each use.

A use is recorded before anything is scored, so an interrupted one counts as well. Each further use makes the holdout less
independent, and the record shows how many there were.
"""

import getpass
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import chat_format
from fineline.errors import InputError, parameters_of
from fineline.evaluate import arms, target, verdict
from fineline.evaluate.arms import Subject
from fineline.evaluate.tasks import divide
from fineline.export import formats
from fineline.project import layout, params
from fineline.project.candidate import shipped
from fineline.project.params.evaluation import Evaluate, Gate
from fineline.stages import handover
from fineline.suites.task import Task


@dataclass(frozen=True)
class HoldoutInputs:
    """Everything that opening a holdout reads, and the places it writes to."""

    rule: Evaluate
    chat: ChatSettings
    base: Path
    adapter: Path
    exported: Subject
    sealed: list[dict[str, Any]]
    reports: Path
    scores: Path


def open_for(name: str, reason: str) -> dict[str, Any]:
    """Score the exported model of adapter `name` and its base on the sealed rows.

    Returns:
        The decision, with `uses`: every use of this holdout so far, this one last. It is also written to
        reports/<name>/holdout.json, and the use to reports/<name>/holdout_uses.jsonl.

    Raises:
        InputError: No row is sealed, no reason is given, or there is no candidate yet.
    """
    if not reason.strip():
        raise InputError("opening a sealed holdout needs a reason; pass one with --reason")
    with parameters_of(f"adapters.{name}"):
        return judge(read(name), reason)


def read(name: str) -> HoldoutInputs:
    """Read what opening the holdout of adapter `name` needs.

    Raises:
        InputError: There is no candidate, it is about another export, or no row is sealed.
    """
    block = params.load_for(name).adapter(name)
    candidate = reports.read(layout.reports(name) / "candidate.json")
    exported = Subject.verified(shipped(name))
    if candidate["candidate"]["digest"] != exported.artifact.digest:
        raise InputError(f"{layout.reports(name)}/candidate.json is about another export; run `dvc repro assess@{name}` first")
    _, sealed = divide(handover.read_rows(layout.curated(name), "test")["test"], block.evaluate.holdout)
    if not sealed:
        raise InputError(
            f"no row of the test split is sealed; raise `adapters.{name}.evaluate.holdout`, and `curate.split.test` with it"
        )
    return HoldoutInputs(
        rule=block.evaluate,
        chat=block.curate.chat,
        base=layout.base(block.base),
        adapter=layout.adapter(name),
        exported=exported,
        sealed=sealed,
        reports=layout.reports(name),
        scores=layout.SCORES,
    )


def judge(inputs: HoldoutInputs, reason: str) -> dict[str, Any]:
    """Record the use, score both models, decide, and write holdout.json."""
    chat = chat_format(inputs.base, inputs.chat)
    tasks = target.tasks(inputs.sealed, inputs.rule.target, chat)
    uses = _recorded(inputs, reason, tasks)

    runtime = formats.runtime(inputs.exported.artifact, inputs.exported.directory, inputs.base)
    exported = arms.exported(inputs.exported, runtime)
    pair = arms.Arms(Subject.verified(inputs.base), Subject.verified(inputs.adapter))
    decision = verdict.judge(
        tasks,
        arms.records(pair.arm(arms.BASE), tasks, chat, inputs.scores),
        arms.records(exported, tasks, chat, inputs.scores),
        _restricted(inputs.rule.gate, tasks),
    )
    decision["candidate"] = exported.described
    decision["uses"] = uses
    reports.write(inputs.reports / "holdout.json", decision)
    return decision


def _recorded(inputs: HoldoutInputs, reason: str, tasks: list[Task]) -> list[dict[str, Any]]:
    file = inputs.reports / "holdout_uses.jsonl"
    use = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": _user(),
        "reason": reason,
        "candidate": inputs.exported.artifact.digest,
        "holdout": {task.name: task.digest for task in tasks},
    }
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(use, ensure_ascii=False) + "\n")
    return reports.read_lines(file)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user of a container may have no name
        return f"uid {os.getuid()}"


def _restricted(policy: Gate, tasks: list[Task]) -> Gate:
    """Return the policy with only the rules on measures of these tasks; there is no champion and no evidence here."""
    measured = {measure.name for task in tasks for measure in task.measures}
    rules = ("must_improve", "must_not_regress", "floor")
    kept = {rule: {name: limit for name, limit in getattr(policy, rule).items() if name in measured} for rule in rules}
    return policy.model_copy(update=kept | {"champion": {}, "evidence": [], "info": [n for n in policy.info if n in measured]})

"""The sealed holdout: the exported model against its base on rows that no evaluation has seen, and a record of each use.

A use is recorded before anything is scored, so that an interrupted one counts as well. Each further use makes the holdout worth
less, and the record shows how many there were.
"""

import getpass
import json
import os
from datetime import UTC, datetime
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.chat.tokens import tokenizer_of
from fineline.errors import InputError
from fineline.evaluate import arms, forms, holdout, target, verdict
from fineline.evaluate.arms import Subject
from fineline.project import layout, params
from fineline.project.params.evaluation import Gate
from fineline.stages import rows
from fineline.suites.task import Task


def open_for(name: str, reason: str) -> dict[str, Any]:
    """Score adapter `name`'s exported model and its base on the sealed rows.

    Returns:
        The decision, with `uses`: every use of this holdout so far, this one last. It is also written to
        reports/<name>/holdout.json, and the use to reports/<name>/holdout_uses.jsonl.

    Raises:
        InputError: Nothing is sealed, no reason is given, or there is no candidate yet.
    """
    if not reason.strip():
        raise InputError("a sealed holdout is opened for a reason; give one with --reason")
    block = params.load().adapter(name)
    base = layout.base(block.base)
    candidate = reports.read(layout.reports(name) / "candidate.json")
    place, adapter = layout.export(name, "quantized"), layout.adapter(name)
    shipped = forms.exported(Subject(place, artifacts.verified(place)))
    if candidate["candidate"]["digest"] != shipped.artifact.digest:
        raise InputError(f"{layout.reports(name)}/candidate.json is about another export; run `dvc repro assess@{name}` first")
    _, sealed = holdout.divide(rows.curated(name, "test"), block.evaluate.holdout)
    if not sealed:
        raise InputError(
            f"no row of the test split is sealed; raise `adapters.{name}.evaluate.holdout`, and `curate.split.test` with it"
        )
    tokenizer = tokenizer_of(base)
    tasks = target.tasks(sealed, block.evaluate.target, tokenizer)
    uses = _recorded(name, reason, shipped.artifact.digest, tasks)

    pair = arms.Arms(Subject(base, artifacts.verified(base)), Subject(adapter, artifacts.verified(adapter)))
    decision = verdict.judge(
        tasks,
        arms.records(pair.arm(arms.BASE), tasks, tokenizer, layout.SCORES),
        arms.records(shipped, tasks, tokenizer, layout.SCORES),
        _about(block.evaluate.gate, tasks),
    )
    decision["candidate"] = shipped.described
    decision["uses"] = uses
    reports.write(layout.reports(name) / "holdout.json", decision)
    return decision


def _recorded(name: str, reason: str, digest: str, tasks: list[Task]) -> list[dict[str, Any]]:
    file = layout.reports(name) / "holdout_uses.jsonl"
    use = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": _user(),
        "reason": reason,
        "candidate": digest,
        "holdout": {task.name: task.digest for task in tasks},
    }
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(use, ensure_ascii=False) + "\n")
    return reports.read_lines(file)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"


def _about(policy: Gate, tasks: list[Task]) -> Gate:
    """The policy's rules on what these tasks measure; there is no champion and no evidence here."""
    measured = {measure.name for task in tasks for measure in task.measures}
    rules = ("must_improve", "must_not_regress", "floor")
    kept = {rule: {name: limit for name, limit in getattr(policy, rule).items() if name in measured} for rule in rules}
    return policy.model_copy(update=kept | {"champion": {}, "evidence": [], "info": [n for n in policy.info if n in measured]})

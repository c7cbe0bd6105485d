"""Stage `assess@A`: the merged and the exported model on the items that judged their adapter, and the final verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import evidence
from fineline.artifacts import Artifact, reports
from fineline.chat.settings import ChatSettings
from fineline.errors import InputError, parameters_of
from fineline.project import layout, params
from fineline.project.candidate import shipped, shipped_form
from fineline.project.params.evaluation import Evaluate
from fineline.report import page
from fineline.stages import handover

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class AssessInputs:
    """Everything that an assessment reads, and the places it writes to. Nothing below `run` opens anything else."""

    name: str
    """Name of the adapter, for messages."""
    chat: ChatSettings
    rule: Evaluate
    merged: Path
    exported: Path
    """The form that is released."""
    others: Mapping[str, Path]
    """Name -> directory of each further form that may be used."""
    test: Records
    train: Records
    gate: dict[str, Any]
    """gate.json, like the two below the content of a report."""
    merge: dict[str, Any]
    export: dict[str, Any]
    base: Records
    """Records of the base model from the evaluation."""
    champion: Records | None
    evidence: Path
    reports: Path
    scores: Path
    """Directory of scores that are shared between adapters and runs."""


def run(name: str) -> None:
    """Assess the models made from adapter `name`: assessment/, candidate.json and index.html in reports/<name>/."""
    with parameters_of(f"adapters.{name}"):
        assess(read(name))
    page.write(name)


def read(name: str) -> AssessInputs:
    """Read what the assessment of adapter `name` needs.

    Raises:
        InputError: Parameters, rows or reports are missing or broken, or gate.json was made under another policy.
    """
    block = params.load().adapter(name)
    rule = block.evaluate
    report = layout.reports(name)
    gate, merge, export = (reports.read(report / f"{part}.json") for part in ("gate", "merge", "export"))
    if gate.get("policy") != rule.gate.model_dump(mode="json"):
        raise InputError(f"{report}/gate.json was made under another policy; run `dvc repro evaluate@{name}` first")
    samples = report / "evaluation" / "samples"
    splits = handover.read_rows(layout.curated(name), "test", "train")
    return AssessInputs(
        name=name,
        rule=rule,
        chat=ChatSettings.model_validate(gate.get("chat", {})),
        merged=layout.merged(name),
        exported=shipped(name),
        others={
            form: layout.export(name, form)
            for form in export["forms"]
            if form not in (shipped_form(export), "fp32")  # which only checks the conversion
        },
        test=splits["test"],
        train=splits["train"],
        gate=gate,
        merge=merge,
        export=export,
        base=reports.read_lines(samples / "base.jsonl"),
        champion=reports.read_lines(samples / "champion.jsonl") if "champion" in gate["arms"] else None,
        evidence=layout.evidence(name),
        reports=report,
        scores=layout.SCORES,
    )


def assess(inputs: AssessInputs) -> None:
    """Score the merged and the exported model, decide on the candidate, and write the reports.

    Raises:
        InputError: The models were not made from the evaluated adapter, gate.json is about other suites, or evidence is broken.
        FinelineError: The arms cannot be compared.
    """
    from fineline.chat.tokens import chat_format
    from fineline.evaluate import arms, tasks, verdict
    from fineline.evaluate.arms import Subject

    rule, gate = inputs.rule, inputs.gate
    merged, exported = (Subject.verified(directory) for directory in (inputs.merged, inputs.exported))
    others = {form: Subject.verified(directory) for form, directory in inputs.others.items()}
    _check_chain(inputs.name, merged.artifact, [exported.artifact, *(other.artifact for other in others.values())], gate)
    decisions = {}
    last = arms.exported(exported)  # what ships
    compared = [arms.merged(merged), *(arms.exported(other, form) for form, other in others.items()), last]
    for arm, subject in zip(compared, (merged, *others.values(), exported), strict=True):
        chat = chat_format(subject.directory, inputs.chat)  # each model's own, because a release contains its chat template
        asked = tasks.build(rule, inputs.test, inputs.train, chat)
        if {task.name: task.digest for task in asked} != gate["suites"]:
            raise InputError(
                f"{inputs.reports}/gate.json was made with other suites or another chat template; run"
                f" `dvc repro evaluate@{inputs.name}` first"
            )
        found = arms.records(arm, asked, chat, inputs.scores)
        reports.write_lines(inputs.reports / "assessment" / "samples" / f"{arm.name}.jsonl", found)
        decisions[arm.name] = verdict.judge(asked, inputs.base, found, rule.gate, champion=inputs.champion, pools=rule.pools)

    adapter = gate["arms"]["candidate"]
    digests = {"merged": merged.artifact.digest, "exported": exported.artifact.digest, "adapter": adapter["digest"]}
    references = [arm["digest"] for role, arm in gate["arms"].items() if role != "candidate"]
    judgments = evidence.collect(inputs.evidence, digests, references)
    decision = verdict.final(
        decisions,
        adapter=gate,
        merge_passed=inputs.merge["passed"],
        parity_passed=inputs.export["parity"]["passed"],
        evidence=evidence.required(judgments, rule.gate.evidence, inputs.evidence),
    )
    decision["evidence"] = [vars(judgment) for judgment in judgments]
    decision["candidate"], decision["merged"] = last.described, compared[0].described
    decision["adapter"] = adapter
    decision["base"] = gate["arms"]["base"]
    decision["suites"] = gate["suites"]
    reports.write(inputs.reports / "candidate.json", decision)
    verdict.show(decision)


def _check_chain(name: str, merged: Artifact, exported: Sequence[Artifact], gate: dict[str, Any]) -> None:
    """Raise `InputError` unless the models were made from the evaluated adapter: a stage may have been run by itself."""
    judged = gate["arms"]["candidate"]["digest"]
    chain: Sequence[tuple[Artifact, str, str]] = (
        (merged, "adapter", judged),
        *((form, "merged", merged.digest) for form in exported),
    )
    for made, role, expected in chain:
        found = made.inputs[role].digest
        if found != expected:
            raise InputError(
                f"the {made.kind} {made.name} was made from {role} {found}, but the evaluated one is {expected}; run"
                f" `dvc repro assess@{name}`"
            )

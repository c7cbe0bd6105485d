"""Stage `assess@A`: the merged and the exported model on the items that judged their adapter, and the final verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline import artifacts, evidence
from fineline.artifacts import Artifact, reports
from fineline.chat.settings import ChatSettings
from fineline.errors import InputError, parameters_of
from fineline.export import formats
from fineline.project import layout, params
from fineline.project.candidate import made_forms, shipped, shipped_form
from fineline.project.params.evaluation import Evaluate
from fineline.report import page
from fineline.stages import handover

if TYPE_CHECKING:
    from fineline.evaluate.arms import Arm, Subject

Records = list[dict[str, Any]]

EXPORTED = "exported"
"""The arm of the form that is released; the arm of any other form has the form's name."""


@dataclass(frozen=True)
class AssessInputs:
    """Everything that an assessment reads, and the places it writes to. Nothing below `run` opens anything else."""

    name: str
    """Name of the adapter, for messages."""
    chat: ChatSettings
    rule: Evaluate
    base_model: Path
    """For forms that are loaded on the base."""
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
    block = params.load_for(name).adapter(name)
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
        base_model=layout.base(block.base),
        merged=layout.merged(name),
        exported=shipped(name),
        others={
            form: layout.export(name, form)
            for form in made_forms(export)
            if form != shipped_form(export) and form not in formats.of_form(form).checks
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
    """Score the merged and the exported models, decide on the candidate, and write the reports.

    The candidate is the form that is released first. Each further form is judged on the same items by the same rules, and its
    verdict is recorded next to the candidate's, without effect on it.

    Raises:
        InputError: The models were not made from the evaluated adapter, gate.json is about other suites, or evidence is broken.
        FinelineError: The arms cannot be compared.
    """
    from fineline.evaluate import arms, verdict
    from fineline.evaluate.arms import Subject

    gate, export = inputs.gate, inputs.export
    merged, exported = (Subject.verified(directory) for directory in (inputs.merged, inputs.exported))
    others = {form: Subject.verified(directory) for form, directory in inputs.others.items()}
    _check_chain(inputs.name, merged.artifact, [one.artifact for one in (exported, *others.values())], gate)
    _check_base(inputs.name, inputs.base_model, gate)
    before = _decided(inputs, arms.merged(merged), merged.directory)
    further = {form: _judged_or_failed(inputs, form, one, merged, before) for form, one in others.items()}
    decision = _judged(inputs, shipped_form(export), EXPORTED, exported, merged, before)
    decision["merged"] = {"kind": merged.artifact.kind, "digest": merged.artifact.digest}
    decision["adapter"] = gate["arms"]["candidate"]
    decision["base"] = gate["arms"]["base"]
    decision["suites"] = gate["suites"]
    decision["others"] = {
        form: {key: export["forms"][form].get(key) for key in ("format", "precision")}
        | {key: found[key] for key in ("verdict", "reasons", "candidate", "evidence")}
        | {"decision": found["forms"][form]}
        for form, found in further.items()
    }
    reports.write(inputs.reports / "candidate.json", decision)
    verdict.show(decision)
    for form, found in further.items():
        print(f"{form}, verdict: {found['verdict']}")
        for reason in found["reasons"]:
            print(f"  {reason}")


def _decided(inputs: AssessInputs, arm: "Arm", files: Path) -> dict[str, Any]:
    """Return the decision on one arm, and write its records.

    Args:
        files: Directory of its tokenizer and chat template: each model's own, because a release contains them.
    """
    from fineline.chat.tokens import chat_format
    from fineline.evaluate import arms, tasks, verdict

    rule, chat = inputs.rule, chat_format(files, inputs.chat)
    asked = tasks.build(rule, inputs.test, inputs.train, chat)
    if {task.name: task.digest for task in asked} != inputs.gate["suites"]:
        raise InputError(
            f"{inputs.reports}/gate.json was made with other suites or another chat template; run"
            f" `dvc repro evaluate@{inputs.name}` first"
        )
    found = arms.records(arm, asked, chat, inputs.scores)
    reports.write_lines(inputs.reports / "assessment" / "samples" / f"{arm.name}.jsonl", found)
    return verdict.judge(asked, inputs.base, found, rule.gate, champion=inputs.champion, pools=rule.pools)


def _judged_or_failed(
    inputs: AssessInputs, form: str, subject: "Subject", merged: "Subject", before: dict[str, Any]
) -> dict[str, Any]:
    """Return the verdict on a further form. If its runtime cannot answer, the form has failed, and the others go on."""
    from fineline.evaluate.gate import FAIL
    from fineline.export.conversion import reason

    try:
        return _judged(inputs, form, form, subject, merged, before)
    except Exception as error:  # runtimes have no common class of errors
        candidate = {"kind": subject.artifact.kind, "digest": subject.artifact.digest}
        because = f"could not be judged: {reason(error)}"
        return {"verdict": FAIL, "reasons": [because], "candidate": candidate, "evidence": [], "forms": {form: None}}


def _judged(
    inputs: AssessInputs, form: str, name: str, subject: "Subject", merged: "Subject", before: dict[str, Any]
) -> dict[str, Any]:
    """Return the verdict on one form: the worst of adapter, merged model, form, conversions, and evidence about these.

    Args:
        name: Of its arm.
        before: The decision on the merged model.
    """
    from fineline.evaluate import arms, verdict

    gate, made = inputs.gate, formats.of_form(form)
    arm = arms.exported(subject, made.runtime(subject.directory, inputs.base_model), name)
    decisions = {"merged": before, name: _decided(inputs, arm, made.chat_files(subject.directory, merged.directory))}
    digests = {
        "merged": merged.artifact.digest,
        "exported": subject.artifact.digest,
        "adapter": gate["arms"]["candidate"]["digest"],
    }
    references = [arm["digest"] for role, arm in gate["arms"].items() if role != "candidate"]
    judgments = evidence.collect(inputs.evidence, digests, references)
    decision = verdict.final(
        decisions,
        adapter=gate,
        merge_passed=inputs.merge["passed"],
        parity_passed=name != EXPORTED or inputs.export["parity"]["passed"],  # another form that lacks it is not made
        evidence=evidence.required(judgments, inputs.rule.gate.evidence, inputs.evidence),
    )
    decision["evidence"] = [vars(judgment) for judgment in judgments]
    decision["candidate"] = arm.described
    return decision


def _check_base(name: str, base: Path, gate: dict[str, Any]) -> None:
    """Raise `InputError` unless a base, which adapters are loaded on, is the one that the evaluation compared with."""
    found, judged = artifacts.read(base).digest, gate["arms"]["base"]["digest"]
    if found != judged:
        raise InputError(f"{base} is {found}, but the adapter was compared with {judged}; run `dvc repro assess@{name}`")


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

"""Stage `assess@A`: the merged and the exported model on the items that judged their adapter, and the final verdict."""

from typing import Any

from fineline import artifacts, evidence
from fineline.artifacts import Artifact, reports
from fineline.errors import InputError, parameters_of
from fineline.project import layout, params
from fineline.stages import rows


def run(name: str) -> None:
    """Assess what adapter `name` became: reports/<name>/assessment/ and reports/<name>/candidate.json."""
    with parameters_of(f"adapters.{name}"):
        _assess(name)


def _assess(name: str) -> None:
    rule = params.load().adapter(name).evaluate
    report = layout.reports(name)
    gate, merge, export = (reports.read(report / f"{part}.json") for part in ("gate", "merge", "export"))
    of_base = reports.read_lines(report / "evaluation" / "samples" / "base.jsonl")
    champion = report / "evaluation" / "samples" / "champion.jsonl"
    of_champion = reports.read_lines(champion) if "champion" in gate["arms"] else None
    test, train = rows.curated(name, "test"), rows.curated(name, "train")

    from fineline.chat.tokens import tokenizer_of
    from fineline.evaluate import arms, forms, verdict
    from fineline.evaluate.arms import Subject

    merged, exported = (
        Subject(directory, artifacts.verified(directory))
        for directory in (layout.merged(name), layout.export(name, "quantized"))
    )
    _check_chain(name, merged.artifact, exported.artifact, gate)
    if gate.get("policy") != rule.gate.model_dump(mode="json"):
        raise InputError(f"{report}/gate.json was made under another policy; run `dvc repro evaluate@{name}` first")
    decisions = {}
    for arm, subject in ((forms.merged(merged), merged), (forms.exported(exported), exported)):
        tokenizer = tokenizer_of(subject.directory)  # each with its own: a release contains its chat template
        tasks = verdict.tasks(rule, test, train, tokenizer)
        if {task.name: task.digest for task in tasks} != gate["suites"]:
            raise InputError(
                f"{report}/gate.json was made with other suites or another chat template; run `dvc repro evaluate@{name}` first"
            )
        found = arms.records(arm, tasks, tokenizer, layout.SCORES)
        verdict.write_samples(report / "assessment", arm.name, found)
        decisions[arm.name] = verdict.judge(tasks, of_base, found, rule.gate, champion=of_champion, pools=rule.pools)

    subjects = {"merged": merged.artifact.digest, "exported": exported.artifact.digest}
    subjects["adapter"] = gate["arms"]["candidate"]["digest"]
    references = [arm["digest"] for role, arm in gate["arms"].items() if role != "candidate"]
    directory = layout.evidence(name)
    findings = evidence.collect(directory, subjects, references)
    decision = verdict.final(
        decisions,
        adapter=gate,
        merge_passed=merge["passed"],
        parity_passed=export["parity"]["passed"],
        evidence=evidence.required(findings, rule.gate.evidence, directory),
    )
    decision["evidence"] = [vars(finding) for finding in findings]
    decision["candidate"] = _described(exported.artifact)
    decision["merged"] = _described(merged.artifact)
    decision["adapter"] = gate["arms"]["candidate"]
    decision["base"] = gate["arms"]["base"]
    decision["suites"] = gate["suites"]
    reports.write(report / "candidate.json", decision)
    verdict.tell(decision)


def _described(artifact: Artifact) -> dict[str, str]:
    return {"kind": artifact.kind, "digest": artifact.digest}


def _check_chain(name: str, merged: Artifact, exported: Artifact, gate: dict[str, Any]) -> None:
    """Raise `InputError` unless what is assessed is what was evaluated: a stage may have been run by itself."""
    judged = gate["arms"]["candidate"]["digest"]
    for made, role, expected in ((merged, "adapter", judged), (exported, "merged", merged.digest)):
        found = made.inputs[role].digest
        if found != expected:
            raise InputError(
                f"the {made.kind} {made.name} was made from {role} {found}, but {expected} is what it is judged by; run"
                f" `dvc repro assess@{name}`"
            )

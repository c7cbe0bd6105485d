"""Stage `assess@A`: the merged and the exported model on the very items their adapter was judged by, and the final verdict."""

from typing import Any

from fineline import evidence
from fineline.artifacts import Artifact, reports
from fineline.errors import InputError
from fineline.project import layout, params


def run(name: str) -> None:
    """Assess what adapter `name` became: reports/<name>/assessment/ and reports/<name>/candidate.json."""
    rule = params.load().adapter(name).evaluate
    report = layout.reports(name)
    gate, merge, export = (reports.read(report / f"{part}.json") for part in ("gate", "merge", "export"))
    of_base = reports.read_lines(report / "evaluation" / "samples" / "base.jsonl")
    champion = report / "evaluation" / "samples" / "champion.jsonl"
    of_champion = reports.read_lines(champion) if "champion" in gate["arms"] else None

    from fineline.chat.tokens import tokenizer_of
    from fineline.evaluate import arms, forms, verdict

    shipped = [forms.merged(name), forms.exported(name)]
    _check_chain(name, shipped[0].artifact, shipped[1].artifact, gate)
    if gate.get("policy") != rule.gate.model_dump(mode="json"):
        raise InputError(f"{report}/gate.json was made under another policy; run `dvc repro evaluate@{name}` first")
    decisions = {}
    for arm, directory in zip(shipped, (layout.merged(name), layout.export(name, "quantized")), strict=True):
        tokenizer = tokenizer_of(directory)  # each with its own: what ships brings its chat template along
        tasks = verdict.tasks(name, rule, tokenizer)
        if {task.name: task.digest for task in tasks} != gate["suites"]:
            raise InputError(
                f"{report}/gate.json was made with other suites or another chat template; run `dvc repro evaluate@{name}` first"
            )
        found = arms.records(arm, tasks, tokenizer)
        verdict.write_samples(report / "assessment", arm.name, found)
        decisions[arm.name] = verdict.judge(tasks, of_base, found, rule.gate, champion=of_champion, pools=rule.pools)

    subjects = {arm.name: arm.artifact.digest for arm in shipped} | {"adapter": gate["arms"]["candidate"]["digest"]}
    references = [arm["digest"] for role, arm in gate["arms"].items() if role != "candidate"]
    findings = evidence.collect(evidence.directory(name), subjects, references)
    decision = verdict.final(
        decisions,
        adapter=gate,
        merge_passed=merge["passed"],
        parity_passed=export["parity"]["passed"],
        evidence=evidence.required(findings, rule.gate.evidence, evidence.directory(name)),
    )
    decision["evidence"] = [vars(finding) for finding in findings]
    decision["candidate"] = shipped[1].described
    decision["merged"] = shipped[0].described
    decision["adapter"] = gate["arms"]["candidate"]
    decision["base"] = gate["arms"]["base"]
    decision["suites"] = gate["suites"]
    reports.write(report / "candidate.json", decision)
    verdict.tell(decision)


def _check_chain(name: str, merged: Artifact, exported: Artifact, gate: dict[str, Any]) -> None:
    """What is assessed must be what was evaluated: a stage may have been run by itself."""
    judged = gate["arms"]["candidate"]["digest"]
    for made, role, expected in ((merged, "adapter", judged), (exported, "merged", merged.digest)):
        found = made.inputs[role].digest
        if found != expected:
            raise InputError(
                f"the {made.kind} {made.name} was made from {role} {found}, but {expected} is what it is judged by; run"
                f" `dvc repro assess@{name}`"
            )

"""Stage `assess@A`: the merged and the exported model on the very items their adapter was judged by, and the final verdict."""

from pipelines import evidence, layout, params, reports, stage
from pipelines.errors import InputError


def run(name: str) -> None:
    """Assess what adapter `name` became: reports/<name>/assessment/ and reports/<name>/candidate.json."""
    rule = params.load().adapter(name).evaluate
    report = layout.reports(name)
    gate, merge, export = (reports.read(report / f"{part}.json") for part in ("gate", "merge", "export"))
    of_base = reports.read_lines(report / "evaluation" / "samples" / "base.jsonl")
    champion = report / "evaluation" / "samples" / "champion.jsonl"
    of_champion = reports.read_lines(champion) if "champion" in gate["arms"] else None

    from pipelines.evaluate import arms, forms, verdict
    from pipelines.tokens import tokenizer_of

    shipped = [forms.merged(name), forms.exported(name)]
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
    findings = evidence.collect(evidence.directory(name), subjects)
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


if __name__ == "__main__":
    stage.main(run)

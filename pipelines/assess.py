"""Stage `assess@A`: the exported model on the very items its adapter was judged by, and the final verdict."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines import artifacts, layout, params, reports, stage
from pipelines.errors import InputError


def run(name: str) -> None:
    """Assess the export of adapter `name`: reports/<name>/assessment/ and reports/<name>/candidate.json."""
    block = params.load().adapter(name)
    directory = layout.export(name, "quantized")
    exported = artifacts.verified(directory)
    report = layout.reports(name)
    gate, merge, export = (reports.read(report / f"{part}.json") for part in ("gate", "merge", "export"))
    of_base = reports.read_lines(report / "evaluation" / "base.jsonl")

    from pipelines.evaluate import verdict
    from pipelines.evaluate.run import score
    from pipelines.onnx_engine import OnnxEngine
    from pipelines.tokens import tokenizer_of

    tokenizer = tokenizer_of(directory)
    with TemporaryDirectory() as scratch:
        tasks = verdict.lay_out(name, block, tokenizer, Path(scratch))
        suites = {task.name: task.digest for task in tasks}
        if suites != gate["suites"]:
            raise InputError(f"{report}/gate.json was made with other suites; run `dvc repro evaluate@{name}` first")
        of_export = score(OnnxEngine(directory), tokenizer, tasks, Path(scratch))
    reports.write_lines(report / "assessment" / "exported.jsonl", of_export)

    decision = verdict.judge(of_base, of_export, block.evaluate.gate)
    decision = verdict.final(decision, gate=gate, merge_passed=merge["passed"], parity_passed=export["parity"]["passed"])
    decision["candidate"] = {"kind": exported.kind, "digest": exported.digest}
    decision["base"] = gate["base"]
    decision["adapter"] = gate["candidate"]
    decision["suites"] = suites
    reports.write(report / "candidate.json", decision)
    verdict.tell(decision)


if __name__ == "__main__":
    stage.main(run)

"""Stage `evaluate@A`: the adapter against its base on the same items, and the verdict of the gate."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines import artifacts, layout, params, reports, stage


def run(name: str) -> None:
    """Evaluate adapter `name`: per-item results in reports/<name>/evaluation/, the verdict in reports/<name>/gate.json."""
    all_params = params.load()
    block = all_params.adapter(name)
    base = artifacts.verified(layout.base(block.base))
    adapter = artifacts.verified(layout.adapter(name))
    data = artifacts.verified(layout.curated(name))

    import torch
    import transformers

    from pipelines import loading
    from pipelines.evaluate import scores, verdict
    from pipelines.evaluate.run import score
    from pipelines.evaluate.torch_engine import TorchEngine
    from pipelines.tokens import tokenizer_of

    tokenizer = tokenizer_of(layout.base(block.base))
    with TemporaryDirectory() as directory:
        scratch = Path(directory)
        tasks = verdict.lay_out(name, block, tokenizer, scratch)
        quantization = loading.quantization_of(adapter.parameters)
        precision = loading.precision_of(adapter.parameters)
        model = loading.base_model(layout.base(block.base), quantization=quantization, precision=precision)
        model = loading.with_adapter(model, layout.adapter(name))
        engine = TorchEngine(model, precision)

        def score_base(missing: Any) -> list[dict[str, Any]]:
            print(f"base {block.base}: {', '.join(task.name for task in missing)}", flush=True)
            with model.disable_adapter():
                return score(engine, tokenizer, missing, scratch)

        identity = {
            "base": base.digest,
            "quantization": quantization.model_dump_json() if quantization else "none",
            "device": loading.device().type,
            "precision": precision,
            "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
        }
        of_base = scores.remembered(identity, tasks, score_base)
        print(f"adapter {name}: {', '.join(task.name for task in tasks)}", flush=True)
        of_adapter = score(engine, tokenizer, tasks, scratch)

    evidence = layout.reports(name) / "evaluation"
    reports.write_lines(evidence / "base.jsonl", of_base)
    reports.write_lines(evidence / "adapter.jsonl", of_adapter)
    decision = verdict.judge(of_base, of_adapter, block.evaluate.gate)
    decision["candidate"] = {"kind": adapter.kind, "digest": adapter.digest}
    decision["base"] = {"kind": base.kind, "digest": base.digest}
    decision["data"] = data.digest
    decision["precision"] = precision
    decision["suites"] = {task.name: task.digest for task in tasks}
    reports.write(layout.reports(name) / "gate.json", decision)
    verdict.tell(decision)


if __name__ == "__main__":
    stage.main(run)

"""Stage `plan@A`: memory of each method on this machine, and the one that is recommended."""

from dataclasses import asdict
from typing import Any

from pipelines import artifacts, layout, params, reports, stage, tokens
from pipelines.plan import choice, device, memory


def run(name: str) -> None:
    """Plan the training of adapter `name` into reports/<name>/plan.json."""
    report = plan(name)
    reports.write(layout.reports(name) / "plan.json", report)
    print(f"recommended: {report['recommended']}. {report['reason']}")


def plan(name: str) -> dict[str, Any]:
    """What training adapter `name` would need, from its curated rows and the header of its base model."""
    adapter = params.load().adapter(name)
    base, data = layout.base(adapter.base), layout.curated(name)
    artifacts.verified(base)
    artifacts.verified(data)
    file = data / "train.jsonl"
    rows = tokens.encode_all(tokens.tokenizer_of(base), reports.read_lines(file), file)
    longest = sorted(rows, key=lambda row: len(row.input_ids))[-adapter.train.batch_size :]
    batch = memory.Batch(len(longest), len(longest[-1].input_ids), sum(row.learned for row in longest))
    shape, machine = memory.shape_of(base), device.detect()
    from pipelines.loading import attention_for

    scores = attention_for(batch.tokens) == "eager"
    forecasts = {method: memory.forecast(method, shape, adapter.train, batch, scores=scores) for method in memory.METHODS}
    totals = {method: forecast["total"] for method, forecast in forecasts.items()}
    recommended, reason = choice.recommend(totals, machine.memory_bytes)
    return {
        "device": asdict(machine),
        "parameters": shape.parameters,
        "rows": len(rows),
        "tokens": sum(len(row.input_ids) for row in rows),
        "largest_batch": asdict(batch),
        "methods": [
            {
                "method": method,
                "trained_parameters": memory.trained_parameters(method, shape, adapter.train),
                "memory_bytes": forecast,
                "fits": choice.fits(forecast["total"], machine.memory_bytes),
            }
            for method, forecast in forecasts.items()
        ],
        "configured": adapter.train.method,
        "recommended": recommended,
        "reason": reason,
    }


if __name__ == "__main__":
    stage.main(run)

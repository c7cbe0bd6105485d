"""Stage `train@A`: curated rows and a base model -> adapter weights in PEFT's layout."""

from pipelines import artifacts, layout, params, reports, stage, tokens
from pipelines.errors import InputError


def run(name: str) -> None:
    """Train adapter `name` into models/adapters/<name>."""
    adapter_params = params.load().adapter(name)
    base = layout.base(adapter_params.base)
    data = layout.curated(name)
    with artifacts.create(
        layout.adapter(name),
        kind="adapter",
        name=name,
        owner=adapter_params.owner,
        license=adapter_params.license,
        stage="pipelines.train",
        inputs={"base": base, "data": data},
        parameters=adapter_params.train.model_dump(),
    ) as directory:
        # Here, not above: a wrong parameter is told at once, before seconds of imports.
        from pipelines.train import adapter, loop
        from pipelines.train.progress import write_curve

        tokenizer = tokens.tokenizer_of(base)
        rows = {}
        for split in ("train", "validation"):
            file = data / f"{split}.jsonl"
            rows[split] = tokens.encode_all(tokenizer, reports.read_lines(file), file)
        if not rows["train"]:
            raise InputError(f"{data}/train.jsonl: no rows to train on")
        trained = loop.train(base, rows["train"], rows["validation"], adapter_params.train)
        adapter.save(trained.model, directory)
    report = layout.reports(name)
    reports.write(report / "training.json", trained.metrics)
    write_curve(report / "loss.csv", trained.progress.curve)
    write_curve(report / "validation_loss.csv", trained.progress.validation)
    print(
        f"{trained.metrics['steps']} steps, {trained.metrics['tokens_per_second']:.0f} tokens/s,"
        f" validation loss {trained.metrics['validation_loss']}"
    )


if __name__ == "__main__":
    stage.main(run)

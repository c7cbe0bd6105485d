"""Stage `base@B`: a base model as safetensors, with tokenizer, chat template and pinned origin."""

from pipelines import artifacts, bases, layout, params, stage


def run(name: str) -> None:
    """Fetch base model `name` into models/bases/<name>."""
    base = params.load().base(name)
    origin = base.model_dump(exclude_none=True, exclude={"owner", "license"})
    with artifacts.create(
        layout.base(name),
        kind="base",
        name=name,
        owner=base.owner,
        license=base.license,
        stage="pipelines.base",
        parameters=origin,
    ) as directory:
        bases.fetch(base, directory)


if __name__ == "__main__":
    stage.main(run)

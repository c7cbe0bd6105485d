"""Stage `ingest@A`: raw rows as the source has them."""

from pipelines import artifacts, layout, params, sources, stage


def run(name: str) -> None:
    """Fetch the raw rows of adapter `name` into data/raw/<name>."""
    adapter = params.load().adapter(name)
    with artifacts.create(
        layout.raw(name),
        kind="raw-data",
        name=name,
        owner=adapter.owner,
        license=adapter.license,
        stage="pipelines.ingest",
        parameters=adapter.source.model_dump(exclude_none=True),
    ) as directory:
        rows = sources.fetch(adapter.source, directory)
    print(f"{rows} raw rows in {layout.raw(name)}")


if __name__ == "__main__":
    stage.main(run)

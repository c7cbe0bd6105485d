"""Stage `base@B`: a base model as safetensors, with tokenizer, chat template and pinned origin."""

from fineline import artifacts
from fineline.models import bases
from fineline.project import layout, params


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
        stage="fineline.stages.base",
        parameters=origin,
    ) as directory:
        bases.fetch(base, directory)

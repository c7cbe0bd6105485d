"""Stage `base@B`: a base model as safetensors, with tokenizer, chat template and pinned origin."""

import shutil
from pathlib import Path

from fineline import artifacts
from fineline.chat.check import check_template
from fineline.errors import InputError
from fineline.models import bases
from fineline.project import layout, params
from fineline.project.params.sources import Base


def run(name: str) -> None:
    """Fetch base model `name` into models/bases/<name>, and copy its files except the weights into models/tokenizers/<name>.

    Raises:
        InputError: The origin is missing or is not the pinned one.
    """
    base = params.load_for(name).base(name)
    # not the path: the files of a local base identify it, wherever its directory is
    origin = base.model_dump(exclude_none=True, exclude={"owner", "license", "digest", "path"})
    model = layout.base(name)
    _check_pin(name, base)
    with artifacts.create(model, kind="base", name=name, stage="base", parameters=origin) as directory:
        changes = bases.fetch(base, directory, layout.DOWNLOADS)
        if refused := check_template(directory):
            print(f"notice: the chat template does not render a short conversation: {refused}", flush=True)
        if changes:  # the record is written when the block ends
            origin["changes"] = changes
            origin |= {"source": artifacts.digest(bases.manifest(Path(base.path)))} if base.path else {}
    with artifacts.create(layout.tokenizer(name), kind="tokenizer", name=name, stage="base", parameters=origin) as directory:
        weights = shutil.ignore_patterns("*.safetensors", "*.safetensors.index.json", artifacts.RECORD)
        shutil.copytree(model, directory, ignore=weights, copy_function=shutil.copyfile, dirs_exist_ok=True)


def _check_pin(name: str, base: Base) -> None:
    """Raise `InputError` if the files of a local base are not those that params.yaml pins."""
    if base.digest and base.path and base.digest != (found := artifacts.digest(bases.manifest(Path(base.path)))):
        raise InputError(
            f"params.yaml: bases.{name}.digest: {base.path} has other files than those pinned ({found} now); restore them, or"
            " write this digest to accept them"
        )

"""Stage `base@B`: a base model as safetensors, with tokenizer, chat template and pinned origin."""

import shutil

from fineline import artifacts
from fineline.models import bases
from fineline.project import layout, params
from fineline.project.versions import STAGES


def run(name: str) -> None:
    """Fetch base model `name` into models/bases/<name>, and copy its files except the weights into models/tokenizers/<name>.

    Raises:
        InputError: The origin is missing or is not the pinned one.
    """
    base = params.load().base(name)
    origin = base.model_dump(exclude_none=True, exclude={"owner", "license"})
    model = layout.base(name)
    with artifacts.create(model, kind="base", name=name, stage="base", version=STAGES["base"], parameters=origin) as directory:
        bases.fetch(base, directory)
    with artifacts.create(
        layout.tokenizer(name), kind="tokenizer", name=name, stage="base", version=STAGES["base"], parameters=origin
    ) as directory:
        for file in model.iterdir():
            if file.name != artifacts.RECORD and ".safetensors" not in file.suffixes:
                shutil.copyfile(file, directory / file.name)

"""docs/parameters.md: the reference of the configuration files, generated from the models that check them.

    python tools/parameters.py          # write the page: `make docs`
    python tools/parameters.py check    # exit with 1 if it differs from the models: part of `make lint`

A description is the docstring below the field in the model, and is written nowhere else.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

import type_words
from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.governance.people import People
from fineline.governance.policy import Policy
from fineline.notifications.notice import Configuration
from fineline.project.params.project import Adapter, Params
from fineline.project.params.training import AUTO, Train
from fineline.retraining.triggers import Triggers

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
HEAD = """\
# Parameters

Every key of the files that configure a project. `make docs` generates this page from the models that check the files, so it
matches the code. An unknown key, a duplicate key or a value that is not accepted is an error; the message names the file, the
key and the nearest known key. *required* means that the key has no default. `NAME` is a name that you choose.
"""
FILES: dict[str, tuple[type[BaseModel], str]] = {
    "params.yaml": (Params, "Base models, adapters and every hyperparameter. `fineline init` adds a base and an adapter."),
    "notifications.yaml": (Configuration, "Receivers of notifications, see [operations.md](operations.md#notifications)."),
    "governance/people.yaml": (
        People,
        "Who may sign. A change is in force after `fineline adopt`, see [governance.md](governance.md#a-team-of-three).",
    ),
    "governance/policy.yaml": (
        Policy,
        "Requirements of each channel. A change is in force after `fineline adopt`, see"
        " [governance.md](governance.md#the-policy).",
    ),
}
"""File -> its model, and an introduction."""
CHECKED_LATER: dict[tuple[type[BaseModel], str], Any] = {(Adapter, "retrain"): Triggers}
"""Model and key -> the model of a block that is checked where it is used."""
ACCEPTED: dict[tuple[type[BaseModel], str], list[str]] = {(Train, "method"): [AUTO, *METHODS]}
"""Model and key -> accepted values that a validator checks, so that the type does not show them."""


def main(arguments: list[str]) -> int:
    """Write the page, or check it; return the exit code."""
    if arguments not in ([], ["check"]):
        print(__doc__)
        return 2
    text = page()
    if not arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/parameters.md: differs from the models; run `make docs`")
        return 1
    return 0


def page() -> str:
    """Return the text of the page.

    Raises:
        ValueError: A field of a model has no description.
    """
    parts = [HEAD, *(f"- [{file}](#{anchor(file)})" for file in FILES)]
    for file, (model, introduction) in FILES.items():
        parts += [f"\n## {file}\n", introduction, ""]
        paths = blocks(model)
        for block, path in paths.items():
            if path:
                parts += [f"\n### {path}\n", f"{about(block)}\n"]
            parts += table(block, {inner: f"[block](#{anchor(place)})" for inner, place in paths.items()})
            if block is Train:
                parts += ["", *methods()]
    return "\n".join(parts) + "\n"


def blocks(model: type[BaseModel], path: str = "") -> dict[type[BaseModel], str]:
    """Return a model and every model inside it -> path of its first block, the outer ones first."""
    found = {model: path}
    for name, field in model.model_fields.items():
        for step, inner in type_words.models(annotation(model, name, field)):
            found |= {
                block: place
                for block, place in blocks(inner, f"{path}.{key(name, field)}{step}".lstrip(".")).items()
                if block not in found
            }
    return found


def table(model: type[BaseModel], links: dict[type[BaseModel], str]) -> Iterator[str]:
    """Yield the lines of the table of a block."""
    yield "| key | accepted | default | description |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        values = ACCEPTED.get((model, name))
        accepted = (
            type_words.choices(values) if values else type_words.words(annotation(model, name, field), links, field.metadata)
        )
        cells = (f"`{key(name, field)}`", accepted, default(field), description(model, name))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def default(field: FieldInfo) -> str:
    """Return the default of a field as YAML."""
    if field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "`{}`"
    if value is None:
        return "none"
    shown = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return f"`{shown.splitlines()[0]}`"


def description(model: type[BaseModel], name: str) -> str:
    """Return the description of a field.

    Raises:
        ValueError: It has none.
    """
    for owner in model.__mro__:
        if name in (found := documented(owner)):
            return markdown(found[name])
    raise ValueError(f"{model.__module__}.{model.__name__}.{name}: write a docstring below the field")


@cache
def documented(model: type) -> dict[str, str]:
    """Return field -> docstring below it, for the fields that a class declares itself."""
    if not issubclass(model, BaseModel) or model is BaseModel:
        return {}
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def about(model: type[BaseModel]) -> str:
    """Return the docstring of a model, with a line for each paragraph."""
    paragraphs = inspect.cleandoc(model.__doc__ or "").split("\n\n")
    return markdown("\n\n".join(" ".join(text.split()) for text in paragraphs))


def methods() -> Iterator[str]:
    """Yield the lines of the table of the keys that each method of fine-tuning reads."""
    yield "The other keys are read by every method. A key that the chosen method does not read is an error."
    yield from ("", "| method | keys that only some methods read |", "|---|---|")
    for name, method in METHODS.items():
        yield f"| `{name}` | {type_words.choices(sorted(method.uses & SELECTABLE)) or 'none'} |"


def annotation(model: type[BaseModel], name: str, field: FieldInfo) -> Any:
    """Return the type of a field, or the model that checks it elsewhere."""
    return CHECKED_LATER.get((model, name), field.annotation)


def key(name: str, field: FieldInfo) -> str:
    """Return the present spelling of a key."""
    alias = field.validation_alias or field.alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def markdown(text: str) -> str:
    """Return a docstring as markdown: pages of docs/ as links, and angle brackets outside of code escaped."""
    parts = re.split(r"(`[^`]*`)", re.sub(r"\bdocs/([\w-]+\.md)", r"[\1](\1)", text))
    return "".join(part if part.startswith("`") else part.replace("<", r"\<") for part in parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

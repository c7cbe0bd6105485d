"""docs/parameters.md is what the models say: every key, each with its description."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

import parameters
import type_words


class Inner(BaseModel):
    """Something inside."""

    size: Annotated[int, Field(ge=1)] = 4
    """Size in rows."""


class Outer(BaseModel):
    """A block."""

    name: str
    """A name | an alias of <b>."""
    kinds: list[Literal["a", "b"]] = ["a"]
    """Kinds."""
    share: Annotated[float, Field(ge=0, lt=1)] | None = None
    """A share; docs/training.md has more."""
    inner: Inner = Inner()
    """A block."""
    named: dict[str, Inner] = {}
    """Blocks."""


def test_the_page_is_what_the_models_say(capsys):
    assert parameters.main(["check"]) == 0
    assert not capsys.readouterr().out


def test_a_page_that_differs_fails_the_check_and_is_written_without(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parameters, "PAGE", tmp_path / "parameters.md")
    assert parameters.main(["check"]) == 1
    assert "run `make docs`" in capsys.readouterr().out
    assert parameters.main([]) == 0
    assert parameters.main(["check"]) == 0


def test_an_unknown_argument_shows_the_usage(capsys):
    assert parameters.main(["chek"]) == 2
    assert "make docs" in capsys.readouterr().out


def test_every_key_of_every_model_has_a_row():
    page = parameters.page()
    for model, _ in parameters.FILES.values():
        for block in parameters.blocks(model):
            for name, field in block.model_fields.items():
                assert f"| `{parameters.key(name, field)}` |" in page


def test_a_row_has_accepted_values_default_and_description():
    links = {model: f"[{path}]" for model, path in parameters.blocks(Outer).items()}
    assert list(parameters.table(Outer, links))[2:] == [
        "| `name` | text | *required* | A name \\| an alias of \\<b>. |",
        "| `kinds` | list of `a`, `b` | `[a]` | Kinds. |",
        "| `share` | number, at least 0, below 1 | none | A share; [training.md](training.md) has more. |",
        "| `inner` | [inner] | `{}` | A block. |",
        "| `named` | mapping of text to [inner] | `{}` | Blocks. |",
    ]


def test_a_model_has_one_table_at_its_first_block():
    assert parameters.blocks(Outer) == {Outer: "", Inner: "inner"}


def test_a_field_without_a_description_is_refused():
    class Silent(BaseModel):
        size: int = 1

    with pytest.raises(ValueError, match=r"Silent\.size: write a docstring below the field"):
        list(parameters.table(Silent, {}))


def test_limits_of_a_text_and_of_a_list_are_shown():
    pattern = Annotated[str, Field(pattern="^[a-z]+$")]
    assert type_words.words(pattern, {}) == "text, matches `^[a-z]+$`"
    assert type_words.words(Annotated[list[str], Field(min_length=2)], {}) == "list of text, at least 2 entries"
    assert type_words.words(bool | Literal["auto"], {}) == "`true` or `false`, or `auto`"

"""Messages about content that does not fit its model."""

from typing import Annotated, Literal

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from fineline.artifacts import validation
from fineline.errors import InputError


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=1)] = 1
    color: Annotated[str, Field(validation_alias=AliasChoices("color", "colour"))] = "red"


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "a"
    schema_: Annotated[str, Field(alias="schema")] = "v1"
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    shape: Literal["round", "square"] | Annotated[list[str], Field(min_length=1)] = "round"
    part: Part | None = None
    parts: list[Part] = []
    named: Annotated[dict[Annotated[str, Field(min_length=2)], Part], "metadata"] = {}

    @model_validator(mode="after")
    def _name_and_shape(self) -> "Whole":
        if self.name == self.shape:
            raise ValueError("`name` must differ from `shape`")
        return self


class Strict(BaseModel):
    needed: str


def lines(content, model=Whole, **options) -> list[str]:
    with pytest.raises(InputError) as error:
        validation.check(model, content, "file.yaml", **options)
    return str(error.value).splitlines()


def test_accepted_content_is_returned_as_the_model():
    assert validation.check(Whole, {"part": {"size": 2}}, "file.yaml") == Whole(part=Part(size=2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nam": "a"}, "nam: unknown key; did you mean 'name'?"),
        ({"schem": "a"}, "schem: unknown key; did you mean 'schema'?"),
        ({"part": {"siz": 1}}, "part.siz: unknown key; did you mean 'size'?"),
        ({"part": {"zzz": 1}}, "part.zzz: unknown key; accepted: size, color"),
        ({"part": {"colours": "red"}}, "part.colours: unknown key; did you mean 'color'?"),
        ({"parts": [{}, {"sise": 1}]}, "parts.1.sise: unknown key; did you mean 'size'?"),
        ({"named": {"one": {"sise": 1}}}, "named.one.sise: unknown key; did you mean 'size'?"),
        ({"named": {"x": {}}}, "named.x: String should have at least 2 characters (found 'x')"),
        ({"part": {"size": 0}}, "part.size: Input should be greater than or equal to 1 (found 0)"),
        ({"part": 1}, "part: Input should be a valid dictionary or instance of Part (found 1)"),
        ({"digest": "abc"}, "digest: must be `sha256:` and 64 lowercase hexadecimal digits (found 'abc')"),
        ({"shape": []}, "shape: List should have at least 1 item after validation, not 0 (found [])"),
        ({"shape": ["a", 1]}, "shape.1: Input should be a valid string (found 1)"),
        ({"name": "round"}, "`name` must differ from `shape`"),
        ("text", "Input should be a valid dictionary or instance of Whole (found 'text')"),
    ],
)
def test_a_problem_is_reported_with_its_key_and_what_was_found(content, message):
    assert f"file.yaml: {message}" in lines(content)


def test_a_missing_key_is_reported():
    assert lines({}, Strict) == ["file.yaml: needed: this key is required"]


def test_every_problem_has_its_line():
    assert len(lines({"nam": 1, "part": {"size": 0, "siz": 2}})) == 3


def test_the_path_of_the_block_precedes_the_key():
    assert lines({"siz": 1}, Part, under="adapters.home") == ["file.yaml: adapters.home.siz: unknown key; did you mean 'size'?"]
    assert lines(3, Part, under="adapters.home")[0].startswith("file.yaml: adapters.home: Input should be")


def test_credentials_in_an_address_are_not_shown():
    (line,) = lines({"digest": "s3://user:secret@bucket/x"})
    assert line.endswith("(found 's3://bucket/x')")


def test_values_are_not_shown_where_they_may_be_secrets():
    assert lines({"digest": "secret"}, show_values=False) == [
        "file.yaml: digest: must be `sha256:` and 64 lowercase hexadecimal digits"
    ]


def test_a_long_value_is_cut():
    (line,) = lines({"digest": "x" * 500})
    assert len(line) < 200
    assert line.endswith("...)")

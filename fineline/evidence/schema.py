"""The schema of a file of evidence, and the messages about files that do not match it."""

import re
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fineline.artifacts import validation

SCHEMA = "fineline/evidence/v1"

_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # control characters and those that reorder text
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def _showable(text: str) -> str:
    if _UNSHOWABLE.search(text) or not text.strip():
        raise ValueError("one line of text is needed, without control characters")
    return text


def _time(text: str) -> str:
    try:
        exact = datetime.strptime(text, _TIME).strftime(_TIME) == text
    except ValueError:
        exact = False
    if not exact:
        raise ValueError("a UTC time such as 2026-03-01T12:00:00Z is needed")
    return text


def _inside(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or str(path) != text or text == "." or "\\" in text or _UNSHOWABLE.search(text):
        raise ValueError("a path below the directory of the evidence is needed, such as raw/report.jsonl")
    if len(path.parts) == 1 and path.suffix == ".json":
        raise ValueError("every .json file in this directory is read as evidence; put raw output into a folder, such as raw/")
    return text


Text = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_showable)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Time = Annotated[str, AfterValidator(_time)]
Verdict = Literal["pass", "fail", "inconclusive"]


class StrictModel(BaseModel):
    """An immutable object of the file: unknown keys are refused, and values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Judge(StrictModel):
    """The model that judged."""

    model: Text
    prompt: Digest
    """sha256 of its instructions."""


class Tool(StrictModel):
    """The tool that made the evidence."""

    name: Text
    version: Text
    judge: Judge | None = None


class Subject(StrictModel):
    """The artifact that was judged, as in its artifact.json."""

    kind: Literal["adapter", "merged-model", "exported-model"]
    digest: Digest


class Reference(StrictModel):
    """The artifact that the subject was compared with."""

    kind: Literal["base", "adapter"]
    digest: Digest


class Suite(StrictModel):
    """The questions or attacks."""

    name: Text
    digest: Digest | None = None
    """sha256 of the questions, if the tool gives access to them."""


class Measure(StrictModel):
    """One number."""

    value: Number
    higher_is_better: bool | None = None
    items: Annotated[int, Field(ge=0)] | None = None
    lower: Number | None = None
    upper: Number | None = None

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"`lower` is {self.lower:g}, above `upper`, which is {self.upper:g}")
        return self


class File(StrictModel):
    """Raw output, in a file next to the evidence."""

    path: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_inside)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Evidence(StrictModel):
    """The whole file."""

    schema_: Annotated[Literal["fineline/evidence/v1"], Field(alias="schema")]
    tool: Tool
    subject: Subject
    against: Reference | None = None
    suite: Suite
    made: Time
    by: Text
    """The person or system responsible for it. This is a claim: the stamp is a digest, not a signature."""
    measures: Annotated[dict[Text, Measure], Field(min_length=1)]
    verdict: Verdict
    reason: Text
    files: list[File] = []
    digest: Digest
    """sha256 over the canonical JSON of everything else."""

    @model_validator(mode="after")
    def _files_are_named_once(self) -> Self:
        paths = [file.path for file in self.files]
        if len(set(paths)) < len(paths):
            raise ValueError("`files` names a path twice")
        return self


def check(content: Any, where: Path) -> Evidence:
    """Validate the content of a file.

    Raises:
        InputError: A key is unknown or missing, or a value is not accepted; the message lists every problem with its key.
    """
    return validation.check(Evidence, content, str(where))

"""The form of a file of evidence, and what is wrong with one that has another form."""

import re
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fineline.artifacts import validation

SCHEMA = "fineline/evidence/v1"

_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # would change a terminal or the order of a line
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
        raise ValueError("every .json right beside it is taken for evidence; put raw output into a folder, such as raw/")
    return text


Text = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_showable)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Time = Annotated[str, AfterValidator(_time)]
Verdict = Literal["pass", "fail", "inconclusive"]


class Part(BaseModel):
    """A part of the file: unknown keys are refused, values are not converted and cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Judge(Part):
    """A model that judged."""

    model: Text
    prompt: Digest
    """sha256 of what it was told to do."""


class Tool(Part):
    """What made the finding."""

    name: Text
    version: Text
    judge: Judge | None = None


class Subject(Part):
    """The artifact that was judged, as its artifact.json names it."""

    kind: Literal["adapter", "merged-model", "exported-model"]
    digest: Digest


class Reference(Part):
    """The artifact that it was compared with."""

    kind: Literal["base", "adapter"]
    digest: Digest


class Suite(Part):
    """What was asked."""

    name: Text
    digest: Digest | None = None
    """sha256 of the questions, where the tool lets one tell."""


class Measure(Part):
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


class File(Part):
    """Raw output that lies beside the evidence."""

    path: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_inside)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Evidence(Part):
    """The whole file."""

    schema_: Annotated[Literal["fineline/evidence/v1"], Field(alias="schema")]
    tool: Tool
    subject: Subject
    against: Reference | None = None
    suite: Suite
    made: Time
    by: Text
    """Person or system that answers for it. A claim: the stamp is a digest, no signature."""
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
    """The content of a file as evidence.

    Raises:
        InputError: A key is unknown or missing, or a value is not acceptable; every problem is told with its key.
    """
    return validation.check(Evidence, content, str(where))

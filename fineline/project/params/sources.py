"""Where raw rows come from: what a `source:` block may say."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fineline.project.params.block import Block, Named, one_of


class HomeAssistant(Block):
    """Spoken commands sampled from the templates of the installed home-assistant-intents package."""

    language: str = "en"
    samples_per_template: Annotated[int, Field(ge=1)] = 2
    seed: int = 0
    household: str | None = None
    """A YAML file below `source.path` with the values that fill the slots; without it, one that is shipped (the English one
    for languages that have none)."""


class HubData(Block):
    """Data files of a dataset repository on the Hugging Face Hub, at one commit. Scripts in it are never run."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """A full commit id: a branch name would change under us."""
    files: str = "**"
    """Which files of the repository, as a glob."""


Layout = Literal["messages", "prompt_completion", "instruction", "sharegpt", "question_answer", "text"]
Column = Literal[
    "messages", "tools", "system", "prompt", "context", "completion", "text", "id", "group", "time", "domain"
]  # what we call it; a row may call it otherwise


class Part(Block):
    """One source of rows among several: exactly one of files, hub and home_assistant."""

    files: str | None = None
    """A glob below `source.path` (`tickets/**/*.csv.gz`), or an fsspec URL (`s3://bucket/tickets/*.parquet`). JSONL, JSON,
    CSV, TSV and Parquet, compressed or not, told by their names."""
    hub: HubData | None = None
    home_assistant: HomeAssistant | None = None
    layout: Layout | None = None
    """How a row says what; without it each row's own keys tell."""
    columns: dict[Column, str] = {}
    """Our name -> the row's name, where they differ: `{prompt: Frage, completion: Antwort}`."""
    prompt: Annotated[str, Field(min_length=1)] | None = None
    """For plain text, which has none: the prompt that each text answers."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Of CSV; without it, told from the first lines."""
    encoding: str = "utf-8"
    """Of text files. Bytes that do not belong to it reject their row."""
    license: Annotated[str, Field(min_length=1)] | None = None
    """Under which these rows stand, as an SPDX id, where that is not the license of the adapter."""
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    """How often a row of this part stands in the train split: 2 is twice, 0.25 is every fourth row."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        one_of(self, "files", "hub", "home_assistant")
        return self


class Source(Block):
    """Where raw examples come from: every data file at `path`, unless `parts` say it in more detail."""

    path: str
    """A file, or a directory: what DVC watches. All local files must lie in it. For a corpus out of a package this is the
    lock file that pins the package."""
    parts: Annotated[dict[str, Part], Named] = {}
    """Name -> part. Each row carries the name of its part for life."""

    def all_parts(self) -> dict[str, Part]:
        """The parts; one named `rows` with every data file at `path` where none is named."""
        return self.parts or {"rows": Part(files="**")}

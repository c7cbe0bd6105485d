"""Where things lie, relative to the project's root, which is the working directory of every stage."""

from pathlib import Path

SUITES = Path("suites")
SCRATCH = Path(".fineline")  # not tracked: half-built artifacts, checkpoints, shared base scores


def base(name: str) -> Path:
    """A base model in safetensors."""
    return Path("models/bases") / name


def raw(adapter: str) -> Path:
    """Rows as they came in."""
    return Path("data/raw") / adapter


def inbox(adapter: str) -> Path:
    """Examples from production, dropped here to see whether the champion still answers them as well as its holdout."""
    return Path("data/inbox") / adapter


def curated(adapter: str) -> Path:
    """train.jsonl, validation.jsonl, test.jsonl, and left_out.jsonl with every other row."""
    return Path("data/curated") / adapter


def adapter(name: str) -> Path:
    """Adapter weights in PEFT's layout."""
    return Path("models/adapters") / name


def merged(adapter: str) -> Path:
    """The adapter folded into full-precision weights."""
    return Path("models/merged") / adapter


def export(adapter: str, form: str) -> Path:
    """The merged model in one deployable form, `fp32` or `quantized`."""
    return Path("models/export") / adapter / form


def reports(adapter: str) -> Path:
    """Metrics, plots and verdicts: small files, kept in git."""
    return Path("reports") / adapter


def rendered(adapter: str) -> Path:
    """Three training rows as the model sees them, for the browser only: text of rows stays out of git."""
    return SCRATCH / "preflight" / f"{adapter}.md"

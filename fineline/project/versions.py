"""The version of each stage: raised when the same inputs give another result.

A stage depends on its version (through fineline.lock), its data and its parameters, never on source files. Raise a version
together with a reason here and in CHANGELOG.md; a change that leaves every result as it was needs none.
"""

STAGES = {
    "base": 2,
    "ingest": 1,
    "curate": 2,
    "plan": 1,
    "train": 2,
    "evaluate": 2,
    "merge": 2,
    "export": 2,
    "assess": 2,
}
"""Stage -> version, in the order of the graph."""

REASONS: dict[str, dict[int, str]] = {
    "base": {2: "processor, tokenizer and template files are kept, extra weights are not, quantized weights are dequantized"},
    "curate": {2: "rows are read in more layouts and compared strictly; marked answers are not learned"},
    "evaluate": {
        2: "the likelihood of a reference is that of the tokens that are learned, its end included and the text before it not"
    },
    "merge": {2: "an adapter trained on four bits is merged into the weights, dequantized or original, with the lower loss"},
    "export": {
        2: "the decoding settings that were judged ship, and families without ONNX ship as safetensors, also for transformers 4"
    },
    "assess": {2: "as `evaluate` 2; forms besides the first one have a verdict of their own"},
    "train": {2: "cores work on separate parts of a micro-step: sums are rounded in another order"},
}
"""Stage -> version -> why it was raised: the line of CHANGELOG.md, which `fineline upgrade` shows."""

DECISIVE_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes")
"""Distributions whose version can change a trained weight."""


def newer(one: str, other: str) -> bool:
    """True if version `one` is later than `other`."""
    from packaging.version import Version

    return Version(one) > Version(other)


def is_version(text: str) -> bool:
    """True if a text is the version of a Python package."""
    from packaging.version import InvalidVersion, Version

    try:
        Version(text)
    except InvalidVersion:
        return False
    return True

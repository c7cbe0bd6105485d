"""Checks of the base's files, from which a server takes end tokens and chat template, against the tokenizer of the training."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from fineline.chat.format import ChatFormat
from fineline.errors import InputError
from fineline.models import config
from fineline.project.params.training import Train
from fineline.train.row_checks import Line, PreflightIssue, learned_ends

_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight", "embed_tokens.weight", "wte.weight", "embed_in.weight")
"""Endings of the names of heads, then of the embeddings that tied models use as one."""
_UNTRAINED = 0.01  # of the usual norm of a row
_SAMPLE = 256  # rows of the head


def stop_token(base: Path, chat: ChatFormat, lines: Sequence[Line]) -> PreflightIssue:
    """Check that servers stop at the tokens with which answers end. The base's files decide that, not its tokenizer."""
    name, stops = config.end_tokens(base)
    learned = sorted({end for line in lines for end in learned_ends(line.tokens.labels)})
    found = {"learned": learned, "generation": stops}
    missing = [end for end in learned if end not in stops]
    if stops and missing:
        message = (
            f"{base / name} stops generation at token {', '.join(map(str, stops))}, not at {', '.join(map(str, missing))}, with"
            f" which answers end in training; some servers would continue after an answer: add it to eos_token_id of {name}"
        )
        return PreflightIssue("stop_token", "warning", found, message)
    return PreflightIssue("stop_token", "ok", found, "generation stops at the token with which answers end")


def end_token_trained(base: Path, lines: Sequence[Line], train: Train | None) -> PreflightIssue:
    """Check that the model can write the token with which answers end: its row of the head is not (nearly) zero.

    A method that leaves the head alone cannot teach a token without a row: its logit is zero for every context.
    """
    learned = sorted({end for line in lines for end in learned_ends(line.tokens.labels)})
    norms = head_norms(base, learned)
    found: dict[str, Any] = {"norms": {str(end): round(norm, 6) for end, norm in norms.items()}}
    empty = [end for end, norm in norms.items() if norm < _UNTRAINED]
    if not empty:
        return PreflightIssue("end_token_trained", "ok", found, "the model has a row for the token with which answers end")
    tokens = ", ".join(map(str, empty))
    message = (
        f"{base}: the row of token {tokens}, with which answers end, was never trained (its norm is below {_UNTRAINED:g} of the"
        " usual one), so no answer would end"
    )
    if train is None or train.method != "full":
        remedy = "use an instruct model, whose end token is trained, or `train.method: full`, which trains the row"
        return PreflightIssue("end_token_trained", "error", found, f"{message}; {remedy}")
    return PreflightIssue("end_token_trained", "warning", found, f"{message} without enough rows to train it")


def head_norms(base: Path, tokens: Sequence[int]) -> dict[int, float]:
    """Return the norm of each token's row of the head, relative to the median of a sample of rows; empty without such a tensor.

    Only the rows are read. The head of a model with tied embeddings is its embedding.
    """
    heads = {}
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 (safe_open is not a mapping)
                if name.endswith(_HEADS) and len(stored.get_slice(name).get_shape()) == 2:
                    heads[name] = file
    name = next((name for ending in _HEADS for name in heads if name.endswith(ending)), None)
    if name is None:
        return {}
    with safe_open(heads[name], framework="pt") as stored:
        weight = stored.get_slice(name)
        size = weight.get_shape()[0]
        sample = [weight[place : place + 1].float().norm().item() for place in range(0, size, max(1, size // _SAMPLE))]
        usual = sorted(sample)[len(sample) // 2] or 1.0
        return {token: weight[token : token + 1].float().norm().item() / usual for token in tokens if token < size}


def chat_template(base: Path, tokenizer: Any) -> PreflightIssue:
    """Check that every chat template in the base's files is the one of the training.

    Raises:
        InputError: The tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise InputError(
            f"{base}: the tokenizer has no chat template: add the model's chat_template.jinja there, or use an instruct model"
        )
    used = digest(tokenizer.chat_template)
    served = {file: digest(template) for file, template in config.chat_templates(base).items()}
    found = {"trained": used, "served": served}
    other = sorted(file for file, template in served.items() if template != used)
    if other or not served:
        cause = f"differs from {' and '.join(other)}" if other else "is in none of its files"
        message = (
            f"{base}: the chat template of the training (sha256 {used[:12]}…) {cause}; the served model would see other prompts"
            " than it was trained on: keep one template, in chat_template.jinja"
        )
        return PreflightIssue("chat_template", "error", found, message)
    return PreflightIssue(
        "chat_template", "ok", found, f"training and serving use the same chat template (sha256 {used[:12]}…)"
    )


def digest(template: Any) -> str:
    """Return the sha256 of a chat template; of several by name, that of all of them in the order of their names."""
    if isinstance(template, Mapping) and set(template) == {"default"}:
        template = template["default"]
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

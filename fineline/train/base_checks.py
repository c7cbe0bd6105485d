"""Checks of the base's files, from which a server takes end tokens and chat template, against the tokenizer of the training."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fineline.errors import InputError
from fineline.models import config
from fineline.train.row_checks import PreflightIssue


def stop_token(base: Path, tokenizer: Any) -> PreflightIssue:
    """Check that generation stops at the token with which answers end. The base's files decide that, not its tokenizer."""
    name, stops = config.end_tokens(base)
    found = {"learned": tokenizer.eos_token_id, "generation": stops}
    if stops and tokenizer.eos_token_id not in stops:
        message = (
            f"{base / name} stops generation at token {', '.join(map(str, stops))}, not at {tokenizer.eos_token_id}, with"
            f" which answers end in training; some servers would continue after an answer: add it to eos_token_id of {name}"
        )
        return PreflightIssue("stop_token", "warning", found, message)
    return PreflightIssue("stop_token", "ok", found, "generation stops at the token with which answers end")


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

"""What the base's own files give to whoever serves it, against what is trained."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.train.finding import Finding


def context_of(base: Path) -> int | None:
    """Positions of the base model by its config.json, in tokens; None if it does not say."""
    config = _json(base / "config.json")
    positions = config.get("max_position_embeddings") or (config.get("text_config") or {}).get("max_position_embeddings")
    return int(positions) if positions else None


def stop_token(base: Path, tokenizer: Any) -> Finding:
    """Generation stops at the tokens of generation_config.json, whatever the tokenizer says."""
    name = next((name for name in ("generation_config.json", "config.json") if "eos_token_id" in _json(base / name)), "")
    stops = _json(base / name)["eos_token_id"] if name else None
    stops = stops if isinstance(stops, list) else [] if stops is None else [stops]
    found = {"learned": tokenizer.eos_token_id, "generation": stops}
    if stops and tokenizer.eos_token_id not in stops:
        message = (
            f"{base / name} stops generation at token {', '.join(map(str, stops))}, and not at {tokenizer.eos_token_id}, with"
            f" which answers end in training; some servers would write on behind an answer: add it to eos_token_id of {name}"
        )
        return Finding("stop_token", "warning", found, message)
    return Finding("stop_token", "ok", found, "generation stops at the token with which answers end")


def chat_template(base: Path, tokenizer: Any) -> Finding:
    """The template of the training against those that the base's files give to whoever serves it.

    Raises:
        InputError: The tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise InputError(
            f"{base}: a tokenizer without a chat template: put the model's chat_template.jinja there, or take an instruct model"
        )
    used = digest(tokenizer.chat_template)
    served = {file: digest(template) for file, template in _served(base).items()}
    found = {"trained": used, "served": served}
    other = sorted(file for file, template in served.items() if template != used)
    if other or not served:
        cause = f"differs from {' and '.join(other)}" if other else "is in none of its files"
        message = (
            f"{base}: the chat template of the training (sha256 {used[:12]}…) {cause}; what is served would see other prompts"
            " than what was trained: keep one template, in chat_template.jinja"
        )
        return Finding("chat_template", "error", found, message)
    return Finding("chat_template", "ok", found, f"trained and served with the same chat template (sha256 {used[:12]}…)")


def _served(base: Path) -> dict[str, Any]:
    """File -> the template in it: one text, or texts by their names."""
    templates: dict[str, Any] = {}
    beside = base / "chat_template.jinja"
    others = sorted((base / "additional_chat_templates").glob("*.jinja"))
    if beside.is_file() or others:
        by_name = {file.stem: file.read_text(encoding="utf-8") for file in others}
        if beside.is_file():
            by_name["default"] = beside.read_text(encoding="utf-8")
        templates[beside.name] = by_name
    if within := _json(base / "tokenizer_config.json").get("chat_template"):
        named = isinstance(within, list)
        templates["tokenizer_config.json"] = {one["name"]: one["template"] for one in within} if named else within
    return templates


def digest(template: Any) -> str:
    """sha256 of a template; of several by name, of all of them in the order of the names."""
    if isinstance(template, Mapping) and set(template) == {"default"}:
        template = template["default"]
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _json(file: Path) -> dict[str, Any]:
    """The object in a JSON file of the base; empty if there is no such file."""
    content: Any = reports.read(file) if file.is_file() else {}
    return content if isinstance(content, dict) else {}

"""The prompt format: the system prompt, and the chat template rendered with an example."""

from collections.abc import Mapping

from fineline.documents.records import Records

_TEXT = "(your text)"


def system(records: Records) -> str | None:
    """Return the system prompt that curation added to rows; None if it added none."""
    prompt = records.curated.parameters.get("system")
    return prompt if isinstance(prompt, str) and prompt else None


def example(records: Records) -> str | None:
    """Return the template rendered with the system prompt and a placeholder; None if there is none or it cannot be rendered."""
    if not records.chat_template:
        return None
    # Here, not above: the command line starts faster without it.
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    first = system(records)
    messages = [{"role": "system", "content": first}] if first else []
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],  # as transformers has it
    )
    try:
        return environment.from_string(records.chat_template).render(
            messages=[*messages, {"role": "user", "content": _TEXT}], add_generation_prompt=True, **_tokens(records.config)
        )
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError):
        return None


def _tokens(config: Mapping[str, object]) -> dict[str, str]:
    """Return placeholders for the special tokens that templates use: their texts are in the tokenizer, which is not read."""
    return {name.removesuffix("_id"): f"({name.removesuffix('_token_id')})" for name in config if name.endswith("_token_id")}

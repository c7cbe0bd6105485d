"""How a prompt is written for the model: its chat template, filled in once to be seen."""

from collections.abc import Mapping

from fineline.documents.records import Records

_TEXT = "(your text)"


def system(records: Records) -> str | None:
    """The system prompt that curation put before every row, if it did."""
    told = records.curated.parameters.get("system")
    return told if isinstance(told, str) and told else None


def example(records: Records) -> str | None:
    """The template with the system prompt and a place for the user's text; None if there is none or it cannot be filled in."""
    if not records.chat_template:
        return None
    # Here, not above: the command line starts without it.
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
    """Names that templates expect; the texts of these tokens are in the tokenizer, which stays closed here."""
    return {name.removesuffix("_id"): f"({name.removesuffix('_token_id')})" for name in config if name.endswith("_token_id")}

"""The block `curate.chat` of an adapter: how its rows become conversations of the base model."""

import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

Reasoning = Literal["learn", "mask", "drop"]


class ChatSettings(BaseModel):
    """How messages are rendered with the chat template of the base model, and which parts of an answer are learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reasoning: Reasoning = "learn"
    """Treatment of reasoning (`reasoning_content`, or a `<think>` block before an answer). `learn`: it is learned with the
    answer; an empty block that the template writes or opens is learned too. `mask`: it is context of the answer, not learned.
    `drop`: it is removed from the rows, and the block is left out where the template has a variable for that."""
    date: datetime.date = datetime.date(2026, 1, 1)
    """The date that a template sees if it asks for today's, so that a row always becomes the same tokens. A server sends
    today's."""
    system: Literal["refuse", "merge"] = "refuse"
    """Rows with a system message, if the template shows none. `refuse`: they are left out. `merge`: the system message becomes
    the beginning of the first user message; requests in production must do the same."""
    template: str | None = None
    """Name of the template, if the base model has several. Without it, rows with tools use `tool_use` if there is one, and
    other rows use `default`, as transformers does."""
    variables: dict[str, bool | int | float | str] = {}
    """Variables of the template, such as `enable_thinking: false`. Requests in production must send the same
    (`chat_template_kwargs`)."""

    @field_validator("variables")
    @classmethod
    def _not_taken(cls, variables: dict[str, Any]) -> dict[str, Any]:
        taken = sorted({"messages", "tools", "documents", "add_generation_prompt", "strftime_now"} & set(variables))
        if taken:
            raise ValueError(f"{', '.join(taken)} cannot be set: fineline sets it for every row")
        return variables

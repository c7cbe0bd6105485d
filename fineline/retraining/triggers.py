"""The `retrain:` block of an adapter: what starts its retraining."""

import re
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, model_validator

from fineline.errors import InputError
from fineline.project.params.block import Block
from fineline.project.params.project import Adapter, did_you_mean

_FIELD = r"[\d*/,\-A-Za-z?#]+"
_CRON = re.compile(rf"@(hourly|daily|midnight|weekly|monthly|yearly|annually)|{_FIELD}( +{_FIELD}){{4}}")


class Drift(Block):
    """Retrain when the champion answers the examples in data/inbox/<adapter>/ worse than its holdout."""

    examples: Annotated[int, Field(ge=20)] = 50
    """The number needed for a decision."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Of the decision that they are answered worse; at 0.99, one look in a hundred is a false alarm."""


class Triggers(Block):
    """Each of them starts a retraining by itself; without any, users start it (`manual`)."""

    cron: str | None = None
    """Five fields: minute, hour, day of month, month, day of week."""
    timezone: str = "UTC"
    """Of the schedule, a name of the tz database: Europe/Berlin."""
    data: bool = False
    """New or changed files at the source, a newer commit of its Hub dataset, a newer release of its package."""
    drift: Drift | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.cron is not None and not _CRON.fullmatch(self.cron.strip()):
            raise ValueError("cron: expected five fields (minute, hour, day, month, day of the week), or a word like @daily")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("timezone: unknown time zone; expected a name like Europe/Berlin") from error
        return self

    @property
    def words(self) -> list[str]:
        """Return the triggers as text."""
        found = [f"cron {self.cron} ({self.timezone})"] if self.cron else []
        found += ["new data"] if self.data else []
        found += ["drift"] if self.drift else []
        return found or ["manual"]


def of(name: str, adapter: Adapter) -> Triggers:
    """Return the triggers of an adapter.

    Raises:
        InputError: The block has an unknown key or an unacceptable value; the message lists every problem with its key.
    """
    try:
        return Triggers.model_validate({} if adapter.retrain is None else adapter.retrain)
    except ValidationError as error:
        place = f"params.yaml: adapters.{name}.retrain"
        raise InputError("\n".join(f"{place}{_explain(problem)}" for problem in error.errors())) from error


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    message = problem["msg"].removeprefix("Value error, ")
    if not location:  # `cron: expected five fields`, or not a mapping at all
        return f".{message}" if problem["type"] == "value_error" else f": {message} (found {problem['input']!r})"
    where = "".join(f".{part}" for part in location)
    if problem["type"] == "extra_forbidden":
        accepted = Drift if location[:-1] == ["drift"] else Triggers
        return f"{where}: unknown key{did_you_mean(location[-1], list(accepted.model_fields))}"
    return f"{where}: {message} (found {problem['input']!r})"

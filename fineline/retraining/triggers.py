"""The `retrain:` block of an adapter: what starts its retraining."""

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from fineline.artifacts import validation
from fineline.project.params.block import Block
from fineline.project.params.project import Adapter

_FIELD = r"[\d*/,\-A-Za-z?#]+"
_CRON = re.compile(rf"@(hourly|daily|midnight|weekly|monthly|yearly|annually)|{_FIELD}( +{_FIELD}){{4}}")


def _cron(schedule: str) -> str:
    if not _CRON.fullmatch(schedule.strip()):
        raise ValueError("expected five fields (minute, hour, day, month, day of the week), or a word like @daily")
    return schedule


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("unknown time zone; expected a name like Europe/Berlin") from error
    return name


class Drift(Block):
    """Retrain when the champion answers the examples in data/inbox/<adapter>/ worse than its holdout."""

    examples: Annotated[int, Field(ge=20)] = 50
    """Number of examples that a decision needs."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Confidence of the one-sided test. At 0.99, one check in a hundred is a false alarm."""


class Triggers(Block):
    """The triggers of a retraining. Each starts one by itself; without any, users start it."""

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    """Schedule in five fields: minute, hour, day of month, month, day of week; or a word such as `@daily`."""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """Time zone of the schedule, such as `Europe/Berlin`."""
    data: bool = False
    """Retrain when the source has new or changed files, its Hub dataset a newer commit, or its package a newer release."""
    drift: Drift | None = None
    """Retrain when production drifts. `{}` uses the defaults."""

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
    block = {} if adapter.retrain is None else adapter.retrain
    return validation.check(Triggers, block, "params.yaml", under=f"adapters.{name}.retrain")

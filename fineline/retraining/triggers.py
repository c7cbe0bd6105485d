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
    """The number needed for a decision."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Of the decision that they are answered worse; at 0.99, one look in a hundred is a false alarm."""


class Triggers(Block):
    """Each of them starts a retraining by itself; without any, users start it (`manual`)."""

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    """Five fields: minute, hour, day of month, month, day of week."""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """Of the schedule, a name of the tz database: Europe/Berlin."""
    data: bool = False
    """New or changed files at the source, a newer commit of its Hub dataset, a newer release of its package."""
    drift: Drift | None = None

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

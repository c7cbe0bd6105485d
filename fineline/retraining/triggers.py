"""The `retrain:` block of an adapter: what starts its training anew."""

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
        raise ValueError("five fields are needed (minute, hour, day, month, day of the week), or a word like @daily")
    return schedule


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("no such time zone; names look like Europe/Berlin") from error
    return name


class Drift(Block):
    """Examples in data/inbox/<adapter>/ that the champion answers worse than its holdout."""

    examples: Annotated[int, Field(ge=20)] = 50
    """So many must lie there before anything is decided."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """That they are answered worse; with 0.99, one look in a hundred is a false alarm."""


class Triggers(Block):
    """Each by itself starts a retraining; without one, people do (`manual`)."""

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    """Five fields: minute, hour, day of month, month, day of week."""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """Of the schedule, as the tz database names it: Europe/Berlin."""
    data: bool = False
    """New or changed files at the source, a newer commit of its Hub dataset, a newer release of its package."""
    drift: Drift | None = None

    @property
    def words(self) -> list[str]:
        """What starts it, in words."""
        found = [f"cron {self.cron} ({self.timezone})"] if self.cron else []
        found += ["new data"] if self.data else []
        found += ["drift"] if self.drift else []
        return found or ["manual"]


def of(name: str, adapter: Adapter) -> Triggers:
    """What starts the retraining of an adapter.

    Raises:
        InputError: The block has an unknown key or an unacceptable value; the message lists every problem with its key.
    """
    block = {} if adapter.retrain is None else adapter.retrain
    return validation.check(Triggers, block, "params.yaml", under=f"adapters.{name}.retrain")

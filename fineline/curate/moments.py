"""Times of rows, in seconds since 1970."""

from datetime import UTC, datetime
from typing import Any

from fineline.curate.reading import Rejected

_MILLISECONDS = 1e11  # larger numbers can only be milliseconds: as seconds this is the year 5138


def seconds(value: Any, declared: bool) -> float | None:
    """Return seconds since 1970 from ISO 8601 (UTC without a zone), or from a number of seconds or milliseconds.

    Any other value rejects the row if its part declares the column as the time, and is ignored otherwise.

    Raises:
        Rejected: The time is declared and cannot be read.
    """
    if value is None or value == "":
        return None
    try:
        return _moment(value)
    except (ValueError, TypeError, OverflowError) as error:
        if declared:
            raise Rejected("the time is neither ISO 8601 nor seconds or milliseconds since 1970") from error
        return None


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    try:
        number = float(value)
    except ValueError:
        moment = datetime.fromisoformat(str(value).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if abs(number) >= _MILLISECONDS:
        number /= 1000
    if abs(number) >= _MILLISECONDS or number != number:
        raise ValueError
    return number

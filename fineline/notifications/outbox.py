"""Notices on their way: written down before anything else, removed when every receiver has taken its own.

.fineline/outbox/waiting/<id>.json   the notice, who still has to get it, and when to try again
.fineline/outbox/told/<id>           an empty file: of this occasion nothing is told again
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.errors import FinelineError
from fineline.notifications import configuration, senders
from fineline.notifications.notice import Notice
from fineline.project import layout

_PLACE = layout.SCRATCH / "outbox"
_REMEMBERED = 400 * 86_400  # seconds: longer than any occasion comes up again
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3_600.0  # seconds between attempts, doubled each time


@dataclass(frozen=True)
class Delivery:
    """What came of a round."""

    delivered: tuple[str, ...]
    """`receiver: title` of each notice that was taken."""
    problems: tuple[str, ...]
    waiting: int
    """Notices that somebody still has to get."""


def put(root: Path, notice: Notice) -> bool:
    """Write a notice down; False if its occasion was told before. Who wants it is looked up when it is delivered.

    Raises:
        OSError: The disk does not take it.
    """
    place = root / _PLACE
    mark = place / "told" / notice.id
    if mark.exists():
        return False
    reports.write(_file(root, notice.id), {"notice": notice.content, "receivers": None, "attempts": 0, "not_before": 0.0})
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()  # last: a notice that was not written down is not told
    return True


def deliver(root: Path, moment: float | None = None) -> Delivery:
    """Try to deliver what is due.

    Args:
        moment: Seconds since the epoch; now, if left out.

    Raises:
        InputError: notifications.yaml is wrong.
    """
    now = time.time() if moment is None else moment
    delivered: list[str] = []
    problems: list[str] = []
    with _alone(root) as ours:
        if not ours:
            return Delivery((), (), len(_waiting(root)))
        configured = configuration.load(root)
        for file in _waiting(root):
            try:
                entry: dict[str, Any] = reports.read(file)
                notice, due = _notice(entry["notice"]), entry["not_before"] <= now
            except (FinelineError, KeyError, TypeError, AttributeError):  # cut by a full disk: it must not hold up the others
                aside = file.replace(file.with_suffix(".damaged"))
                problems.append(f"{aside}: no notice any more; set aside")
                continue
            if not due:
                continue
            left = []
            wanting = configured.wanting(notice.event, notice.subject)
            for name in wanting if entry["receivers"] is None else entry["receivers"]:
                if name not in configured.receivers:  # taken out of the file since
                    continue
                try:
                    senders.send(notice, configured.receivers[name])
                    delivered.append(f"{name}: {notice.title}")
                except FinelineError as error:
                    problems.append(f"{name}: {error}")
                    left.append(name)
            if left:
                wait = min(_FIRST_WAIT * 2 ** entry["attempts"], _LONGEST_WAIT)
                reports.write(file, entry | {"receivers": left, "attempts": entry["attempts"] + 1, "not_before": now + wait})
            else:
                file.unlink()
        _forget(root, now)
    return Delivery(tuple(delivered), tuple(dict.fromkeys(problems)), len(_waiting(root)))


def _file(root: Path, notice_id: str) -> Path:
    return root / _PLACE / "waiting" / f"{notice_id}.json"


def _waiting(root: Path) -> list[Path]:
    """Files of the notices on their way, the oldest first."""
    found = (root / _PLACE / "waiting").glob("[0-9a-f]*.json")
    return sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.name))


def _notice(content: dict[str, Any]) -> Notice:
    fields = {name: value for name, value in content.items() if name not in ("id", "lines")}
    return Notice(**fields, lines=tuple(content["lines"]))


def _forget(root: Path, now: float) -> None:
    for mark in (root / _PLACE / "told").glob("*"):
        if mark.stat().st_mtime < now - _REMEMBERED:
            mark.unlink()


@contextmanager
def _alone(root: Path) -> Iterator[bool]:
    """Whether nobody else delivers at this moment."""
    place = root / _PLACE
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True

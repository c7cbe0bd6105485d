"""Notices to be delivered: written before anything is sent, removed when every receiver has accepted them.

.fineline/outbox/waiting/<id>.json   the notice, its remaining receivers, and when to try again
.fineline/outbox/reported/<id>       an empty file that marks an occasion as reported
"""

import hashlib
import hmac
import json
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from fineline.artifacts import locks, reports
from fineline.errors import FinelineError
from fineline.notifications.notice import Email, Notice, Receiver, Slack, Webhook, load_receivers, variable
from fineline.project import layout

_PLACE = layout.SCRATCH / "outbox"
_REMEMBERED = 400 * 86_400  # seconds; no occasion comes up again after that
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3_600.0  # seconds between attempts, doubled each time


@dataclass(frozen=True)
class Delivery:
    """The result of a round of delivery."""

    delivered: tuple[str, ...]
    """`receiver: title` of each notice that was accepted."""
    problems: tuple[str, ...]
    waiting: int
    """Number of notices with remaining receivers."""


def put(root: Path, notice: Notice) -> bool:
    """Write a notice; return False if its occasion was reported before. Its receivers are looked up at delivery.

    Raises:
        OSError: It cannot be written.
    """
    place = root / _PLACE
    mark = place / "reported" / notice.id
    if mark.exists():
        return False
    reports.write(_file(root, notice.id), {"notice": notice.content, "receivers": None, "attempts": 0, "not_before": 0.0})
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()  # last: a notice that could not be written is not marked as reported
    return True


def deliver(root: Path, moment: float | None = None) -> Delivery:
    """Try to deliver the notices that are due.

    Args:
        moment: Seconds since the epoch; now, if left out.

    Raises:
        InputError: notifications.yaml is invalid.
    """
    now = time.time() if moment is None else moment
    delivered: list[str] = []
    problems: list[str] = []
    with locks.try_hold(root / _PLACE / ".lock") as held:
        if not held:  # another process delivers
            return Delivery((), (), len(_waiting(root)))
        configured = load_receivers(root)
        for file in _waiting(root):
            try:
                entry: dict[str, Any] = reports.read(file)
                notice, due = _notice(entry["notice"]), entry["not_before"] <= now
            except (FinelineError, KeyError, TypeError, AttributeError):  # truncated by a full disk: deliver the others
                aside = file.replace(file.with_suffix(".damaged"))
                problems.append(f"{aside}: not a valid notice; set aside")
                continue
            if not due:
                continue
            left = []
            wanting = configured.wanting(notice.event, notice.subject)
            for name in wanting if entry["receivers"] is None else entry["receivers"]:
                if name not in configured.receivers:  # removed from the file since
                    continue
                try:
                    send(notice, configured.receivers[name])
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
    """Return the files of the waiting notices, the oldest first."""
    found = (root / _PLACE / "waiting").glob("[0-9a-f]*.json")
    return sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.name))


def _notice(content: dict[str, Any]) -> Notice:
    fields = {name: value for name, value in content.items() if name not in ("id", "lines")}
    return Notice(**fields, lines=tuple(content["lines"]))


def _forget(root: Path, now: float) -> None:
    for mark in (root / _PLACE / "reported").glob("*"):
        if mark.stat().st_mtime < now - _REMEMBERED:
            mark.unlink()


_SECONDS = 10.0


class Undelivered(FinelineError):
    """The receiver did not accept the notice; a later attempt may succeed.

    The message never contains the address, which may be a secret.
    """


def send(notice: Notice, receiver: Receiver) -> None:
    """Deliver a notice.

    Raises:
        Undelivered: The receiver cannot be reached or refuses the notice.
        InputError: A variable with an address or a key is not set.
    """
    try:
        if receiver.webhook is not None:
            _to_webhook(notice, receiver.webhook)
        elif receiver.slack is not None:
            _to_slack(notice, receiver.slack)
        elif receiver.email is not None:
            _by_mail(notice, receiver.email)
    except FinelineError:
        raise
    except Exception as error:  # the libraries' errors for an invalid address quote it
        raise Undelivered(f"delivery failed ({type(error).__name__}); check its address") from None


def _to_webhook(notice: Notice, webhook: Webhook) -> None:
    body = json.dumps(notice.content, ensure_ascii=False).encode()
    headers = {"X-Fineline-Id": notice.id}
    if webhook.secret_env is not None:
        key = variable(webhook.secret_env).encode()
        headers["X-Fineline-Signature"] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
    _post(webhook.address, body, headers)


def _to_slack(notice: Notice, slack: Slack) -> None:
    # these three have a meaning in mrkdwn: https://docs.slack.dev/messaging/formatting-message-text
    text = notice.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    _post(slack.address, json.dumps({"text": text}, ensure_ascii=False).encode(), {})


def _post(address: str, body: bytes, headers: dict[str, str]) -> None:
    if not address.startswith(("http://", "https://")):
        raise Undelivered("its address must begin with http:// or https://")
    request = urllib.request.Request(address, body, {"Content-Type": "application/json", "User-Agent": "fineline", **headers})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        raise Undelivered(f"it returned HTTP status {error.code}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Undelivered(f"it cannot be reached ({type(reason).__name__})") from error


def _by_mail(notice: Notice, email: Email) -> None:
    message = EmailMessage()
    message["Subject"] = notice.title.replace("\n", " ")
    message["From"], message["To"] = email.sender, ", ".join(email.to)
    message["Message-ID"] = f"<{notice.id}@fineline>"
    message.set_content("\n".join((notice.title, "", *notice.lines, "", notice.time)))
    password = variable(email.password_env) if email.password_env else None
    try:
        with _connected(email) as server:
            if email.user and password:
                server.login(email.user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise Undelivered(f"the mail server did not accept it ({type(error).__name__})") from error


def _connected(email: Email) -> smtplib.SMTP:
    if email.encryption == "tls":
        return smtplib.SMTP_SSL(email.host, email.port, timeout=_SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(email.host, email.port, timeout=_SECONDS)
    if email.encryption == "starttls":
        server.starttls(context=ssl.create_default_context())
    return server

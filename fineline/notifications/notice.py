"""Notices, and notifications.yaml: their receivers and the events that each gets. Secret addresses stay in the environment."""

import hashlib
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from fineline.artifacts import validation
from fineline.errors import InputError
from fineline.project.params.block import Block, Named, one_of

Event = Literal["failed", "drift", "verdict", "approval", "promoted", "revoked"]
EVENTS: tuple[Event, ...] = ("failed", "drift", "verdict", "approval", "promoted", "revoked")


@dataclass(frozen=True)
class Notice:
    """One message about one occasion."""

    event: Event
    subject: str
    """An adapter, a job, or the ledger."""
    title: str
    """One line."""
    lines: tuple[str, ...]
    occasion: str
    """A digest or an id: each occasion is reported once."""
    time: str = ""

    @property
    def id(self) -> str:
        """Return the id, equal for equal occasions, by which receivers recognize a repetition."""
        return hashlib.sha256("\n".join((self.event, self.subject, self.occasion)).encode()).hexdigest()[:32]

    @property
    def text(self) -> str:
        """Return the message as text."""
        return "\n".join((self.title, *self.lines))

    @property
    def content(self) -> dict[str, Any]:
        """Return the message as JSON."""
        return {"id": self.id, **asdict(self), "lines": list(self.lines)}


def now() -> str:
    """Return the present time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def verdict_notice(adapter: str, verdict: str, reasons: tuple[str, ...], candidate: str, where: str = "") -> Notice:
    """Return the notice of a verdict: the candidate waits for approval, or it failed and why.

    Args:
        reasons: Of the gate, with measures, numbers and limits.
        candidate: Digest of the exported model.
        where: The branch with the result; empty for the project itself.
    """
    at = (f"It is on the branch {where}: merge it, `dvc checkout`, and read `fineline report {adapter}`.",) if where else ()
    occasion = f"{candidate} {where}"
    if verdict == "pass":
        act = f"Then `fineline approve {adapter} --for CHANNEL --reason REASON`, or `fineline reject`."
        title = f"{adapter}: a candidate passed and waits for approval"
        return Notice("approval", adapter, title, (f"Candidate {candidate}.", *at, act), occasion, now())
    title = f"{adapter}: the verdict is {verdict}"
    return Notice("verdict", adapter, title, (f"Candidate {candidate}.", *reasons, *at), occasion, now())


FILE = Path("notifications.yaml")
Address = Annotated[str, Field(pattern=r"^https?://\S+$")]


class _Addressed(Block):
    url: Address | None = None
    """URL, unless it is a secret."""
    url_env: str | None = None
    """Name of the environment variable with the URL, if it is a secret."""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        one_of(self, "url", "url_env")
        return self

    @property
    def address(self) -> str:
        """Return the URL. Raises `InputError` if the variable is not set."""
        return self.url or variable(self.url_env or "")


class Webhook(_Addressed):
    """A POST of the notice as JSON."""

    secret_env: str | None = None
    """Name of the environment variable with a key that signs the body: `X-Fineline-Signature: sha256=<HMAC>`."""


class Slack(_Addressed):
    """An incoming webhook of Slack or of a compatible chat (Mattermost, Rocket.Chat, Zulip)."""


class Email(Block):
    """Mail through an SMTP server."""

    host: str
    """Name of the SMTP server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Port of the SMTP server."""
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption of the connection."""
    user: str | None = None
    """User name, if the server asks for one."""
    password_env: str | None = None
    """Name of the environment variable with the password."""
    sender: str
    """Address of the sender."""
    to: Annotated[list[str], Field(min_length=1)]
    """Addresses of the recipients."""


class Receiver(Block):
    """One receiver: exactly one of webhook, slack and email."""

    webhook: Webhook | None = None
    """A POST of the notice as JSON."""
    slack: Slack | None = None
    """A chat."""
    email: Email | None = None
    """Mail."""
    events: Annotated[list[Event], Field(min_length=1, default_factory=lambda: list(EVENTS))]
    """Events to send. By default all."""
    adapters: list[str] | None = None
    """Adapters to report about. By default all."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        one_of(self, "webhook", "slack", "email")
        return self


class Configuration(Block):
    """The whole file."""

    receivers: Annotated[dict[str, Receiver], Named, Field(default_factory=dict)]
    """Name -> receiver."""

    def wanting(self, event: Event, subject: str) -> list[str]:
        """Return the names of the receivers of an event."""
        return [
            name
            for name, receiver in self.receivers.items()
            if event in receiver.events and (receiver.adapters is None or subject in receiver.adapters)
        ]


def load_receivers(root: Path) -> Configuration:
    """Return the configuration of the project at `root`; without the file there are no receivers.

    Raises:
        InputError: The file is invalid; the message lists every problem with its key.
    """
    file = root / FILE
    if not file.exists():
        return Configuration(receivers={})
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=validation.NoRepeats)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    return validation.check(Configuration, content or {}, str(file), show_values=False)  # an address may be a secret


def variable(name: str) -> str:
    """Return a secret from the environment.

    Raises:
        InputError: The variable is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise InputError(f"{FILE}: the variable {name} is not set where Dagster's daemon runs; set it and restart the daemon")
    return value

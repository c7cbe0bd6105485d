"""Delivery of a notice. Each sender returns when the receiver has accepted it, and raises `Undelivered` otherwise."""

import hashlib
import hmac
import json
import smtplib
import ssl
import urllib.error
import urllib.request
from email.message import EmailMessage

from fineline.errors import FinelineError
from fineline.notifications.configuration import Email, Receiver, Slack, Webhook, variable
from fineline.notifications.notice import Notice

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

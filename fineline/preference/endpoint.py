"""One POST to an OpenAI-compatible server: bounded replies, retries while the server is busy, and no key in messages."""

import http.client
import ipaddress
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fineline.errors import FinelineError, InputError

ATTEMPTS = 5
LONGEST_PAUSE = 60.0
"""In seconds; a server that asks for a longer pause is not asked again."""
MOST_BYTES = 2**20
"""Maximum size of a reply."""
BUSY = {408, 409, 425, 429, 500, 502, 503, 504}
TEMPORARY = (TimeoutError, ConnectionError, http.client.HTTPException)


@dataclass(frozen=True)
class Endpoint:
    """The server of the judge."""

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    key_variable: str | None = None
    timeout: float = 60.0
    pause: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

    def complete(self, messages: list[dict[str, str]], max_tokens: int) -> str:
        """Return the reply of the model at temperature 0; empty if the reply has no text.

        Raises:
            InputError: The server refuses the key, the model or the request.
            FinelineError: It cannot be reached, stays busy, or does not speak the protocol.
        """
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": max_tokens}
        for attempt in range(1, ATTEMPTS + 1):
            asked = None
            try:
                return self._read(self._post(body))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in BUSY:
                        raise self._refused(error) from None
                    problem, asked = f"HTTP {error.code}: {self._excerpt(error)}", _retry_after(error)
            except (OSError, http.client.HTTPException) as error:
                cause = error.reason if isinstance(error, urllib.error.URLError) else error
                if not isinstance(cause, TEMPORARY) or isinstance(cause, ConnectionRefusedError):
                    raise FinelineError(
                        f"{self.url}: cannot be reached: {self._safe(str(cause))}; start the server, or correct --endpoint."
                        " The choices so far are kept"
                    ) from None
                problem = type(cause).__name__
            pause = 2.0 ** (attempt - 1) if asked is None else asked
            if attempt == ATTEMPTS or pause > LONGEST_PAUSE:
                break
            self.pause(pause)
        raise FinelineError(
            f"{self.url}: gave up after {attempt} attempts ({problem}); run the command again later to resume the session"
        )

    def _post(self, body: dict[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "fineline"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self.url}/chat/completions", json.dumps(body).encode(), headers, method="POST")
        with _opener(self.url).open(request, timeout=self.timeout) as response:
            content = response.read(MOST_BYTES + 1)
            if response.length and len(content) <= MOST_BYTES:  # a bounded read does not detect a truncated reply
                raise http.client.IncompleteRead(content)
            return content

    def _read(self, content: bytes) -> str:
        try:
            if len(content) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES:,} bytes")
            text = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            problem = f"{type(error).__name__}: {self._safe(str(error))}"
            raise FinelineError(
                f"{self.url}/chat/completions: the reply is not one of an OpenAI-compatible server ({problem});"
                " --endpoint is the address before /chat/completions, such as http://127.0.0.1:8000/v1"
            ) from None
        return text if isinstance(text, str) else ""

    def _refused(self, error: urllib.error.HTTPError) -> FinelineError:
        problem = f"HTTP {error.code}: {self._excerpt(error)}"
        if 300 <= error.code < 400:
            return InputError(
                f"{self.url}: answers with a redirect ({problem}), which is not followed; pass the address of the target"
            )
        if error.code in (401, 403):
            source = f"the key in ${self.key_variable}" if self.key_variable else "a request without a key; pass --key-variable"
            return InputError(f"{self.url}: refuses {source} ({problem})")
        return InputError(
            f"{self.url}: refuses the request for the model {self.model!r} ({problem}); check --endpoint and --model"
        )

    def _excerpt(self, error: urllib.error.HTTPError) -> str:
        try:
            content = error.read(2000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            content = ""
        return self._safe(content) or "no explanation"

    def _safe(self, text: str) -> str:
        """Return one short printable line without the key."""
        if self.key is not None:
            text = text.replace(self.key, "***")
        return "".join(character if character.isprintable() else " " for character in text)[:200].strip()


def connect(
    url: str, model: str, *, key_variable: str | None = None, allow_plain_http: bool = False, timeout: float = 60.0
) -> Endpoint:
    """Return the endpoint at an address, with the key from an environment variable.

    Raises:
        InputError: The address is not an http(s) address, contains credentials, or is plain http to another machine; the
            variable is not set or its value is not usable as a key.
    """
    example = "such as http://127.0.0.1:8000/v1 or https://judge.example/v1"
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise InputError(f"--endpoint: found {url!r}; an address of ASCII characters without spaces is needed, {example}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"--endpoint: not a valid address ({error}); an address is needed, {example}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"--endpoint: found {parts.scheme or 'no scheme'}; an http or https address is needed, {example}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InputError("--endpoint: an address without credentials, `?` and `#` is needed; pass a key with --key-variable")
    if parts.scheme == "http" and not _is_loopback(host) and not allow_plain_http:
        raise InputError(
            f"--endpoint: {host} is another machine and http is not encrypted: questions, answers and the key can be read in"
            " transit; use https, or pass --allow-plain-http"
        )
    if not model.strip() or not model.isprintable() or len(model) > 500:
        raise InputError(f"--model: found {model[:80]!r}; the name of the judge model on the server is needed")
    address = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/").removesuffix("/chat/completions")
    return Endpoint(address, model, _key(key_variable), key_variable, timeout)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"--key-variable: the environment variable {variable} is not set; export it with the judge's key")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"--key-variable: the value of {variable} is not a key: a single word of ASCII characters is needed")
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it would send the key to another address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener that uses the proxies of the environment, but not for this machine."""
    proxies: dict[str, str] | None = {} if _is_loopback(urlsplit(url).hostname or "") else None
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirect())


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    """Return the seconds that the server asks to wait; None if there are none, or only a date."""
    try:
        seconds = float(error.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None

"""Pseudonyms: equal for equal values, and neither reversible nor guessable without the key."""

import hashlib
import hmac
import os
import re

from fineline.curate.privacy.folding import fold
from fineline.errors import ParameterError

VARIABLE = "FINELINE_PSEUDONYM_KEY"
_SHORTEST = 16  # bytes

_DIGITS_ONLY = ("phone", "payment_card")
_LETTERS_AND_DIGITS_ONLY = ("iban", "national_id", "mac_address")
_AS_WRITTEN = ("secret", "url_credentials")


class Pseudonyms:
    """Makes pseudonyms with a key from the environment. The key is in no repr, message or artifact."""

    def __init__(self) -> None:
        """Read the key.

        Raises:
            InputError: It is not set, or shorter than 16 bytes.
        """
        self._key = os.environ.get(VARIABLE, "").encode("utf-8", "surrogateescape")
        if len(self._key) < _SHORTEST:
            found = f"has {len(self._key)} bytes" if self._key else "is not set"
            raise ParameterError(
                "curate.privacy",
                f"pseudonymize needs a key, and the environment variable {VARIABLE} {found}; set it to a secret of at least"
                f" {_SHORTEST} bytes (`openssl rand -hex 32`), always the same one, or choose redact",
            )
        self.fingerprint = self._digest("fineline pseudonym key")[:16]

    def pseudonym(self, kind: str, value: str) -> str:
        """Return the pseudonym of a value: 8 hex digits."""
        return self._digest(f"{kind}\0{canonical(kind, value)}")[:8]

    def _digest(self, message: str) -> str:
        return hmac.new(self._key, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def canonical(kind: str, value: str) -> str:
    """Return a value without the differences that do not matter for its kind: case, separators."""
    if kind in _AS_WRITTEN:
        return value
    value = fold(value).text
    if kind in _DIGITS_ONLY:
        return re.sub(r"\D", "", value)
    if kind in _LETTERS_AND_DIGITS_ONLY:
        return re.sub(r"[\W_]", "", value).lower()
    return value.lower()

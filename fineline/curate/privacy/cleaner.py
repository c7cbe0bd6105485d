"""Cleaning of a text by a policy: recognizers, built in and plugged in, run over it, and their matches are replaced.

A plugged-in recognizer is named in params.yaml by its import path: a callable `(text) -> iterable of (kind, start, end)`. Its
results are checked, and no error quotes the text. Pseudonyms are equal for equal values, and neither reversible nor guessable
without the key.
"""

import hashlib
import hmac
import importlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from fineline.curate.privacy import accounts, addresses, national, phone, secrets
from fineline.curate.privacy.match import KINDS, PrivacyMatch, fold, without_overlaps
from fineline.errors import FinelineError, ParameterError, did_you_mean
from fineline.project.params.curation import Privacy

Gate = Callable[[str], object]
"""A cheap search that misses no text in which the recognizers behind it would find something."""
Recognizer = Callable[[str], Iterator[PrivacyMatch]]
Placeholder = Callable[[PrivacyMatch, str], str]
"""Returns the replacement of a match, given its value."""

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*(?:_[0-9a-f]{8})?>")
_LONG_NUMBER = re.compile(r"\d(?:[ .()/+\-]{0,2}\d){6}", re.ASCII).search
"""Gate of phones, cards and most national numbers: seven digits with little between them."""
_LETTERS_AND_DIGITS = re.compile(r"\d(?:(?<=[A-Za-z]{2}\d)|(?<=[A-Z]{2} \d))\d", re.ASCII).search
"""Gate of numbers that start with letters: two letters and two digits."""

_KEY_VARIABLE = "FINELINE_PSEUDONYM_KEY"
_SHORTEST_KEY = 16  # bytes
_DIGITS_ONLY = ("phone", "payment_card")
_LETTERS_AND_DIGITS_ONLY = ("iban", "national_id", "mac_address")
_AS_WRITTEN = ("secret", "url_credentials")
_PLUGGED_IN_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Cleaned(NamedTuple):
    """A text after cleaning, with counts that name kinds and no values."""

    text: str
    found: dict[str, int]
    """Kind -> number of matches."""
    drop: bool
    """True if the policy drops rows with one of these kinds."""


class Cleaner:
    """Finds personal data and secrets, and replaces them. Built once per process: it reads the key and imports recognizers."""

    def __init__(self, policy: Privacy) -> None:
        """Prepare for a policy.

        Raises:
            InputError: A kind in `kinds` is unknown and no recognizer is plugged in that might find it; a recognizer cannot be
                imported; or the policy pseudonymizes and the key is missing or too short.
        """
        unknown = [] if policy.recognizers else [kind for kind in policy.kinds if kind not in KINDS]
        if unknown:
            hint = did_you_mean(unknown[0], list(KINDS))
            raise ParameterError("curate.privacy.kinds", f"unknown kind {unknown[0]!r}{hint}")
        self._policy = policy
        self._pseudonyms = Pseudonyms() if "pseudonymize" in (policy.default, *policy.kinds.values()) else None
        self._plugged_in = [plugged_in(path) for path in policy.recognizers]
        self._gated: tuple[tuple[Gate, tuple[Recognizer, ...]], ...] = (
            (addresses.may_have_email, (addresses.find_emails,)),
            (addresses.may_have_credentials, (addresses.find_credentials,)),
            (secrets.may_occur, (secrets.find,)),
            (_LONG_NUMBER, (accounts.find_cards, national.find, phone.finder(policy.phone_regions))),
            (_LETTERS_AND_DIGITS, (accounts.find_ibans, national.find_lettered)),
            (addresses.may_have_network_address, (addresses.find_network_addresses,)),
        )

    @property
    def fingerprint(self) -> str | None:
        """Return 16 hex digits that identify the pseudonym key without revealing it; None if the policy needs no key."""
        return self._pseudonyms.fingerprint if self._pseudonyms else None

    def find(self, text: str) -> list[PrivacyMatch]:
        """Return every match, in order and without overlaps.

        Raises:
            FinelineError: A plugged-in recognizer failed, or returned something other than spans of the text.
        """
        found = self._find_built_in(text)
        if self._plugged_in:
            found += self._find_plugged_in(text)
        return without_overlaps(found) if found else found

    def clean(self, text: str) -> Cleaned:
        """Return the text with each match treated as the policy says. Kinds that are only reported stay.

        Raises:
            FinelineError: As `find`.
        """
        matches = self.find(text)
        if not matches:
            return Cleaned(text, {}, False)
        counts = Counter(match.kind for match in matches if not self._is_replaced(match))
        text, replaced = self._replace(text, list(filter(self._is_replaced, matches)), self._placeholder, self._is_replaced)
        counts += replaced
        return Cleaned(text, dict(counts), any(self._policy.action(kind) == "drop" for kind in counts))

    def scrub(self, text: str) -> str:
        """Return the text with every match redacted, independent of the policy: for reports, logs and errors."""
        return self._replace(text, self.find(text), lambda match, value: f"<{match.kind.upper()}>", lambda match: True)[0]

    def _find_built_in(self, text: str) -> list[PrivacyMatch]:
        folded = fold(text)
        found: list[PrivacyMatch] = []
        for may_occur, recognizers in self._gated:
            if may_occur(folded.text):
                for recognizer in recognizers:
                    found.extend(recognizer(folded.text))
        return list(map(folded.original, found)) if folded.places else found

    def _find_plugged_in(self, text: str) -> Iterator[PrivacyMatch]:
        """Yield the matches of plugged-in recognizers outside placeholders, which a language model may mistake for names."""
        taken = [placeholder.span() for placeholder in _PLACEHOLDER.finditer(text)]
        for recognizer in self._plugged_in:
            for match in recognizer(text):
                if not any(match.start < end and start < match.end for start, end in taken):
                    yield match

    def _is_replaced(self, match: PrivacyMatch) -> bool:
        return self._policy.action(match.kind) != "report"

    def _placeholder(self, match: PrivacyMatch, value: str) -> str:
        name = match.kind.upper()
        if self._pseudonyms and self._policy.action(match.kind) == "pseudonymize":
            return f"<{name}_{self._pseudonyms.pseudonym(match.kind, value)}>"
        return f"<{name}>"

    def _replace(
        self, text: str, matches: list[PrivacyMatch], placeholder: Placeholder, is_replaced: Callable[[PrivacyMatch], bool]
    ) -> tuple[str, Counter[str]]:
        """Replace matches, then those that this uncovers: a long number may be a phone number without the card in it."""
        counts: Counter[str] = Counter()
        while matches:
            counts.update(match.kind for match in matches)
            pieces: list[str] = []
            place = 0
            for match in matches:
                pieces += text[place : match.start], placeholder(match, text[match.start : match.end])
                place = match.end
            text = "".join([*pieces, text[place:]])
            matches = list(filter(is_replaced, without_overlaps(self._find_built_in(text))))
        return text, counts


class Pseudonyms:
    """Makes pseudonyms with a key from the environment. The key is in no repr, message or artifact."""

    def __init__(self) -> None:
        """Read the key.

        Raises:
            InputError: It is not set, or shorter than 16 bytes.
        """
        self._key = os.environ.get(_KEY_VARIABLE, "").encode("utf-8", "surrogateescape")
        if len(self._key) < _SHORTEST_KEY:
            found = f"has {len(self._key)} bytes" if self._key else "is not set"
            raise ParameterError(
                "curate.privacy",
                f"pseudonymize needs a key, and the environment variable {_KEY_VARIABLE} {found}; set it to a secret of"
                f" at least {_SHORTEST_KEY} bytes (`openssl rand -hex 32`), always the same one, or choose redact",
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


def plugged_in(path: str) -> Recognizer:
    """Return the recognizer at an import path `package.module:function`.

    Raises:
        InputError: The path has another form, cannot be imported, or is not callable.
    """
    key = "curate.privacy.recognizers"
    module, colon, name = path.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ParameterError(key, f"{path!r} is not an import path; write package.module:function")
    try:
        recognizer = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ParameterError(
            key, f"{path!r} cannot be imported ({error}); install its package in this environment, or correct the path"
        ) from error
    except Exception as error:  # a module can raise anything at import
        raise ParameterError(key, f"{path!r} cannot be imported ({type(error).__name__}: {error}); correct {module}") from error
    if not callable(recognizer):
        raise ParameterError(key, f"{path!r}: {module} has no function {name!r}")
    return lambda text: (_match(path, returned, len(text)) for returned in _called(path, recognizer, text))


def _called(path: str, recognizer: Callable[[str], Iterable[Any]], text: str) -> list[Any]:
    """Return its results. Its exception is not chained, because its message and frames may contain the text."""
    try:
        return list(recognizer(text))
    except (Exception, SystemExit) as error:
        cause = type(error).__name__
    raise FinelineError(f"the recognizer {path} raised {cause} on a text of {len(text)} characters, which is not shown")


def _match(path: str, returned: Any, length: int) -> PrivacyMatch:
    """Return a result as a match. Raises `FinelineError` unless it is a kind and a span within the text."""
    if not isinstance(returned, tuple) or len(returned) != 3:
        raise FinelineError(f"the recognizer {path} must return tuples (kind, start, end), found {type(returned).__name__}")
    kind, start, end = returned
    if not isinstance(kind, str) or not _PLUGGED_IN_KIND.fullmatch(kind):
        raise FinelineError(f"the recognizer {path} returned a kind that is not a lower-case name such as `person`")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        raise FinelineError(f"the recognizer {path} returned a {kind} whose span is not within the text of {length} characters")
    return PrivacyMatch(kind, start, end)

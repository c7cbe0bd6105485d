"""Cleaning of a text by a policy: all recognizers run over it, and their matches are replaced."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fineline.curate.privacy import addresses, cards, iban, national, phone, plugins, secrets
from fineline.curate.privacy.folding import fold
from fineline.curate.privacy.match import KINDS, PrivacyMatch, without_overlaps
from fineline.curate.privacy.pseudonyms import Pseudonyms
from fineline.errors import ParameterError, did_you_mean
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
        self._plugged_in = [plugins.load(path) for path in policy.recognizers]
        self._gated: tuple[tuple[Gate, tuple[Recognizer, ...]], ...] = (
            (addresses.may_have_email, (addresses.find_emails,)),
            (addresses.may_have_credentials, (addresses.find_credentials,)),
            (secrets.may_occur, (secrets.find,)),
            (_LONG_NUMBER, (cards.find, national.find, phone.finder(policy.phone_regions))),
            (_LETTERS_AND_DIGITS, (iban.find, national.find_lettered)),
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
        for plugged_in in self._plugged_in:
            for match in plugged_in(text):
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

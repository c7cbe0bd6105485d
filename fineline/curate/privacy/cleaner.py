"""Cleaning a text by policy: every recogniser over it, and what stands in the place of what they find."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fineline.curate.privacy import cards, credentials, email, iban, national, network, numbers, phone, plugins, secrets
from fineline.curate.privacy.finding import KINDS, Finding, without_overlaps
from fineline.curate.privacy.folding import read
from fineline.curate.privacy.pseudonyms import Pseudonyms
from fineline.errors import InputError, did_you_mean
from fineline.project.params.curation import Privacy

Gate = Callable[[str], object]
"""A search that costs little and misses nothing that the recognisers behind it would find."""
Recogniser = Callable[[str], Iterator[Finding]]
Placeholder = Callable[[Finding, str], str]
"""What stands in the place of a finding, given its value."""

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*(?:_[0-9a-f]{8})?>")


class Cleaned(NamedTuple):
    """A text after cleaning, and an account that names kinds and no values."""

    text: str
    found: dict[str, int]
    """Kind -> how many."""
    drop: bool
    """A kind occurred whose rows are to be left out."""


class Cleaner:
    """Finds personal data and secrets, and replaces them. Built once per process: it reads the key and imports recognisers."""

    def __init__(self, policy: Privacy) -> None:
        """Prepare for a policy.

        Raises:
            InputError: A kind in `kinds` is unknown and no recogniser is plugged in that might find it; a recogniser cannot be
                imported; or `pseudonymize` is asked for and its key is missing or too short.
        """
        unknown = [] if policy.recognizers else [kind for kind in policy.kinds if kind not in KINDS]
        if unknown:
            hint = did_you_mean(unknown[0], list(KINDS))
            raise InputError(f"params.yaml: curate.privacy.kinds: there is no kind {unknown[0]!r}{hint}")
        self._policy = policy
        self._pseudonyms = Pseudonyms() if "pseudonymize" in (policy.default, *policy.kinds.values()) else None
        self._plugged_in = [plugins.load(path) for path in policy.recognizers]
        self._gated: tuple[tuple[Gate, tuple[Recogniser, ...]], ...] = (
            (email.may_occur, (email.find,)),
            (credentials.may_occur, (credentials.find,)),
            (secrets.may_occur, (secrets.find,)),
            (numbers.is_long_in, (cards.find, national.find, phone.finder(policy.phone_regions))),
            (numbers.follows_letters_in, (iban.find, national.find_lettered)),
            (network.may_occur, (network.find,)),
        )

    @property
    def fingerprint(self) -> str | None:
        """Tells pseudonym keys apart without telling the key: 16 hex digits; None if the policy makes no pseudonyms."""
        return self._pseudonyms.fingerprint if self._pseudonyms else None

    def find(self, text: str) -> list[Finding]:
        """Every finding, in order and without overlaps.

        Raises:
            FinelineError: A plugged-in recogniser failed, or returned what is no span of the text.
        """
        found = self._find_own(text)
        if self._plugged_in:
            found += self._find_plugged_in(text)
        return without_overlaps(found) if found else found

    def clean(self, text: str) -> Cleaned:
        """The text with each finding treated as the policy says. Kinds that are only reported stay.

        Raises:
            FinelineError: As `find`.
        """
        findings = self.find(text)
        if not findings:
            return Cleaned(text, {}, False)
        counts = Counter(finding.kind for finding in findings if not self._is_replaced(finding))
        text, replaced = self._replace(text, list(filter(self._is_replaced, findings)), self._placeholder, self._is_replaced)
        counts += replaced
        return Cleaned(text, dict(counts), any(self._policy.action(kind) == "drop" for kind in counts))

    def scrub(self, text: str) -> str:
        """The text with every finding redacted, whatever the policy: for reports, logs and errors."""
        return self._replace(text, self.find(text), lambda finding, value: f"<{finding.kind.upper()}>", lambda finding: True)[0]

    def _find_own(self, text: str) -> list[Finding]:
        reading = read(text)
        found: list[Finding] = []
        for may_occur, recognisers in self._gated:
            if may_occur(reading.text):
                for recogniser in recognisers:
                    found.extend(recogniser(reading.text))
        return list(map(reading.written, found)) if reading.places else found

    def _find_plugged_in(self, text: str) -> Iterator[Finding]:
        """What recognisers of others find outside placeholders, which a language model may take for names."""
        taken = [placeholder.span() for placeholder in _PLACEHOLDER.finditer(text)]
        for plugged_in in self._plugged_in:
            for finding in plugged_in(text):
                if not any(finding.start < end and start < finding.end for start, end in taken):
                    yield finding

    def _is_replaced(self, finding: Finding) -> bool:
        return self._policy.action(finding.kind) != "report"

    def _placeholder(self, finding: Finding, value: str) -> str:
        name = finding.kind.upper()
        if self._pseudonyms and self._policy.action(finding.kind) == "pseudonymize":
            return f"<{name}_{self._pseudonyms.of(finding.kind, value)}>"
        return f"<{name}>"

    def _replace(
        self, text: str, findings: list[Finding], placeholder: Placeholder, is_replaced: Callable[[Finding], bool]
    ) -> tuple[str, Counter[str]]:
        """Replace findings, and what that uncovers: what was too long for a phone number may be one without the card in it."""
        counts: Counter[str] = Counter()
        while findings:
            counts.update(finding.kind for finding in findings)
            pieces: list[str] = []
            place = 0
            for finding in findings:
                pieces += text[place : finding.start], placeholder(finding, text[finding.start : finding.end])
                place = finding.end
            text = "".join([*pieces, text[place:]])
            findings = list(filter(is_replaced, without_overlaps(self._find_own(text))))
        return text, counts

"""DSSE envelopes with one signature, read strictly (https://github.com/secure-systems-lab/dsse, version 1)."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from securesystemslib.dsse import Envelope as Dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Signature, Signer, SSlibKey

from fineline.artifacts import canonical
from fineline.errors import Refused

STATEMENT = "application/vnd.in-toto+json"
CHECKPOINT = "application/vnd.fineline.checkpoint+json"

MOST_BYTES = 2**20


@dataclass(frozen=True)
class Envelope:
    """What was signed, and with which key. Nothing is verified yet."""

    payload: bytes
    payload_type: str
    keyid: str
    signature: str
    """In hexadecimal digits."""

    def verify(self, key: SSlibKey, place: str) -> None:
        """Raise `Refused` unless the key made the signature."""
        dsse = Dsse(self.payload, self.payload_type, {self.keyid: Signature(self.keyid, self.signature)})
        try:
            dsse.verify([key], 1)
        except (VerificationError, ValueError) as error:
            raise Refused(f"{place}: the signature is not that of key {key.keyid[:16]} over this content") from error

    @property
    def content(self) -> Any:
        """The payload as JSON. Raises `ValueError` if it is none, or has two meanings."""
        return canonical.parse(self.payload)

    def text(self) -> str:
        """As a file."""
        signature = base64.b64encode(bytes.fromhex(self.signature)).decode()
        content = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [{"keyid": self.keyid, "sig": signature}],
        }
        return canonical.text(content) + "\n"


def sign(content: Any, payload_type: str, signer: Signer) -> Envelope:
    """Sign the canonical JSON of a value."""
    dsse = Dsse(canonical.text(content).encode(), payload_type, {})
    signature = dsse.sign(signer)
    return Envelope(dsse.payload, payload_type, signature.keyid, signature.signature)


def parse(text: bytes, payload_type: str, place: str) -> Envelope:
    """Read an envelope.

    Raises:
        Refused: It is too large, no strict JSON, of another payload type, without a signature or with several, has unknown
            keys, or is spelled in another way than `Envelope.text` spells it.
    """
    if len(text) > MOST_BYTES:
        raise Refused(f"{place}: larger than {MOST_BYTES:,} bytes")
    try:
        content = canonical.parse(text)
    except ValueError as error:
        raise Refused(f"{place}: not valid JSON: {error}") from error
    if not isinstance(content, dict) or set(content) != {"payload", "payloadType", "signatures"}:
        raise Refused(f"{place}: not a DSSE envelope")
    if content["payloadType"] != payload_type:
        raise Refused(f"{place}: the payload type is {content['payloadType']!r}, but must be {payload_type!r}")
    signatures = content["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        found = len(signatures) if isinstance(signatures, list) else 0
        raise Refused(f"{place}: {found or 'no'} signatures, where there must be one")
    try:
        (signature,) = signatures
        envelope = Envelope(
            base64.b64decode(content["payload"], validate=True),
            payload_type,
            str(signature["keyid"]),
            base64.b64decode(signature["sig"], validate=True).hex(),
        )
    except (KeyError, TypeError, binascii.Error) as error:
        raise Refused(f"{place}: not a DSSE envelope: {error}") from error
    if envelope.text().encode() != text:
        raise Refused(f"{place}: not as it was written: other spelling or other keys")
    return envelope

"""Canonical JSON: read strictly, and written by RFC 8785 (JSON Canonicalization Scheme): equal values have equal bytes."""

import hashlib
import json
import math
from decimal import Decimal
from typing import Any

MOST_EXACT = 2**53  # readers disagree on larger integers (RFC 8785, appendix D)


def parse(content: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not valid JSON or UTF-8, repeats a key, contains an unpaired surrogate or a number that is not
            finite, or is nested too deeply.
    """
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_without_repeats,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_exact,
        )
        text(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("a string contains an unpaired surrogate") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def text(value: Any) -> str:
    """Return the canonical text of a JSON value: sorted keys, no spaces, numbers as ECMAScript writes them.

    Raises:
        TypeError: The value contains a type that JSON does not have.
        ValueError: The value contains a number that is not finite.
    """
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(map(text, value))}]"
        case dict():
            keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))  # section 3.2.3
            return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{text(value[key])}" for key in keys) + "}"
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def digest(value: Any) -> str:
    """Return the sha256 digest of the canonical text of a value, as `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(text(value).encode('utf-8')).hexdigest()}"


def _number(value: float) -> str:
    """Return a number as ECMAScript's Number::toString writes it (RFC 8785, section 3.2.2.3)."""
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    if value == 0:
        return "0"
    negative, digits, exponent = Decimal(repr(value)).as_tuple()
    point = len(digits) + int(exponent)  # the value is 0.digits times 10 to this power
    shown = "".join(map(str, digits)).rstrip("0")
    if len(shown) <= point <= 21:
        spelled = shown + "0" * (point - len(shown))
    elif 0 < point <= 21:
        spelled = f"{shown[:point]}.{shown[point:]}"
    elif -6 < point <= 0:
        spelled = f"0.{'0' * -point}{shown}"
    else:
        spelled = f"{shown[0]}{'.' if shown[1:] else ''}{shown[1:]}e{point - 1:+d}"
    return f"-{spelled}" if negative else spelled


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {key!r}")
        found[key] = value
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word[:20]} is too large for a JSON number")
    return value


def _exact(word: str) -> float:
    """Return an integer, beyond 2^53 as the double that every reader takes it for."""
    return int(word) if len(word) < 18 and abs(int(word)) <= MOST_EXACT else _finite(word)

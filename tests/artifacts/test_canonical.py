"""Canonical JSON: the spelling of RFC 8785, and strict reading."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.artifacts import canonical

# RFC 8785, appendix B: bits of a double and what ECMAScript calls it
NUMBERS = {
    0x0000000000000000: "0",
    0x8000000000000000: "0",
    0x0000000000000001: "5e-324",
    0x8000000000000001: "-5e-324",
    0x7FEFFFFFFFFFFFFF: "1.7976931348623157e+308",
    0x4340000000000000: "9007199254740992",
    0x4430000000000000: "295147905179352830000",
    0x44B52D02C7E14AF5: "9.999999999999997e+22",
    0x44B52D02C7E14AF6: "1e+23",
    0x44B52D02C7E14AF7: "1.0000000000000001e+23",
    0x444B1AE4D6E2EF4E: "999999999999999700000",
    0x444B1AE4D6E2EF4F: "999999999999999900000",
    0x444B1AE4D6E2EF50: "1e+21",
    0x3EB0C6F7A0B5ED8C: "9.999999999999997e-7",
    0x3EB0C6F7A0B5ED8D: "0.000001",
    0x41B3DE4355555553: "333333333.3333332",
    0xBECBF647612F3696: "-0.0000033333333333333333",
}

WORDS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
)


@pytest.mark.parametrize(("bits", "spelled"), NUMBERS.items())
def test_numbers_are_written_as_the_standard_lists_them(bits, spelled):
    (value,) = struct.unpack(">d", bits.to_bytes(8, "big"))
    assert canonical.text(value) == spelled


def test_an_integer_and_the_same_number_with_a_point_are_one():
    assert canonical.digest({"value": 1}) == canonical.digest({"value": 1.0})
    assert canonical.text([True, None, 10, -0.5]) == "[true,null,10,-0.5]"


def test_a_large_integer_is_the_double_that_every_reader_takes_it_for():
    assert canonical.parse(b"[9007199254740992, 9007199254740993]") == [2**53, 9007199254740992.0]


def test_keys_are_sorted_by_utf_16_and_strings_keep_their_characters():
    assert canonical.text({"\ufb33": 1, "\U0001f600": 2, "a": '\u20ac\n\x0f"\\/'}) == (
        '{"a":"€\\n\\u000f\\"\\\\/","\U0001f600":2,"\ufb33":1}'
    )


@given(VALUES)
def test_canonical_text_keeps_the_value_and_is_stable(value):
    spelled = canonical.text(value)
    assert json.loads(spelled, parse_int=float) == value
    assert canonical.text(canonical.parse(spelled.encode())) == spelled


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (b'{"x": {"a": 1, "a": 1}}', "duplicate key 'a'"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "99999999999999999999 is too large"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'{"a": "\xff"}', "utf-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
    ],
)
def test_json_that_readers_interpret_differently_is_refused(content, said):
    with pytest.raises(ValueError, match=said):
        canonical.parse(content)

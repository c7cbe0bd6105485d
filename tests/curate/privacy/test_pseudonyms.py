"""Pseudonyms and their key."""

import hashlib
import hmac

import pytest

from fineline.curate.privacy import Cleaner
from fineline.errors import InputError
from fineline.project.params.curation import Privacy

KEY = "0123456789abcdef"
PSEUDONYMISE = Privacy(default="pseudonymize")


@pytest.fixture
def pseudonymizer(monkeypatch) -> Cleaner:
    monkeypatch.setenv("FINELINE_PSEUDONYM_KEY", KEY)
    return Cleaner(PSEUDONYMISE)


def test_a_pseudonym_is_the_keyed_hash_of_kind_and_value(pseudonymizer):
    expected = hmac.new(KEY.encode(), b"email\0bob@example.com", hashlib.sha256).hexdigest()[:8]
    assert pseudonymizer.clean("bob@example.com").text == f"<EMAIL_{expected}>"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob@Example.com", "bob@example.com"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("+1 415 555 2671", "+1 (415) 555-2671"),
        ("00-1A-2B-3C-4D-5E", "00:1a:2b:3c:4d:5e"),
    ],
)
def test_the_same_value_has_the_same_pseudonym_however_it_is_written(pseudonymizer, one, other):
    assert pseudonymizer.clean(one).text == pseudonymizer.clean(other).text != one


def test_another_value_or_key_has_another_pseudonym(pseudonymizer, monkeypatch):
    one = pseudonymizer.clean("bob@example.com").text
    assert one != pseudonymizer.clean("eve@example.com").text
    monkeypatch.setenv("FINELINE_PSEUDONYM_KEY", KEY[::-1])
    assert one != Cleaner(PSEUDONYMISE).clean("bob@example.com").text


def test_the_fingerprint_identifies_keys_and_is_none_without_pseudonyms(pseudonymizer, monkeypatch, cleaner):
    assert cleaner.fingerprint is None
    assert len(pseudonymizer.fingerprint) == 16
    monkeypatch.setenv("FINELINE_PSEUDONYM_KEY", KEY[::-1])
    assert Cleaner(PSEUDONYMISE).fingerprint != pseudonymizer.fingerprint
    assert KEY not in repr(vars(pseudonymizer))


@pytest.mark.parametrize(("key", "found"), [(None, "is not set"), ("", "is not set"), ("secret-canary", "has 13 bytes")])
@pytest.mark.parametrize("policy", [PSEUDONYMISE, Privacy(kinds={"email": "pseudonymize"})])
def test_a_missing_or_short_key_is_refused_without_showing_it(monkeypatch, policy, key, found):
    monkeypatch.delenv("FINELINE_PSEUDONYM_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("FINELINE_PSEUDONYM_KEY", key)
    with pytest.raises(InputError, match=f"FINELINE_PSEUDONYM_KEY {found}") as refusal:
        Cleaner(policy)
    assert "canary" not in str(refusal.value)

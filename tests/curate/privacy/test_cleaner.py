"""Treatment of matches by the policy."""

import pickle

import pytest

from fineline.curate.privacy import KINDS, Cleaner, PrivacyMatch
from fineline.errors import InputError
from fineline.project.params.curation import Privacy

TEXT = "Write to bob@example.com from 192.168.1.20, card 4111 1111 1111 1111."


def test_matches_are_sorted_spans_of_the_text(cleaner):
    assert [(match.kind, TEXT[match.start : match.end]) for match in cleaner.find(TEXT)] == [
        ("email", "bob@example.com"),
        ("ip_address", "192.168.1.20"),
        ("payment_card", "4111 1111 1111 1111"),
    ]


def test_redacted_by_default(cleaner):
    cleaned = cleaner.clean(TEXT)
    assert cleaned.text == "Write to <EMAIL> from <IP_ADDRESS>, card <PAYMENT_CARD>."
    assert cleaned.found == {"email": 1, "ip_address": 1, "payment_card": 1}
    assert not cleaned.drop


def test_a_kind_that_is_only_reported_stays_and_is_counted():
    cleaned = Cleaner(Privacy(kinds={"email": "report"})).clean(TEXT + " bob@example.com")
    assert cleaned.text == "Write to bob@example.com from <IP_ADDRESS>, card <PAYMENT_CARD>. bob@example.com"
    assert cleaned.found == {"email": 2, "ip_address": 1, "payment_card": 1}


def test_a_kind_to_drop_marks_the_row():
    cleaner = Cleaner(Privacy(default="report", kinds={"payment_card": "drop"}))
    assert cleaner.clean(TEXT).drop
    assert "4111" not in cleaner.clean(TEXT).text
    assert not cleaner.clean("bob@example.com").drop


def test_scrubbing_ignores_the_policy():
    assert Cleaner(Privacy(default="report")).scrub(TEXT) == "Write to <EMAIL> from <IP_ADDRESS>, card <PAYMENT_CARD>."


def test_clean_text_is_returned_unchanged(cleaner):
    text = "Nothing here."
    assert cleaner.clean(text) == (text, {}, False)
    assert cleaner.clean(text).text is text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("https://bob@corp.com:pw12@db.example.com/x", "https://<URL_CREDENTIALS>@db.example.com/x"),
        ("https://u:ghp_0123456789abcdefghijklmnopqrstuvwxyz@github.com", "https://<URL_CREDENTIALS>@github.com"),
        ("https://x.com/?access_token=abcdefgh123&page=2", "https://x.com/?access_token=<URL_CREDENTIALS>&page=2"),
        ("GB33BUKB20201555555555", "<IBAN>"),
        ("020-54-2280 42 times", "<NATIONAL_ID> 42 times"),
        ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n" + "QUJD" * 16 + "\nand more", "<SECRET>\nand more"),
        ('{"aws_secret": "' + "aB3/" * 10 + '"}', '{"aws_secret": "<SECRET>"}'),
    ],
)
def test_of_overlapping_matches_the_more_specific_stays(cleaner, text, cleaned):
    assert cleaner.clean(text).text == cleaned


def test_an_unknown_kind_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match=r"curate\.privacy\.kinds: unknown kind 'emial'; did you mean 'email'\?"):
        Cleaner(Privacy(kinds={"emial": "drop"}))


def test_the_policy_of_a_worker_survives_pickling():
    policy = pickle.loads(pickle.dumps(Privacy(kinds={"email": "report"})))
    assert Cleaner(policy).clean("bob@example.com") == ("bob@example.com", {"email": 1}, False)


def test_phones_of_other_regions_are_found_where_the_policy_says_so():
    assert not Cleaner(Privacy(phone_regions=["US"])).find("ring 020 7946 0958")
    assert Cleaner(Privacy(phone_regions=["GB"])).find("ring 020 7946 0958") == [PrivacyMatch("phone", 5, 18)]
    assert Cleaner(Privacy(phone_regions=[])).find("+44 20 7946 0958") == [PrivacyMatch("phone", 0, 16)]


def test_every_kind_has_a_placeholder_that_json_can_hold():
    assert all(kind.upper().replace("_", "").isalpha() for kind in KINDS)

"""Clean text is not changed."""

import random

import pytest

from tests.curate.privacy.clean_text import MAKERS

ROWS = 1500


@pytest.mark.parametrize("kind", MAKERS)
def test_at_most_one_row_in_a_thousand_is_touched(cleaner, kind):
    rng = random.Random(f"clean {kind}")
    rows = [MAKERS[kind](rng) for _ in range(ROWS)]
    touched = [row for row in rows if cleaner.clean(row).found]
    assert len(touched) <= ROWS / 1000, touched[:3]


@pytest.mark.parametrize(
    "text",
    [
        "root@localhost",
        "EAN 4006381333931",
        "an IMEI: 490154203237518",
        "the table 2019 2020 2021 2022 2023 2024",
        "-80.123456 40.123456",
        "aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99",
        "fe::1 and 1::2",
        "ff:ff:ff:ff:ff:ff",
        "12345678901",
        "https://user:****@example.com",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY----- starts the block",
    ],
)
def test_values_that_only_resemble_private_ones_are_kept(cleaner, text):
    assert cleaner.clean(text).text == text


@pytest.mark.parametrize(
    ("bare", "called"),
    [
        ("12345678909", "CPF"),
        ("111222333", "BSN"),
        ("44051401359", "PESEL"),
        ("86095742719", "Steuer-ID"),
        ("234123412346", "Aadhaar"),
        ("4155552671", "phone"),
        ("612 345 678", "móvil"),
    ],
)
def test_a_bare_number_counts_only_next_to_its_name(cleaner, bare, called):
    assert not cleaner.clean(f"the order {bare} was shipped").found
    assert cleaner.clean(f"the {called} {bare} was given").found
    assert cleaner.clean(f"{bare} is the {called}").found


def test_a_placeholder_is_not_a_name(cleaner):
    assert not cleaner.clean("<PHONE> 4155552671").found

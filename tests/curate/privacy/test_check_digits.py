"""Check digits, by examples that their authorities publish or that others computed."""

import pytest

from fineline.curate.privacy import accounts, national


@pytest.mark.parametrize(
    ("valid", "number"),
    [
        (accounts.luhn, "4111111111111111"),
        (accounts.mod_97, "GB82WEST12345698765432"),
        (national.verhoeff, "2363"),
        (national.ssn, "078051120"),
        (national.steuer_id, "86095742719"),
        (national.steuer_id, "65929970489"),
        (national.pesel, "44051401359"),
        (national.cpf, "11144477735"),
        (national.bsn, "111222333"),
        (national.personnummer, "8112289874"),
        (national.personnummer, "198112289874"),
        (national.nir, "295109912611193"),
        (national.dni, "12345678Z"),
        (national.dni, "X1234567L"),
        (national.codice_fiscale, "RSSMRA85T10A562S"),
    ],
)
def test_a_valid_number_passes_and_one_wrong_digit_fails(valid, number):
    assert valid(number)
    place = next(place for place in reversed(range(len(number))) if number[place].isdigit())
    if valid is not national.ssn:  # has no check digit
        assert not valid(number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :])


@pytest.mark.parametrize("number", ["000121234", "666121234", "900121234", "123001234", "123120000"])
def test_social_security_numbers_that_are_never_issued_fail(number):
    assert not national.ssn(number)


@pytest.mark.parametrize(
    ("valid", "number"), [(national.cpf, "11111111111"), (national.bsn, "000000000"), (national.pesel, "44133201359")]
)
def test_numbers_that_pass_the_arithmetic_alone_fail(valid, number):
    assert not valid(number)

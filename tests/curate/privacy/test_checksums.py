"""Check digits, by examples that their authorities publish or that others computed."""

import pytest

from fineline.curate.privacy import checksums


@pytest.mark.parametrize(
    ("valid", "number"),
    [
        (checksums.luhn, "4111111111111111"),
        (checksums.mod_97, "GB82WEST12345698765432"),
        (checksums.verhoeff, "2363"),
        (checksums.ssn, "078051120"),
        (checksums.steuer_id, "86095742719"),
        (checksums.steuer_id, "65929970489"),
        (checksums.pesel, "44051401359"),
        (checksums.cpf, "11144477735"),
        (checksums.bsn, "111222333"),
        (checksums.personnummer, "8112289874"),
        (checksums.personnummer, "198112289874"),
        (checksums.nir, "295109912611193"),
        (checksums.dni, "12345678Z"),
        (checksums.dni, "X1234567L"),
        (checksums.codice_fiscale, "RSSMRA85T10A562S"),
    ],
)
def test_a_valid_number_passes_and_one_wrong_digit_fails(valid, number):
    assert valid(number)
    place = next(place for place in reversed(range(len(number))) if number[place].isdigit())
    if valid is not checksums.ssn:  # has no check digit
        assert not valid(number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :])


@pytest.mark.parametrize("number", ["000121234", "666121234", "900121234", "123001234", "123120000"])
def test_social_security_numbers_that_are_never_issued_fail(number):
    assert not checksums.ssn(number)


@pytest.mark.parametrize(
    ("valid", "number"), [(checksums.cpf, "11111111111"), (checksums.bsn, "000000000"), (checksums.pesel, "44133201359")]
)
def test_numbers_that_pass_the_arithmetic_alone_fail(valid, number):
    assert not valid(number)

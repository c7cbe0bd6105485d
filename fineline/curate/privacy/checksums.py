"""Check digits of cards, accounts and national numbers, for digits and capitals without separators."""

from collections import Counter
from datetime import date

_VERHOEFF = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_PERMUTED = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(digit * 2 - 9 * (digit > 4) for digit in digits[1::2])) % 10 == 0


def mod_97(iban: str) -> bool:
    """ISO 7064, MOD 97-10, as ISO 13616 applies it to an IBAN in capitals."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def verhoeff(number: str) -> bool:
    """J. Verhoeff, Error detecting decimal codes, Mathematical Centre Tracts 29, 1969."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = _VERHOEFF[check][_VERHOEFF_PERMUTED[place % 8][int(digit)]]
    return check == 0


def ssn(number: str) -> bool:
    """US social security number: it has no check digit, only ranges that are never issued (SSA, POMS RM 10201.035)."""
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def aadhaar(number: str) -> bool:
    """Indian Aadhaar number (UIDAI): Verhoeff, and the first digit is 2 to 9. Three years in a row are not valid."""
    years = all(number[place : place + 2] in ("19", "20") for place in (0, 4, 8))
    return number[0] not in "01" and not years and verhoeff(number)


def steuer_id(number: str) -> bool:
    """German tax number (section 139b AO): one digit of the first ten occurs twice or thrice; ISO 7064, MOD 11,10."""
    repeated = [times for times in Counter(number[:10]).values() if times > 1]
    if number[0] == "0" or len(repeated) != 1 or repeated[0] > 3:
        return False
    check = 10
    for digit in number[:10]:
        check = ((int(digit) + check) % 10 or 10) * 2 % 11
    return (11 - check) % 10 == int(number[10])


def pesel(number: str) -> bool:
    """Polish PESEL (act of 24 September 2010): date of birth with the century in its month, weights 1 3 7 9."""
    century, month = divmod(int(number[2:4]), 20)
    weighted = sum(int(digit) * weight for digit, weight in zip(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True))
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(number[:2])
    return weighted % 10 == 0 and _is_date(year, month, int(number[4:6]))


def cpf(number: str) -> bool:
    """Brazilian CPF (Receita Federal): two digits modulo 11; eleven equal digits pass the check but are not valid."""
    if len(set(number)) == 1:
        return False
    for length in (9, 10):
        weighted = sum(int(digit) * weight for digit, weight in zip(number, range(length + 1, 1, -1), strict=False))
        if weighted * 10 % 11 % 10 != int(number[length]):
            return False
    return True


def bsn(number: str) -> bool:
    """Dutch burgerservicenummer (Regeling BSN): the test of eleven, with a weight of -1 for the last digit."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return int(number) > 0 and sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True)) % 11 == 0


def personnummer(number: str) -> bool:
    """Swedish personnummer (SKV 704), with or without the century: date of birth (day + 60: samordningsnummer), Luhn."""
    short = number[-10:]
    years = [int(number[:4])] if len(number) == 12 else [1900 + int(short[:2]), 2000 + int(short[:2])]
    day = int(short[4:6]) % 60
    return luhn(short) and 1800 <= years[0] < 2100 and any(_is_date(year, int(short[2:4]), day) for year in years)


def nir(number: str) -> bool:
    """French NIR (INSEE): sex, month, department, and a key modulo 97; Corsica counts 2A as 19 and 2B as 18."""
    month = int(number[3:5])
    digits = number.replace("2A", "19", 1).replace("2B", "18", 1) if not number.isdigit() else number
    known = number[0] in "123478" and (1 <= month <= 12 or 20 <= month <= 42 or month >= 50)
    return known and 97 - int(digits[:13]) % 97 == int(digits[13:])


def dni(number: str) -> bool:
    """Spanish DNI and NIE (Real Decreto 1553/2005): a letter modulo 23; X, Y, Z of a NIE count as 0, 1, 2."""
    digits = number[:-1].translate(str.maketrans("XYZ", "012"))
    return number[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23]


def codice_fiscale(code: str) -> bool:
    """Italian codice fiscale (D.M. 23 December 1976): odd and even places count differently, a letter modulo 26."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    places = [int(character) if character.isdigit() else ord(character) - ord("A") for character in code[:15]]
    return (sum(odd[place] for place in places[::2]) + sum(places[1::2])) % 26 == ord(code[15]) - ord("A")


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        return bool(date(year, month, day))
    except ValueError:
        return False

"""Invented personal data and secrets: drawn at random, with valid check digits, put together at run time."""

import random
import string
from collections.abc import Callable
from ipaddress import IPv4Address

from prose import Prose

CARRIERS = {  # sentences that carry a value
    "email": "Please write to VALUE about the {a} {n}.",
    "url_credentials": "The {a} {n} is at VALUE since {t}.",
    "card": "Charge the card VALUE for the {a} {n}.",
    "iban": "Transfer the {n} of {x} to the account VALUE please.",
    "ssn": "The social security number of {x} is VALUE.",
    "ip": "The {n} in {x} was reached from VALUE {r}.",
    "mac": "The {a} {n} has the hardware address VALUE.",
    "phone": "Call {x} on VALUE when the {n} {s}.",
}


def luhn_digit(digits: str) -> str:
    """The check digit that a payment card's number ends with (ISO/IEC 7812-1)."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def iban(country: str, account: str) -> str:
    """The account number with its check digits (ISO 13616, ISO/IEC 7064 MOD 97-10)."""
    digits = "".join(str(int(character, 36)) for character in f"{account}{country}00")
    return f"{country}{98 - int(digits) % 97:02}{account}"


def _digits(choose: random.Random, count: int) -> str:
    return "".join(choose.choices(string.digits, k=count))


def _letters(choose: random.Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(choose.choices(alphabet, k=count))


def _email(choose: random.Random, prose: Prose) -> str:
    first, last = prose.name().lower(), prose.name().lower()
    return (
        choose.choice([f"{first}.{last}", f"{first}{choose.randrange(100)}", f"{first}+{last}"])
        + f"@{prose.name().lower()}.com"
    )


def _card(choose: random.Random, prose: Prose) -> str:
    digits = choose.choice(["4", "51", "55"])
    digits += _digits(choose, 15 - len(digits))
    digits += luhn_digit(digits)
    return choose.choice(["", " ", "-"]).join(digits[place : place + 4] for place in range(0, 16, 4))


def _iban(choose: random.Random, prose: Prose) -> str:
    country, letters, digits = choose.choice([("DE", 0, 18), ("GB", 4, 14), ("NL", 4, 10), ("FR", 0, 23), ("ES", 0, 20)])
    number = iban(country, _letters(choose, letters, string.ascii_uppercase) + _digits(choose, digits))
    return choose.choice(["", " "]).join(number[place : place + 4] for place in range(0, len(number), 4))


def _ip(choose: random.Random, prose: Prose) -> str:
    while not (address := IPv4Address(choose.getrandbits(32))).is_global or address.is_multicast:
        pass
    return str(address)


def _phone(choose: random.Random, prose: Prose) -> str:
    return choose.choice(
        [
            f"+1 212 {choose.randint(300, 899)} {_digits(choose, 4)}",
            f"+44 20 7{_digits(choose, 3)} {_digits(choose, 4)}",
            f"+49 30 {choose.randint(2, 9)}{_digits(choose, 7)}",
            f"+331{choose.randint(4, 5)}{_digits(choose, 7)}",
        ]
    )


PERSONAL: dict[str, Callable[[random.Random, Prose], str]] = {
    "email": _email,
    "url_credentials": lambda choose, prose: (
        f"https://{prose.name().lower()}:{_letters(choose, 10)}@{prose.name().lower()}.com/login"
    ),
    "card": _card,
    "iban": _iban,
    "ssn": lambda choose, _: f"{choose.randint(100, 665)}-{choose.randint(10, 99)}-{choose.randint(1000, 9999)}",
    "ip": _ip,
    "mac": lambda choose, _: choose.choice(":-").join(f"{choose.randrange(256):02x}" for _ in range(6)),
    "phone": _phone,
}
SECRETS: dict[str, Callable[[random.Random], str]] = {
    "aws_key": lambda choose: "AK" + "IA" + _letters(choose, 16, string.ascii_uppercase + "234567"),
    "github_token": lambda choose: "gh" + "p_" + _letters(choose, 36),
    "hf_token": lambda choose: "h" + "f_" + _letters(choose, 34, string.ascii_letters),
    "private_key": lambda choose: "\n".join(
        ["-----BEGIN RSA " + "PRIVATE KEY-----", *(_letters(choose, 64) for _ in range(4))]
    ),
}

"""Random personal data and secrets that are valid, written in the ways people write them."""

import random
import string
from collections.abc import Callable

from fineline.curate.privacy import accounts

DIGITS, CAPITALS = string.digits, string.ascii_uppercase
TOKEN = string.ascii_letters + string.digits


def text(rng: random.Random, characters: str, length: int) -> str:
    return "".join(rng.choices(characters, k=length))


def grouped(value: str, sizes: tuple[int, ...], separator: str) -> str:
    groups, place = [], 0
    for size in sizes:
        groups.append(value[place : place + size])
        place += size
    return separator.join(group for group in [*groups, value[place:]] if group)


def digit_that(valid: Callable[[str], bool], before: str, after: str = "", choices: str = DIGITS) -> str | None:
    """The value whose one open place makes it valid, found by trying: no formula is shared with the code under test."""
    return next((before + choice + after for choice in choices if valid(before + choice + after)), None)


def payment_card(rng: random.Random) -> str:
    prefix, length, sizes = rng.choice(
        [
            ("4", 16, (4, 4, 4)),
            ("4", 13, (4, 4, 4)),
            ("4", 19, (4, 4, 4, 4)),
            (str(rng.randint(51, 55)), 16, (4, 4, 4)),
            (str(rng.randint(2221, 2720)), 16, (4, 4, 4)),
            (rng.choice(["34", "37"]), 15, (4, 6)),
            (rng.choice(["300", "305", "36", "38"]), 14, (4, 6)),
            (rng.choice(["6011", "644", "65"]), 16, (4, 4, 4)),
            (str(rng.randint(3528, 3589)), 16, (4, 4, 4)),
            ("62", rng.choice([16, 17, 18, 19]), (4, 4, 4, 4)),
            (rng.choice(["5018", "5020", "6304", "6759"]), rng.choice([13, 16, 19]), (4, 4, 4, 4)),
            ("2202", 16, (4, 4, 4)),
        ]
    )
    before = prefix + text(rng, DIGITS, length - len(prefix) - 1)
    number = next(before + digit for digit in DIGITS if luhn_by_hand(before + digit))
    return grouped(number, sizes, rng.choice(["", " ", "-", "\N{NO-BREAK SPACE}"]))


def luhn_by_hand(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        total += int(digit) if place % 2 == 0 else sum(map(int, str(int(digit) * 2)))
    return total % 10 == 0


def account(rng: random.Random) -> str:
    characters = {"[0-9]": DIGITS, "[A-Z]": CAPITALS, "[A-Z0-9]": CAPITALS + DIGITS}
    country = rng.choice(sorted(accounts.STRUCTURES))
    bban = "".join(text(rng, characters[kind], size) for size, kind in accounts.STRUCTURES[country])
    remainder = 0
    for character in bban + country + "00":
        for digit in str(int(character, 36)):
            remainder = (remainder * 10 + int(digit)) % 97
    whole = f"{country}{98 - remainder:02d}{bban}"
    written = grouped(whole, (4,) * 8, rng.choice(["", " ", " ", "\N{NO-BREAK SPACE}", "-"]))
    return written.lower() if rng.random() < 0.2 else written


def national_id(rng: random.Random) -> str:
    from fineline.curate.privacy import national

    def sampled(valid: Callable[[str], bool], candidate: Callable[[], str]) -> str:
        while not valid(value := candidate()):
            pass
        return value

    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(0, 99)
    kind = rng.choice(["ssn", "nino", "dni", "nie", "nir", "steuer", "cf", "pesel", "cpf", "cpf bare", "bsn", "se", "aadhaar"])
    if kind == "ssn":
        return grouped(sampled(national.ssn, lambda: text(rng, DIGITS, 9)), (3, 2), "-")
    if kind == "nino":
        number = f"{rng.choice(['AB', 'JG', 'CE', 'SX'])}{text(rng, DIGITS, 6)}{rng.choice('ABCD')}"
        return grouped(number, (2, 2, 2, 2), rng.choice(["", " "]))
    if kind == "dni":
        digits = text(rng, DIGITS, 8)
        letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23]
        return rng.choice([digits, grouped(digits, (2, 3), ".")]) + rng.choice(["", "-"]) + letter
    if kind == "nie":
        first, digits = rng.choice("XYZ"), text(rng, DIGITS, 7)
        letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(str("XYZ".index(first)) + digits) % 23]
        return rng.choice([f"{first}{digits}{letter}", f"{first}-{digits}-{letter}"])
    if kind == "nir":
        place = rng.choice(["75", "13", "2A", "2B"])
        body = f"{rng.choice('12')}{year:02d}{month:02d}{place}{text(rng, DIGITS, 6)}"
        key = 97 - int(body.replace("2A", "19", 1).replace("2B", "18", 1) if not body.isdigit() else body) % 97
        return grouped(f"{body}{key:02d}", (1, 2, 2, 2, 3, 3), rng.choice(["", " "]))
    if kind == "steuer":
        digits = rng.sample(DIGITS, 9)
        digits.insert(rng.randint(0, 8), rng.choice(digits))
        if digits[0] == "0":
            digits = [str((int(digit) + 1) % 10) for digit in digits]
        number = digit_that(national.steuer_id, "".join(digits)) or "86095742719"
        return rng.choice([grouped(number, (2, 3, 3), " "), f"Steuer-ID: {number}", f"Steueridentifikationsnummer {number}"])
    if kind == "cf":
        born = f"{year:02d}{rng.choice('ABCDEHLMPRST')}{day:02d}"
        code = digit_that(national.codice_fiscale, f"{text(rng, CAPITALS, 6)}{born}H501", choices=CAPITALS) or ""
        return rng.choice([code, code.lower(), grouped(code, (3, 3, 5), " ")])
    if kind == "pesel":
        return f"PESEL {digit_that(national.pesel, f'{year:02d}{month:02d}{day:02d}{text(rng, DIGITS, 4)}')}"
    if kind.startswith("cpf"):
        number = sampled(national.cpf, lambda: text(rng, DIGITS, 11))
        return f"CPF {number}" if kind == "cpf bare" else f"{grouped(number[:9], (3, 3), '.')}-{number[9:]}"
    if kind == "bsn":
        return f"{rng.choice(['BSN', 'Burgerservicenummer:', 'bsn='])} {sampled(national.bsn, lambda: text(rng, DIGITS, 9))}"
    if kind == "se":
        short = digit_that(national.luhn, f"{year:02d}{month:02d}{day:02d}{text(rng, DIGITS, 3)}") or ""
        return rng.choice([grouped(short, (6,), "-"), f"19{short[:6]}-{short[6:]}", f"personnummer {short}"])
    first = rng.choice("23456789") + text(rng, DIGITS, 10)
    return grouped(digit_that(national.verhoeff, first) or "", (4, 4), rng.choice([" ", "-"]))


def email(rng: random.Random) -> str:
    name, family = (
        rng.choice(["anna", "Jürgen", "o'brien", "x", "иван", "mary-jane"]),
        rng.choice(["smith", "garcía", "li", "42"]),
    )
    local = rng.choice([f"{name}.{family}", f"{name}+{family}", f"{name}_{family}", name, f"{name}{rng.randint(1, 99)}"])
    host = rng.choice(["example", "mail", "münchen", "пример", "例子", "xn--mnchen-3ya", "my-company", "163"])
    sub = rng.choice(["", "", "mx1.", "a.b.", "eu-west."])
    return f"{local}@{sub}{host}.{rng.choice(['com', 'co.uk', 'org', 'museum', 'io', 'рф', 'xn--p1ai', 'de'])}"


def phone(rng: random.Random) -> str:
    return rng.choice(
        [
            f"+1 415 {rng.randint(201, 999)} {rng.randint(1000, 9999)}",
            f"+1 (212) {rng.randint(201, 999)}-{rng.randint(1000, 9999)}",
            f"+44 20 7{rng.randint(100, 999)} {rng.randint(1000, 9999)}",
            f"+49 30 {rng.randint(10000000, 99999999)}",
            f"+336{rng.randint(10000000, 99999999)}",
            f"+91 98{rng.randint(100, 999)} {rng.randint(10000, 99999)}",
            f"({rng.choice([212, 415, 312])}) {rng.randint(201, 999)}-{rng.randint(1000, 9999)}",
            f"{rng.choice([212, 415, 312])}-{rng.randint(201, 999)}-{rng.randint(1000, 9999)}",
            f"{rng.choice([212, 415, 312])}.{rng.randint(201, 999)}.{rng.randint(1000, 9999)}",
            f"020 7{rng.randint(100, 999)} {rng.randint(1000, 9999)}",
            f"06 {rng.choice([12, 20, 31, 45])} {rng.randint(10, 99)} {rng.randint(10, 99)} {rng.randint(10, 99)}",
            f"06.{rng.choice([61, 77, 80])}.{rng.randint(10, 99)}.{rng.randint(10, 99)}.{rng.randint(10, 99)}",
            f"0171 {rng.randint(1000000, 9999999)}",
            f"tel: {rng.choice([212, 415, 312])}{rng.randint(201, 999)}{rng.randint(1000, 9999)}",
            f"Teléfono 6{rng.randint(10, 99)} {rng.randint(100, 999)} {rng.randint(100, 999)}",
        ]
    )


def ip_address(rng: random.Random) -> str:
    groups = [f"{rng.randint(1, 0xFFFF):x}" for _ in range(6)]
    return rng.choice(
        [
            ".".join(str(rng.randint(11, 126)) for _ in range(4)),
            f"192.168.{rng.randint(0, 255)}.{rng.randint(0, 255)}",
            f"2001:db8:{':'.join(groups)}",
            f"2001:db8::{groups[0]}:{groups[1]}",
            f"2a00:{groups[0]}::1",
            f"FE80::{groups[0]}:{groups[1]}:{groups[2]}:{groups[3]}".upper(),
        ]
    )


def mac_address(rng: random.Random) -> str:
    digits = text(rng, "0123456789abcdef", 11) + "e"
    pairs = [digits[place : place + 2] for place in range(0, 12, 2)]
    return rng.choice([":".join(pairs), "-".join(pairs).upper(), grouped(digits, (4, 4), ".")])


def url_credentials(rng: random.Random) -> str:
    password = text(rng, TOKEN + "!$*-_.~%", 12) + "a"
    scheme = rng.choice(["https", "postgres", "mongodb+srv", "amqp", "redis", "ftp"])
    name = rng.choice(
        ["access_token", "api_key", "apikey", "sig", "token", "client_secret", "X-Amz-Signature", "key_token", "password"]
    )
    return rng.choice(
        [
            f"{scheme}://admin:{password}@db.example.com:5432/main",
            f"redis://:{password}@cache:6379",
            f"https://svc:{password}@localhost/path",
            f"https://example.com/a?x=1&{name.replace('key_', '')}={text(rng, TOKEN, 24)}&y=2",
            f"https://example.com/cb#access_token={text(rng, TOKEN, 24)}",
        ]
    )


def secret(rng: random.Random) -> str:
    lines = "\n".join(text(rng, TOKEN + "+/", 64) for _ in range(6))
    name = rng.choice(["RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "])
    part = text(rng, TOKEN + "-_", 43)
    return rng.choice(
        [
            f"-----BEGIN {name}PRIVATE KEY-----\n{lines}\nQUJD\n-----END {name}PRIVATE KEY-----",
            f"eyJhbGciOiJIUzI1NiJ9.eyJ{text(rng, TOKEN, 40)}.{part}",
            f"sk-{text(rng, TOKEN, 48)}",
            f"sk-proj-{text(rng, TOKEN + '-_', 60)}A3T",
            f"sk-ant-api03-{text(rng, TOKEN + '-_', 93)}AA",
            f"hf_{text(rng, string.ascii_letters, 34)}",
            f"ghp_{text(rng, TOKEN, 36)}",
            f"github_pat_{text(rng, TOKEN, 22)}_{text(rng, TOKEN, 59)}",
            f"glpat-{text(rng, TOKEN, 20)}",
            f"xoxb-{text(rng, DIGITS, 12)}-{text(rng, DIGITS, 12)}-{text(rng, TOKEN, 24)}",
            f"sk_live_{text(rng, TOKEN, 24)}",
            f"rk_live_{text(rng, TOKEN, 99)}",
            f"AIza{text(rng, TOKEN, 35)}",
            f"AKIA{text(rng, CAPITALS + DIGITS, 16)}",
            f"aws_secret_access_key = {text(rng, TOKEN + '/+', 38)}aB",
            f"npm_{text(rng, TOKEN, 36)}",
            f"pypi-AgEIcHlwaS5vcmc{text(rng, TOKEN, 80)}",
            f"SG.{text(rng, TOKEN, 22)}.{text(rng, TOKEN, 43)}",
            f"https://hooks.slack.com/services/T{text(rng, TOKEN, 8)}/B{text(rng, TOKEN, 8)}/{text(rng, TOKEN, 24)}",
            f"AccountKey={text(rng, TOKEN, 86)}==",
            f"{text(rng, DIGITS, 10)}:{text(rng, TOKEN, 35)}",
            f"{text(rng, '0123456789abcdef', 32)}-us12",
            f"MT{text(rng, TOKEN, 22)}.{text(rng, TOKEN, 6)}.{text(rng, TOKEN, 27)}",
            f"SK{text(rng, '0123456789abcdef', 32)}",
        ]
    )


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "payment_card": payment_card,
    "iban": account,
    "national_id": national_id,
    "email": email,
    "phone": phone,
    "ip_address": ip_address,
    "mac_address": mac_address,
    "url_credentials": url_credentials,
    "secret": secret,
}

"""Text without personal data that is full of what resembles it."""

import json
import random
import uuid
from collections.abc import Callable

WORDS = """
    the of and a to in is was he for it with as his on be at by had not are but from or have an they which one you were all
    she there would their we him been has when who will more no if out so said what up its about into than them can only
    other new some could time these two may then do first any my now such like our over man me even most made after also
""".split()  # noqa: SIM905 - a list of words reads better as words


def prose(rng: random.Random, length: int = 300) -> str:
    """Return about that many characters of English words with a few numbers."""
    written, size = [], 0
    while size < length:
        word = rng.choice(WORDS) if rng.random() > 0.05 else number(rng)
        written.append(word + rng.choice(",.;") if rng.random() < 0.1 else word)
        size += len(written[-1]) + 1
    return " ".join(written)


def number(rng: random.Random) -> str:
    return rng.choice(
        [
            str(rng.randint(1, 99)),
            str(rng.randint(1900, 2030)),
            f"${rng.randint(1, 999)}.{rng.randint(0, 99):02d}",
            f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}",
            f"{rng.randint(1, 9)},{rng.randint(100, 999)}",
        ]
    )


def price(rng: random.Random) -> str:
    few = rng.randint(1, 999)
    return f"costs ${rng.randint(1, 10**6):,}.00, {few}.{rng.randint(100, 999)},50 € or {few} 500 000 kr"


def moment(rng: random.Random) -> str:
    year, month, day = rng.randint(1900, 2030), rng.randint(1, 12), rng.randint(1, 28)
    hour, minute = rng.randint(0, 23), rng.randint(0, 59)
    return rng.choice(
        [
            f"{year}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:07.123456+02:00",
            f"{day:02d}/{month:02d}/{year} {hour:02d}:{minute:02d}",
            f"{day:02d}-{month:02d}-{year} {hour:02d}.{minute:02d}",
            f"{day}.{month}.{year}",
            f"{year}{month:02d}{day:02d}{hour:02d}{minute:02d}",
            f"from {year}–{year + 7}, and {hour:02d}:{minute:02d}-{hour:02d}:59",
        ]
    )


def version(rng: random.Random) -> str:
    forms = [
        "version {}.{}.{}.{}",
        "v{}.{}.{}.{}",
        "x=={}.{}.{}.{}",
        "Chrome/{}.{}.{}.{}",
        "x-{}.{}.{}.{}.tar.gz",
        "§ {}.{}.{}.{}",
    ]
    return rng.choice([*forms, "{}.{}.{}"]).format(*(rng.randint(0, 20) for _ in range(4)))


def isbn(rng: random.Random) -> str:
    nine = "".join(rng.choices("0123456789", k=9))
    tenth = -sum((10 - place) * int(digit) for place, digit in enumerate(nine)) % 11
    ten = nine + ("X" if tenth == 10 else str(tenth))
    return rng.choice([f"ISBN {ten}", f"{ten[0]}-{ten[1:4]}-{ten[4:9]}-{ten[9]}", f"978-{nine[0]}-{nine[1:5]}-{nine[5:]}-4"])


def order(rng: random.Random) -> str:
    return rng.choice(
        [
            f"order {rng.randint(10**6, 10**11)} shipped",
            f"#{rng.randint(10**7, 10**8)}",
            f"ORD-{rng.randint(1000, 9999)}-{rng.randint(1000, 9999)}",
            f"SKU {rng.randint(100, 999)}-{rng.randint(1000, 9999)}-{rng.randint(10, 99)}",
            f"ZIP {rng.randint(10000, 99999)}-{rng.randint(1000, 9999)}",
            f"tracking 1Z{rng.randint(100, 999)}AA{rng.randint(10**9, 10**10)}",
            f"part {rng.randint(10, 99)}.{rng.randint(100, 999)}.{rng.randint(100, 999)}",
        ]
    )


def digest(rng: random.Random) -> str:
    bits = rng.choice([28, 36, 128, 160, 256])
    return rng.choice([f"commit {rng.getrandbits(bits):0{bits // 4}x}", str(uuid.UUID(int=rng.getrandbits(128)))])


def position(rng: random.Random) -> str:
    north, east = rng.uniform(-90, 90), rng.uniform(-180, 180)
    return rng.choice(
        [f"{north:.6f}, {east:.6f}", f"({north:.4f} {east:.4f})", f"POINT({north} {east})", f"{abs(north):.0f}°12'34\"N"]
    )


def record(rng: random.Random) -> str:
    return json.dumps(
        {
            "id": rng.randint(1, 10**9),
            "at": rng.randint(1_600_000_000, 1_800_000_000),
            "milliseconds": rng.randint(1_600_000_000_000, 1_800_000_000_000),
            "loss": rng.random(),
            "weights": [rng.gauss(0, 1) for _ in range(3)],
            "note": "first\nsecond",
        }
    )


def code(rng: random.Random) -> str:
    return rng.choice(
        [
            "@dataclass(frozen=True)\nclass Row:\n    id: str = field(default='x')",
            "@app.route('/users/<int:id>')\ndef get(id): return x @ w.T + b[1::2]",
            "std::vector<int> a{1, 2}; a::b::c(); // see RFC 5322, 3.4.1",
            "assert hash == 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
            "git clone git@github.com:owner/repository.git && npm install react@18.2.0",
            "<img src='logo@2x.png' width=1024 height=768>",
            "curl -H 'Authorization: Bearer $TOKEN' 'https://api.example.com/v1?api_key=YOUR_API_KEY&token=<token>'",
            "DATABASE = f'postgres://{user}:{password}@{host}/db'",
            "for i in range(100000000): x = 0.5772156649015329 * i  # 3.141592653589793",
            "DEFAULT_NUMBER_OF_RETRIES_BEFORE_GIVING_UP = 0xDEADBEEF",
            "listen 127.0.0.1:8080; mask 255.255.255.0; any 0.0.0.0; [::1]:80",
        ]
    )


MAKERS: dict[str, Callable[[random.Random], str]] = {
    maker.__name__: maker for maker in (prose, price, moment, version, isbn, order, digest, position, record, code)
}

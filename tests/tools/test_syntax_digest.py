import pytest

import syntax_digest

SOURCE = '''
"""Averages."""

from fineline.errors import InputError

LIMIT = 0.5


def mean(values: list[float], weight=1.0) -> float:
    """Return the mean."""
    if not values:
        raise InputError(f"{values}: no values; give one")
    found = f"{len(values)} values"
    print(found)
    return weight * sum(values) / len(values)  # arithmetic
'''


def digest(source):
    return syntax_digest.digest(syntax_digest.essence(source))


def changed(old, new):
    assert old in SOURCE
    return digest(SOURCE.replace(old, new)) != digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # arithmetic", "  # the arithmetic one"),
        ('"""Averages."""', '"""Averages of numbers."""'),
        ('"""Return the mean."""', '"""Return the arithmetic mean.\n\n    Raises:\n        InputError: No values.\n    """'),
        ('    """Return the mean."""\n', ""),
        ("list[float]", "Sequence[float]"),
        (") -> float:", "):"),
        ("no values; give one", "expected at least one value"),
        ('f"{values}: no values; give one"', '"no values"'),
        ('f"{len(values)} values"', 'f"{len(values)} numbers"'),
        ("LIMIT = 0.5\n", 'LIMIT: float = 0.5\n"""Share of rows."""\n'),
        (
            "from fineline.errors import InputError",
            "from collections.abc import Sequence\n\nfrom fineline.errors import InputError",
        ),
        ("return weight * sum(values) / len(values)", "return (\n        weight * sum(values)\n    ) / len(values)"),
    ],
)
def test_edits_that_cannot_change_a_result_leave_the_digest(old, new):
    assert not changed(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 0.5", "LIMIT = 0.25"),
        ("weight * sum", "weight + sum"),
        ("weight=1.0", "weight=2.0"),
        ("if not values", "if values"),
        ("raise InputError(", "raise ValueError("),
        ("from fineline.errors import InputError", "from fineline.curate import InputError"),
        ("    print(found)\n", ""),
    ],
)
def test_edits_that_can_change_a_result_change_the_digest(old, new):
    assert changed(old, new)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('x = rows["train"]', 'x = rows["test"]', False),
        ('def f():\n    return "drop"', 'def f():\n    return "keep"', False),
        ('def f():\n    a = "k"\n    print(a)\n    return a', 'def f():\n    a = "l"\n    print(a)\n    return a', False),
        ("class A:\n    x: int = 1", "class A:\n    x: float = 1", False),  # pydantic converts to it
        ("@dataclass\nclass A:\n    x: int = 1", "@dataclass\nclass A:\n    x: float = 1", True),
        ("@dataclass\nclass A:\n    x: int", "@dataclass\nclass A:\n    x: int\n    y: int", False),
        ('f(help="one")', 'f(help="two")', True),
        ('f(name="one")', 'f(name="two")', False),
        ('logger.info("one")', 'logger.info("two")', True),
        ('reports.write("one")', 'reports.write("two")', False),
        ('return_ = DiskError("one")', 'return_ = DiskError("two")', True),
        ('assert x, "one"', 'assert x, "two"', True),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    b = 1", "if TYPE_CHECKING:\n    import c\nelse:\n    b = 1", True),
        ("raise A(1)", "raise A(2)", False),
        ("import a.b\na.b.f()", "import a.c\na.b.f()", False),
        ("from a import b\n__all__ = ['b']", "from c import b\n__all__ = ['b']", False),
    ],
)
def test_strings_and_annotations_count_where_a_program_reads_them(one, other, same):
    assert (digest(one) == digest(other)) == same


def test_imports_for_a_type_checker_are_not_followed():
    source = "if TYPE_CHECKING:\n    from a import b\nfrom c import d, e\n\ndef f(x: e) -> b:\n    import g\n    return d(g)\n"
    assert syntax_digest.imports(syntax_digest.essence(source)) == {"c", "c.d", "g"}

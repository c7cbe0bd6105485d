"""fineline.dagster.paths: what touches what."""

import pytest

from fineline.dagster.paths import Paths


@pytest.mark.parametrize("path", ["a/b", "a", "a/b/c", "a/b/", "a/b/c/d"])
def test_what_is_above_below_or_the_same_touches(path):
    assert Paths(["a/b", "x"]).touch(path)


@pytest.mark.parametrize("path", ["a/bc", "b", "a/c", "ab", "xa", ""])
def test_what_lies_beside_does_not(path):
    assert not Paths(["a/b", "x"]).touch(path)

"""tests.cpu_durations and tests.not_run: what the suite writes after its results."""

import pytest

from tests import cpu_durations

pytest_plugins = ["pytester"]

BUSY = """
import time
import pytest

def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

@pytest.fixture(scope="module")
def shared():
    work(0.2)

def test_cheap(shared):
    pass

def test_expensive():
    work(0.1)

@pytest.mark.slow
def test_of_another_tier():
    work(0.1)
"""


@pytest.fixture
def output(pytester):
    """Runs the tests of a file with both plugins; returns the lines that are written."""
    pytester.makeini("[pytest]\nmarkers = slow: another tier")

    def run(source, *arguments):
        pytester.makepyfile(source)
        plugins = ("-p", "no:hydra_pytest", "-p", "tests.cpu_durations", "-p", "tests.not_run")
        return pytester.runpytest_inprocess(*plugins, *arguments).outlines

    return run


def test_a_shared_fixture_is_listed_apart_from_the_test_that_asks_for_it_first(output):
    lines = output(BUSY, "--cpu-durations=3")
    listed = [line.split()[-1].split("::")[-1] for line in lines if line.startswith("    0.")]
    assert listed[0] == "shared"
    assert set(listed[1:]) == {"test_expensive", "test_of_another_tier"}


def test_tests_above_the_cap_are_listed_unless_they_are_of_another_tier(output, monkeypatch):
    assert not [line for line in output(BUSY) if "above the cap" in line]
    with monkeypatch.context() as patch:
        patch.setattr(cpu_durations, "CAP", 0.05)
        lines = output(BUSY)
    (title,) = [place for place, line in enumerate(lines) if "above the cap" in line]
    assert lines[title + 1].endswith("::test_expensive")
    assert "::" not in lines[title + 2]


def test_one_line_names_what_was_not_run_and_why(output):
    skipped = "import pytest\n\n"
    for name in ("one", "two"):
        skipped += f"@pytest.mark.skipif(True, reason='no Chromium is installed')\ndef test_{name}(): pass\n\n"
    lines = output(skipped + "def test_three(): pytest.skip('no Postgres is installed')\n")
    assert "not run: no Chromium is installed (2 tests); no Postgres is installed (1 test)" in lines

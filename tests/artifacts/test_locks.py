"""fineline.artifacts.locks: one holder at a time, and none after its process has ended."""

import subprocess
import sys
import threading
import time

import pytest

from fineline.artifacts import locks

HOLDER = """
import sys, time
from pathlib import Path
from fineline.artifacts import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def file(tmp_path):
    """A lock file in a directory that does not exist yet."""
    return tmp_path / "locks" / "train@home-en"


@pytest.fixture
def holder(file):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_free_lock_is_taken_without_waiting(file):
    with locks.hold(file, lambda: pytest.fail("the lock is free")):
        pass
    with locks.try_hold(file) as held:
        assert held


def test_a_taken_lock_fails_at_once(file, holder):
    with locks.try_hold(file) as held:
        assert not held


def test_waiting_is_reported_once_and_ends_when_the_holder_is_killed(file, holder):
    waits = []
    threading.Timer(0.7, holder.kill).start()
    began = time.monotonic()
    with locks.hold(file, lambda: waits.append(time.monotonic())):
        assert time.monotonic() - began > 0.5
    assert len(waits) == 1


def test_the_lock_is_released_after_an_exception(file):
    with pytest.raises(RuntimeError), locks.hold(file):
        raise RuntimeError
    with locks.try_hold(file) as held:
        assert held


def test_an_acquired_lock_lasts_until_it_is_closed(file):
    stream = locks.acquire(file)
    with locks.try_hold(file) as held:
        assert not held
    stream.close()
    with locks.try_hold(file) as held:
        assert held

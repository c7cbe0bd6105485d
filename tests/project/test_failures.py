"""A full disk and files of another user are errors with a remedy, not tracebacks."""

import contextlib
import errno
import os
import sqlite3
import sys
import tempfile
from pathlib import Path

import pytest

from fineline.errors import FinelineError, InputError
from fineline.project import failures, root
from tests import in_process


def raised(act):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        act()
    return caught.value


def write_to_full_disk():
    full = os.open("/dev/full", os.O_WRONLY)  # never by a function that may replace its target: it is a device
    try:
        os.write(full, b"x")
    finally:
        os.close(full)


def test_a_full_disk_names_a_place_and_a_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = failures.explained(raised(write_to_full_disk))
    assert (type(found), str(found)) == (FinelineError, f"{tmp_path}: no space left; free some, then run the command again")


def test_a_library_that_names_no_number_is_understood():
    rust = Exception("Error while serializing: I/O error: No space left on device (os error 28)")
    assert "no space left" in str(failures.explained(rust))
    assert "no space left" in str(failures.explained(sqlite3.OperationalError("database or disk is full")))


def test_the_cause_of_another_error_is_found():
    def act():
        try:
            write_to_full_disk()
        except OSError:
            raise RuntimeError("the model was not saved") from None

    assert "no space left" in str(failures.explained(raised(act)))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_of_another_user_is_named(number):
    found = failures.explained(OSError(number, os.strerror(number), "models/bases/tiny"))
    assert isinstance(found, InputError)
    assert str(found).startswith("models/bases/tiny: ")


def test_a_defect_is_not_explained():
    assert failures.explained(OSError(errno.EBADF, "Bad file descriptor")) is None
    assert failures.explained(FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None
    assert failures.explained(ValueError("x")) is None


def test_a_stage_on_a_full_disk_ends_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "home"])
    with pytest.raises(SystemExit) as ended:
        root.command(lambda name: write_to_full_disk())
    assert ended.value.code == 1
    assert ": no space left; free some" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_command_of_another_user_names_the_file():
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        Path(name).chmod(0o755)
        for file in ("params.yaml", "fineline.lock"):
            Path(file).write_text("{}", encoding="utf-8")
        Path("fineline.lock").chmod(0o644)
        Path("params.yaml").chmod(0o600)
        in_process.fineline("status")  # imports what the other user may not read
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.setresuid(65534, 65534, 65534)
                answer = in_process.fineline("status")
                os.write(writing, f"{answer.returncode} {answer.stderr}".encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with os.fdopen(reading) as answer:
            assert answer.read().startswith("2 error: params.yaml: cannot be read: Permission denied")

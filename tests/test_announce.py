"""What `make demo` says before it downloads anything."""

import shutil
from collections import namedtuple

from tools import announce


def test_sizes_are_printed_before_anything_is_downloaded(tmp_path, capsys):
    assert announce.main(str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "Downloads about 3.1 GB and writes 8.1 GB" in shown
    assert "continues where it stopped" in shown


def test_what_is_there_is_not_counted(tmp_path, capsys):
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").touch()
    for directory in announce.RESULTS:
        (tmp_path / directory).mkdir(parents=True)
    assert announce.main(str(tmp_path)) == 0
    assert "Downloads" not in capsys.readouterr().out


def test_a_full_disk_stops_it(tmp_path, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**9, 10**9))
    assert announce.main(str(tmp_path)) == 2
    assert "8.1 GB are needed here and 1.0 GB are free; free some space" in capsys.readouterr().err


def test_an_old_python_stops_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.version_info", (3, 10, 4))
    assert announce.main(str(tmp_path)) == 2
    assert "Python 3.10 is too old: fineline needs 3.11 or newer; make demo PYTHON=python3.11" in capsys.readouterr().err

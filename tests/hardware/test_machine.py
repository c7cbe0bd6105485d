"""Memory of the machine and of the container that a process is in."""

import pytest

from fineline.hardware import device, machine

GIB = 2**30


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A control group of version 2 around this process."""
    inside = tmp_path / "outer" / "inner"
    inside.mkdir(parents=True)
    (tmp_path / "membership").write_text("0::/outer/inner\n")
    (tmp_path / "meminfo").write_text(f"MemTotal: {64 * 2**20} kB\nMemAvailable: {48 * 2**20} kB\n")
    for name, place in (("_CGROUPS", tmp_path), ("_MEMBERSHIP", tmp_path / "membership"), ("_MEMINFO", tmp_path / "meminfo")):
        monkeypatch.setattr(machine, name, place)
    return inside


def test_the_tightest_control_group_around_the_process_counts(container):
    (container / "memory.max").write_text("max\n")
    assert machine.free() == 48 * GIB
    (container.parent / "memory.max").write_text(f"{2 * GIB}\n")
    assert machine.total() == device.named("cpu").memory_bytes == 2 * GIB
    assert machine.free() == 2 * GIB
    (container / "memory.max").write_text(f"{GIB}\n")
    assert machine.total() == GIB


def test_what_is_used_is_not_free_but_cached_files_are(container):
    (container / "memory.max").write_text(f"{4 * GIB}\n")
    (container / "memory.current").write_text(f"{3 * GIB}\n")
    assert machine.free() == GIB
    (container / "memory.stat").write_text(f"anon {GIB}\ninactive_file {2 * GIB}\n")
    assert machine.free() == 3 * GIB
    (container / "memory.current").write_text(f"{9 * GIB}\n")
    assert machine.free() == 0


def test_version_one_of_control_groups_is_read_too(container, tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{8 * GIB}\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text(f"{GIB}\n")
    assert (machine.total(), machine.free()) == (8 * GIB, 7 * GIB)


def test_a_machine_that_does_not_report_free_memory(container, tmp_path):
    (tmp_path / "meminfo").unlink()
    assert machine.free() is None

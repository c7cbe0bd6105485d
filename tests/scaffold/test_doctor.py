"""What `fineline doctor` says of the place where Dagster keeps what it knows."""

import shutil
from pathlib import Path

import pytest

from fineline.scaffold import doctor

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("settings", [".dagster/dagster.yaml", "deploy/dagster.yaml"])
def test_a_home_with_the_project_s_settings(tmp_path, monkeypatch, settings):
    shutil.copy(ROOT / settings, tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert doctor._dagster_home() == doctor.Finding("DAGSTER_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place, "not as .dagster/dagster.yaml or deploy/dagster.yaml, so a killed run keeps the device"),
        (lambda place: place / "none", "no directory; make it"),
        (lambda place: Path("/proc"), "/proc: cannot be written to"),
    ],
    ids=["other settings", "missing", "not writable"],
)
def test_a_home_that_will_not_do(tmp_path, monkeypatch, make, said):
    monkeypatch.setenv("DAGSTER_HOME", str(make(tmp_path)))
    found = doctor._dagster_home()
    assert not found.holds
    assert said in found.state


def test_without_one_nothing_is_wrong_but_told(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert doctor._dagster_home().holds
    assert "`make ui` sets it" in doctor._dagster_home().state

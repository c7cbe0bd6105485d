"""The packages: pins, digests and dependencies of the lock file, and what is installed."""

from importlib import metadata
from pathlib import Path

import pytest

from fineline.documents.packages import lock_text, parse
from fineline.errors import InputError
from tests.documents.conftest import LOCKED


def test_every_pin_has_its_digests_marker_and_dependants() -> None:
    alpha, beta = parse(LOCKED)
    assert (alpha.name, alpha.version, alpha.hashes) == ("alpha", "1.2", ("a" * 64, "b" * 64))
    assert alpha.needed_by == ("beta-two",)
    assert alpha.is_direct
    assert beta.purl == "pkg:pypi/beta-two@0.3"
    assert beta.marker == "sys_platform == 'linux'"


def test_a_local_version_is_quoted_in_the_package_url() -> None:
    assert parse("torch==2.1+cpu \\\n    --hash=sha256:" + "0" * 64)[0].purl == "pkg:pypi/torch@2.1%2Bcpu"


@pytest.mark.parametrize("lock", ["", "# nothing\n", "alpha>=1\n"])
def test_a_lock_file_without_a_pin_is_refused(lock: str) -> None:
    with pytest.raises(InputError, match="has no pinned package"):
        parse(lock)


def test_the_projects_own_lock_file_is_read_whole() -> None:
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8")
    packages = parse(lock)
    pins = [line for line in lock.splitlines() if line[:1].isalnum() and "==" in line]
    assert len(packages) == len(pins)
    assert all(package.hashes for package in packages)
    assert sum(len(package.hashes) for package in packages) == lock.count("--hash=sha256:")
    assert any(package.name == "torch" and package.is_direct for package in packages)


def test_the_installed_packages_are_those_that_run_and_not_those_that_test() -> None:
    found = {package.name: package for package in parse(lock_text())}
    assert {"torch", "transformers", "dvc", "hydra-core", "sympy"} <= found.keys()
    assert found.keys().isdisjoint({"fineline", "moto", "mypy", "playwright", "pytest"})
    assert found["torch"].version == metadata.version("torch")
    assert found["torch"].is_direct
    assert not found["sympy"].is_direct
    assert "torch" in found["sympy"].needed_by
    assert "evaluate" in found["lm-eval"].needed_by or "lm-eval" in found["transformers"].needed_by  # of its extra `hf`

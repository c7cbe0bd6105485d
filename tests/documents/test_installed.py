"""fineline.documents.installed: what runs, not what tests."""

from importlib import metadata

from fineline.documents.installed import lock_text
from fineline.documents.packages import parse


def test_it_lists_what_runs_and_not_what_tests():
    found = {package.name: package for package in parse(lock_text())}
    assert {"torch", "transformers", "dvc", "hydra-core", "sympy"} <= found.keys()
    assert found.keys().isdisjoint({"fineline", "moto", "mypy", "playwright", "pytest"})
    assert found["torch"].version == metadata.version("torch")
    assert found["torch"].is_direct
    assert not found["sympy"].is_direct
    assert "torch" in found["sympy"].needed_by
    assert "evaluate" in found["lm-eval"].needed_by or "lm-eval" in found["transformers"].needed_by  # of its extra `hf`

"""The small bases of the adapters' tests."""

from tests.adapters.conftest import bases, biased_base, one_thread

__all__ = ["bases", "biased_base", "one_thread"]

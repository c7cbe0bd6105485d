"""The small bases that adapters of every method are trained on."""

from tests.adapters.conftest import bases, biased_base

__all__ = ["bases", "biased_base"]

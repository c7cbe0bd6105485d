"""Shapes of published models."""

from tests.models.conftest import llama_2_7b, llama_31_8b, llama_65b, tiny_shape

__all__ = ["llama_2_7b", "llama_31_8b", "llama_65b", "tiny_shape"]

"""Shapes of published models."""

import pytest

from fineline.models import shape
from fineline.models.shape import Shape
from tests.models.shapes import LLAMA_2_7B, LLAMA_31_8B, LLAMA_65B, write_config


@pytest.fixture(scope="session")
def llama_2_7b(tmp_path_factory) -> Shape:
    return shape.of_model(write_config(tmp_path_factory.mktemp("llama-2-7b"), LLAMA_2_7B))


@pytest.fixture(scope="session")
def llama_31_8b(tmp_path_factory) -> Shape:
    return shape.of_model(write_config(tmp_path_factory.mktemp("llama-3.1-8b"), LLAMA_31_8B))


@pytest.fixture(scope="session")
def llama_65b(tmp_path_factory) -> Shape:
    return shape.of_model(write_config(tmp_path_factory.mktemp("llama-65b"), LLAMA_65B))


@pytest.fixture(scope="session")
def tiny_shape(tiny_base) -> Shape:
    return shape.of_model(tiny_base)

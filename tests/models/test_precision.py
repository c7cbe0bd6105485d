"""The precision of matrix products."""

import pytest
import torch

from fineline.models import config


@pytest.mark.parametrize(("name", "expected"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_within_the_context_products_are_of_that_type(name, expected):
    weight = torch.ones(2, 2)
    with config.autocast(name, "cpu"):
        assert (weight @ weight).dtype == config.dtype(name) == expected

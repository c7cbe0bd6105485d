"""What a machine computes in, and that it is kept to."""

import pytest
import torch

from fineline.models import precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False}, "fp32"),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, "bf16"),
        ({"architecture": "aarch64", "neon": True, "bf16": False, "sve_max_length": 16}, "fp32"),
    ],
)
def test_a_processor_multiplies_bf16_only_where_it_has_instructions_for_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert precision.native("cpu") == expected


def test_an_accelerator_multiplies_bf16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert precision.native("cuda") == "bf16"


@pytest.mark.parametrize(("name", "expected"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_within_the_context_products_are_of_that_type(name, expected):
    weight = torch.ones(2, 2)
    with precision.autocast(name, "cpu"):
        assert (weight @ weight).dtype == precision.dtype(name) == expected

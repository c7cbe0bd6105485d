"""The table of devices, and this machine."""

import pytest
import torch

from fineline.errors import InputError
from fineline.hardware import device
from fineline.hardware.accelerators import ACCELERATORS, reported_as


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("NVIDIA GeForce RTX 3060", "rtx3060-12gb"),
        ("NVIDIA GeForce RTX 3090", "rtx3090"),
        ("NVIDIA GeForce RTX 4060 Ti", "rtx4060ti-16gb"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA RTX 6000 Ada Generation", "rtx6000-ada"),
        ("NVIDIA RTX A6000", "rtx-a6000"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-32GB", "v100-32gb"),
        ("NVIDIA A10", "a10"),
        ("NVIDIA A10G", "a10g"),
        ("NVIDIA A100-SXM4-40GB", "a100-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA B200", "b200"),
        ("AMD Instinct MI300X", "mi300x"),
        ("Some other card", None),
    ],
)
def test_accelerators_are_recognized_by_the_name_that_torch_reports(reported, name):
    found = reported_as(reported)
    assert (found and found.name) == name


def test_the_figures_are_plausible_dense_rates():
    assert ACCELERATORS["rtx4090"].bf16_tflops == 165.2
    assert ACCELERATORS["h100"].bf16_tflops == 989
    assert ACCELERATORS["a100-80gb"].bf16_tflops == 312
    for card in ACCELERATORS.values():
        assert 10 <= card.memory_gib <= 300
        assert 0.05 <= card.bf16_tflops / card.watts <= 3, card.name  # 10^12 operations a second per watt
        assert card.fp32_tflops <= card.bf16_tflops, card.name
        assert 10 <= card.bf16_tflops * 1000 / card.bandwidth <= 450, card.name  # operations per byte


@pytest.mark.parametrize("name", ["t4", "v100-16gb", "v100-32gb"])
def test_cards_without_bf16_say_so(name):
    assert "no bf16 tensor cores" in device.named(name).note


def test_an_unknown_device_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown device 'rtx409'; did you mean 'rtx4090'\?"):
        device.named("rtx409")


def test_this_machine_is_measured_once():
    found = device.detect()
    assert found == device.detect()
    assert min(found.tflops.values()) > 0
    assert found.tflops.keys() == {"bf16", "fp32"}
    assert found.memory_bytes > 2**30


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
    assert device.native("cpu") == expected


def test_an_accelerator_multiplies_bf16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert device.native("cuda") == "bf16"

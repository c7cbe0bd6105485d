"""Small bases, and every case trained on one of them, once."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.adapters.cases import CASES, Trained, train
from tests.conftest import ENVIRONMENT, ROOT
from tests.models.conftest import llama_2_7b

__all__ = ["llama_2_7b"]


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a model so small wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def biased_base(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A two-layer Qwen2, whose queries, keys and values have biases, with the tiny base's tokenizer."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    directory = tmp_path_factory.mktemp("biased-base")
    for file in tiny_base.glob("*token*"):
        shutil.copy(file, directory)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=384,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = Qwen2ForCausalLM(config)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.3)
    model.to(torch.bfloat16).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def bases(tiny_base: Path, biased_base: Path) -> dict[str, Path]:
    return {"plain": tiny_base, "biased": biased_base}


@pytest.fixture(scope="package")
def trained(one_thread: None, bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """Name of a case -> the case, trained and saved."""
    saved = tmp_path_factory.mktemp("adapters")
    return {name: train(case, bases[case.base], saved / name) for name, case in CASES.items()}


@pytest.fixture(scope="package")
def fresh_logits(trained: dict[str, Trained], tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """Name of a case -> logits of the saved adapter, computed by a separate process."""
    out = tmp_path_factory.mktemp("fresh") / "logits.safetensors"
    command = [sys.executable, "-m", "tests.adapters.fresh", str(out)]
    for name, case in trained.items():
        command += [name, str(case.directory), str(case.base)]
    answer = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return load_file(out)

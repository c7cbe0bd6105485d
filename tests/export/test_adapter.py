"""The format `adapter`: made with the others, compared with the merged model, opened on its base."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fineline import adapters, artifacts
from fineline.adapters import methods
from fineline.chat.settings import ChatSettings
from fineline.errors import InputError
from fineline.export import formats, low_rank
from fineline.export.adapter import Adapter
from fineline.export.conversion import Conversion
from fineline.export.format import Sources
from fineline.export.safetensors import Safetensors
from fineline.export.trained import TrainedAdapter
from fineline.inference import probe
from fineline.merge.weights import write
from fineline.project.params.exporting import Export
from tests.adapters.cases import CASES, batch, loaded_base, logits, train

TOKENS = [row[row != 2].tolist() for row in batch()["input_ids"]]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process would import PyTorch first."""

    def here(model: Path, tokens: Sequence[Sequence[int]], how: probe.Loading = probe.PLAIN) -> Iterator[np.ndarray]:
        return probe.torch_logits(probe.loaded(model, how), tokens)

    monkeypatch.setattr(probe, "fresh_logits", here)
    monkeypatch.setattr(low_rank, "build", lambda *given: BUILD(*given, here))


BUILD = low_rank.build


def sources(name: str, base: Path, place: Path) -> Sources:
    """A case of tests.adapters, trained and merged."""
    case = CASES[name]
    train(case, base, place / "trained")
    (place / "merged").mkdir()
    trained_with = case.train.model_dump()
    model = adapters.load(loaded_base(case, base), place / "trained")
    write(base, model, place / "merged", methods.method_of(trained_with), "bf16")
    return Sources(
        merged=place / "merged",
        trained=TrainedAdapter(base, place / "trained", trained_with, "tiny", {}),
        settings=Export(),
        chat=ChatSettings(),
        tokens=TOKENS,
    )


def converted(found: Sources, place: Path, *made: Any) -> Conversion:
    directories = {one.released: place / one.released for one in made}
    for directory in directories.values():
        directory.mkdir()
    conversion = Conversion(found, made, directories)
    conversion.run(TOKENS)
    return conversion


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_the_adapter_is_compared_with_the_merged_model_on_the_published_base(
    name: str, tiny_base: Path, tmp_path: Path
) -> None:
    one = converted(sources(name, tiny_base, tmp_path), tmp_path, Safetensors(), Adapter())
    assert one.failures == {}
    facts = one.facts["adapter"]
    assert facts["parity"]["passed"]
    assert facts["parity"]["mean_kl"] < 1e-6
    assert (facts["rank"], facts["exact"], facts["base"]) == (8, True, {"name": "tiny", "revision": None})
    assert facts["bytes"] == (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert facts["tokens_per_second"] > 0
    others = 1e-3 if name == "qlora" else 0  # the merged model contains the four-bit weights
    assert others / 100 <= facts["mean_kl"] < max(others * 100, 1e-3)


def test_a_method_without_a_canonical_form_fails_alone(tiny_base: Path, tmp_path: Path) -> None:
    one = converted(sources("full", tiny_base, tmp_path), tmp_path, Safetensors(), Adapter())
    assert "safetensors" not in one.failures
    assert isinstance(one.failures["adapter"], InputError)
    assert "export the merged model" in one.facts["adapter"]["failed"]


def test_plan_and_params_know_the_format(tiny_base: Path) -> None:
    assert "adapter" in Export(formats=["adapter"]).formats
    assert formats.FORMATS["adapter"].refusal(tiny_base, Export(), "dora") is None
    assert formats.FORMATS["adapter"].refusal(tiny_base, Export(), None) is None
    refusal = formats.FORMATS["adapter"].refusal(tiny_base, Export(), "bitfit")
    assert refusal is not None
    assert "biases" in refusal.reason
    assert "safetensors" in refusal.instead


def test_it_is_judged_on_its_base(tiny_base: Path, tmp_path: Path) -> None:
    found = sources("lora", tiny_base, tmp_path)
    made = converted(found, tmp_path, Adapter())
    base = tmp_path / "base"
    with artifacts.create(base, kind="base", name="tiny", stage="base", parameters={}) as directory:
        for file in tiny_base.iterdir():
            (directory / file.name).write_bytes(file.read_bytes())
    runtime = Adapter().runtime(made.directories["adapter"], base)
    assert runtime.identity == {"precision": "bf16", "base": artifacts.read(base).digest}
    with runtime.engine() as engine:
        trained = adapters.load(loaded_base(CASES["lora"], tiny_base), found.trained.adapter)
        torch.testing.assert_close(logits(engine.model), logits(trained), atol=1e-2, rtol=1e-2)
    assert Adapter().chat_files(made.directories["adapter"], found.merged) == made.directories["adapter"]
    config = json.loads((made.directories["adapter"] / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "chat_template" in config

"""The canonical form of each method's adapters: exact where it can be, else the nearest, and refused with the reason."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fineline import adapters
from fineline.adapters.factors import Factors, compressed, nearest
from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.export import canonical, low_rank
from fineline.export.trained import TrainedAdapter
from fineline.inference import probe
from fineline.models import loading
from tests.adapters.cases import CASES, batch, loaded_base, train

TOKENS = [row[row != 2].tolist() for row in batch()["input_ids"]]
EXACT = (
    "lora", "lora-attention", "lora-named", "lora-pissa", "lora-eva", "qlora", "qlora-fp4", "qlora-pissa", "qlora-loftq",
    "rslora", "rslora-pissa", "vera",
)  # fmt: skip


def here(model: Path, tokens: Any, how: probe.Loading) -> Any:
    """What a new process computes, in this one: it would import PyTorch first."""
    return probe.torch_logits(probe.loaded(model, how), tokens)


def build(source: TrainedAdapter, into: Path) -> low_rank.Converted:
    into.mkdir(exist_ok=True)
    return low_rank.build(source, into, TOKENS, here)


def made(name: str, bases: dict[str, Path], directory: Path, **origin: Any) -> TrainedAdapter:
    """A case of tests.adapters, trained, as the source of an export."""
    case = CASES[name]
    train(case, bases[case.base], directory)
    return TrainedAdapter(bases[case.base], directory, case.train.model_dump(), "tiny", origin)


@pytest.mark.parametrize("name", EXACT)
def test_low_rank_methods_are_converted_exactly(name: str, bases: dict[str, Path], tmp_path: Path) -> None:
    source, into = made(name, bases, tmp_path / "trained"), tmp_path / "canonical"
    found = build(source, into)
    assert found.exact
    assert found.agreement.mean_kl < 1e-6
    config = json.loads((into / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["lora_alpha"] == config["r"] == found.rank in canonical.RANKS
    assert not config["use_rslora"]
    assert config["init_lora_weights"] is True
    assert isinstance(config["target_modules"], list)


def test_files_are_measured_in_a_new_process(bases: dict[str, Path], tmp_path: Path) -> None:
    source, into = made("qlora-fp4", bases, tmp_path / "trained"), tmp_path / "canonical"
    into.mkdir()
    one, other = low_rank.build(source, into, TOKENS[:1]), low_rank.build(source, into, TOKENS[:1], here)
    assert one.agreement.mean_kl == pytest.approx(other.agreement.mean_kl, abs=1e-7)
    assert one.rank == other.rank == 8


@pytest.mark.parametrize("name", ["dora", "qdora", "ia3"])
def test_methods_of_full_rank_are_approximated_within_the_bound(
    name: str,
    bases: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, into = made(name, bases, tmp_path / "trained"), tmp_path / "canonical"
    found = build(source, into)
    assert not found.exact
    assert found.agreement.mean_kl <= low_rank.LARGEST_APPROXIMATE_KL
    assert found.rank in canonical.RANKS
    assert all(
        len(tensor) == found.rank for key, tensor in load_file(into / "adapter_model.safetensors").items() if "_A." in key
    )
    monkeypatch.setattr(canonical, "RANKS", (8,))  # the weights have 64 rows, so that 8 components cannot be exact
    monkeypatch.setattr(low_rank, "LARGEST_APPROXIMATE_KL", 1e-12)
    with pytest.raises(InputError, match=r"no LoRA adapter of an accepted rank.* export the merged model"):
        build(source, into)


def test_the_smallest_rank_that_is_near_enough_is_taken(bases: dict[str, Path], tmp_path: Path) -> None:
    source = made("dora", bases, tmp_path / "trained")
    model = adapters.load(loaded_base(CASES["dora"], source.base), source.adapter)
    near = canonical.nearest_factors(model, METHODS["dora"])
    asked: list[int] = []

    def write(factors: Any) -> Any:
        asked.append(canonical.rank_of(factors))
        kl = 1e-9 if asked[-1] >= 32 else 1.0
        return low_rank.Fidelity(1, kl, 1, 1, 0, 0)

    rank, found = low_rank._smallest(near, write, "dora")
    assert (rank, found.mean_kl) == (32, 1e-9)
    assert asked[-1] == 32, "the files on disk are of another rank than the one that was chosen"


def test_biases_that_an_adapter_rescales_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    source = made("ia3-biased", bases, tmp_path / "trained")
    with pytest.raises(InputError, match=r"it changes .*bias, which is not the weight of a linear layer"):
        build(source, tmp_path)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_has_an_answer_before_training(name: str) -> None:
    reason = canonical.refusal(METHODS[name])
    assert bool(reason) == (name in {"full", "bitfit", "bottleneck", "prefix", "prompt", "p-tuning"})
    if reason:
        assert reason[1].startswith(("export the merged model", "serve it with"))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"modules_to_save": ["embed_tokens"]}, "embed_tokens"),
        ({"bias": "all"}, "biases"),
        ({"lora_bias": True}, "biases"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4"),
        ({"trainable_token_indices": [7]}, "embedding"),
        ({"target_parameters": ["experts.gate_up_proj"]}, "experts"),
        ({"alora_invocation_tokens": [5]}, "some tokens"),
        ({"layer_replication": [[0, 2]]}, "repeats"),
    ],
)
def test_a_configuration_that_servers_cannot_follow_is_refused(changed: dict[str, Any], named: str) -> None:
    canonical.check({"peft_type": "LORA", "init_lora_weights": True, "bias": "none"})
    canonical.check({"peft_type": "LORA", "init_lora_weights": "eva"})
    with pytest.raises(InputError, match=f"no canonical form.*{named}.*export the merged model"):
        canonical.check({"peft_type": "LORA", **changed})


def test_patterns_of_ranks_and_alphas_become_one_rank(tiny_base: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=4,
        lora_alpha=3,
        use_rslora=True,
        target_modules=["q_proj", "down_proj"],
        rank_pattern={"layers.0.self_attn.q_proj": 12},
        alpha_pattern={"down_proj": 7},
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(3)
    model = get_peft_model(loading.base_model(tiny_base, precision="fp32"), config)
    adapters.save(model, tmp_path / "trained")
    source = TrainedAdapter(tiny_base, tmp_path / "trained", {"method": "rslora", "precision": "fp32"}, "tiny", {})
    found = build(source, tmp_path / "canonical")
    assert found.rank == 16
    assert found.agreement.mean_kl < 1e-6
    before = load_file(tmp_path / "trained" / "adapter_model.safetensors")
    after = load_file(tmp_path / "canonical" / "adapter_model.safetensors")
    layer = "base_model.model.model.layers.1.mlp.down_proj.lora_"
    expected = 7 / math.sqrt(4) * before[f"{layer}B.weight"] @ before[f"{layer}A.weight"]
    torch.testing.assert_close(after[f"{layer}B.weight"] @ after[f"{layer}A.weight"], expected)


def test_layers_are_named_so_that_no_other_layer_is_adapted(tiny_base: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["q_proj"], layers_to_transform=[1], init_lora_weights=False, task_type="CAUSAL_LM")
    adapters.save(get_peft_model(loading.base_model(tiny_base, precision="fp32"), config), tmp_path / "trained")
    source = TrainedAdapter(tiny_base, tmp_path / "trained", {"method": "lora", "precision": "fp32"}, "tiny", {})
    assert build(source, tmp_path / "canonical").agreement.mean_kl < 1e-6
    written = json.loads((tmp_path / "canonical" / "adapter_config.json").read_text(encoding="utf-8"))
    assert written["target_modules"] == ["1.self_attn.q_proj"]


def test_the_base_is_named_by_repository_and_commit_if_its_weights_are_there(tiny_base: Path, tmp_path: Path) -> None:
    hub = {"hub": {"repo": "Org/Model", "revision": "a" * 40}}

    def source(**origin: Any) -> TrainedAdapter:
        return TrainedAdapter(tiny_base, tmp_path, {}, "tiny", origin)

    assert source(**hub).repository == ("Org/Model", "a" * 40)
    assert source(**hub, changes={"files": ["chat_template.jinja"]}).repository == ("Org/Model", "a" * 40)
    assert source(**hub, changes={"dequantized": {}}).repository is None
    assert source(**hub, changes={"resized": {}}).repository is None
    assert source(**hub, onto={"path": "x"}).repository is None
    assert source(wheel={"package": "p"}).repository is None
    assert source().repository is None


@pytest.mark.parametrize("published", [True, False])
def test_a_tokenizer_that_the_repository_lacks_is_next_to_the_adapter(
    published: bool,
    bases: dict[str, Path],
    tmp_path: Path,
) -> None:
    origin = {"hub": {"repo": "Org/Model", "revision": "a" * 40}} if published else {}
    source, into = made("lora", bases, tmp_path / "trained", **origin), tmp_path / "canonical"
    build(source, into)
    config = json.loads((into / "adapter_config.json").read_text(encoding="utf-8"))
    named = (config["base_model_name_or_path"], config["revision"])
    assert named == (("Org/Model", "a" * 40) if published else ("tiny", None))
    assert (into / "tokenizer.json").exists() is not published
    assert not list(into.glob("model*"))


def test_a_canonical_adapter_that_computes_something_else_is_noticed(
    bases: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = made("lora", bases, tmp_path / "trained")
    write = canonical.write

    def broken(factors: Any, *others: Any) -> None:
        write({name: Factors(layer.a, 1.5 * layer.b) for name, layer in factors.items()}, *others)

    monkeypatch.setattr(canonical, "write", broken)
    with pytest.raises(low_rank.FinelineError, match="does not compute what the trained one computes"):
        build(source, tmp_path / "canonical")


def test_factors_of_a_larger_rank_than_servers_take_are_compressed() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(40, 64), torch.randn(48, 40)
    thin = Factors(torch.cat([a, a]), torch.cat([b, -b / 2], dim=1))  # rank 80, of which 40 are needed
    short = compressed(thin, 40)
    assert short.rank == 40
    torch.testing.assert_close(short.b @ short.a, thin.b @ thin.a, atol=1e-3, rtol=1e-3)
    values = torch.linalg.svdvals(thin.b @ thin.a)
    lost = torch.linalg.norm(thin.b @ thin.a - compressed(thin, 10).b @ compressed(thin, 10).a)
    torch.testing.assert_close(lost, values[10:].norm(), rtol=1e-3, atol=1e-3)
    cut = nearest(thin.b @ thin.a, 40).first(10)
    torch.testing.assert_close(cut.b @ cut.a, compressed(thin, 10).b @ compressed(thin, 10).a, atol=1e-2, rtol=1e-2)
    assert canonical.accepted_rank(513) is None
    assert canonical.accepted_rank(9) == 16


def test_padding_changes_no_product() -> None:
    factors = Factors(torch.randn(3, 5), torch.randn(4, 3))
    padded = factors.padded(8)
    assert (padded.a.shape, padded.b.shape) == ((8, 5), (4, 8))
    assert torch.equal(padded.b @ padded.a, factors.b @ factors.a)
    with pytest.raises(ValueError, match="cannot be padded"):
        factors.padded(2)


def test_foreign_tensors_in_an_adapter_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    source = made("lora", bases, tmp_path / "trained")
    tensors = load_file(source.adapter / "adapter_model.safetensors") | {
        "base_model.model.other.lora_A.weight": torch.zeros(2, 2)
    }
    shutil.copytree(source.adapter, tmp_path / "other")
    save_file(tensors, tmp_path / "other" / "adapter_model.safetensors")
    other = TrainedAdapter(source.base, tmp_path / "other", source.trained_with, "tiny", {})
    with pytest.raises(InputError, match="other"):
        build(other, tmp_path)

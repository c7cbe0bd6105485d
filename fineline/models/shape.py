"""The shape of a model from its configuration: built on torch's meta device, where weights have sizes and no memory."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline.errors import InputError

_CAUSAL_DESPITE_CONFIG = ("gpt_neox", "gpt_neox_japanese")
"""Decoders whose configuration says `is_decoder: false`."""


@dataclass(frozen=True)
class Linear:
    """One linear layer."""

    name: str
    rows: int
    """Output features."""
    columns: int
    """Input features."""
    bias: bool = False
    adaptable: bool = True
    """True if adapters can be attached: to torch's Linear, but not to transformers' Conv1D (GPT-2)."""

    @property
    def kind(self) -> str:
        """Return the last part of the name, such as q_proj."""
        return self.name.rpartition(".")[2]

    @property
    def weights(self) -> int:
        """Return the number of weights, without the bias."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Shape:
    """The properties of a decoder-only language model that determine memory and time of its training."""

    model_type: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    """True if the head shares its weights with the embedding."""
    linear: tuple[Linear, ...]
    """Every linear layer except the head."""
    biases: int
    """Number of parameters in bias terms."""
    parameters: int
    """Number of all parameters; a tied head counts once."""

    @property
    def linear_weights(self) -> int:
        """Return the weights of all linear layers except the head, without biases."""
        return sum(layer.weights for layer in self.linear)

    @property
    def head_weights(self) -> int:
        """Return the weights of the head, tied or not."""
        return self.vocabulary * self.hidden

    @property
    def gated(self) -> bool:
        """True if the blocks are those of Llama: separate q, k, v, o and a gated MLP of gate, up and down."""
        return {layer.kind for layer in self.linear} == {f"{part}_proj" for part in ("q", "k", "v", "o", "gate", "up", "down")}


def of_model(place: Path) -> Shape:
    """Return the shape of the model in a directory with config.json, or of a config.json.

    Raises:
        InputError: The file is missing, unknown to transformers, or not that of a decoder-only language model.
    """
    file = place / "config.json" if place.is_dir() else place
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        kind = content["model_type"]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give a model directory or its config.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not a model configuration; a JSON object with `model_type` is required") from error
    return _of_config(_config(file, kind), str(file))


def of_repository(repo: str, revision: str | None = None) -> Shape:
    """Return the shape of a model on the Hugging Face Hub. Only its config.json is downloaded.

    Args:
        repo: `owner/name`. The access token is the one of huggingface_hub (`HF_TOKEN`, or `hf auth login`).

    Raises:
        InputError: The repository is unknown, gated or unreachable, or not that of a decoder-only language model.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    with TemporaryDirectory() as scratch:
        try:
            file = hf_hub_download(repo, "config.json", revision=revision, local_dir=scratch)
        except GatedRepoError as error:
            raise InputError(
                f"{repo}: gated; accept its license at huggingface.co/{repo} and set HF_TOKEN, or give its config.json"
            ) from error
        except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{repo}: config.json cannot be fetched from the Hub: {reason};"
                " check the name, the access token and the network, or give a local directory or config.json"
            ) from error
        return of_model(Path(file))


def _config(file: Path, kind: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(file, local_files_only=True, trust_remote_code=False)
    except (ValueError, KeyError, OSError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{file}: transformers cannot use this configuration of model type {kind!r}: {reason}") from error


def _of_config(config: Any, place: str) -> Shape:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    _check(config, place)
    with torch.device("meta"), _silent():
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    head = model.get_output_embeddings()
    linear, biases = [], 0
    for name, module in model.named_modules():
        bias = getattr(module, "bias", None)
        biases += bias.numel() if isinstance(bias, torch.nn.Parameter) else 0
        if module is not head and isinstance(module, torch.nn.Linear | Conv1D):
            adaptable = isinstance(module, torch.nn.Linear)
            rows, columns = module.weight.shape if adaptable else reversed(module.weight.shape)
            linear.append(Linear(name, rows, columns, bias is not None, adaptable))
    heads = getattr(config, "num_attention_heads", None)
    if not heads:
        raise InputError(f"{config.model_type} models have no attention; fineline trains decoders with attention only")
    return Shape(
        model_type=config.model_type,
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None) or max(layer.rows for layer in linear),
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=head.weight.shape[0],
        tied=head.weight is model.get_input_embeddings().weight,
        linear=tuple(linear),
        biases=biases,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _check(config: Any, place: str) -> None:
    """Raise `InputError` unless the configuration is that of a dense, decoder-only language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    expected = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    classes = getattr(config, "architectures", None) or [expected]
    reason = ""
    encoder = getattr(config, "is_decoder", None) is False and config.model_type not in _CAUSAL_DESPITE_CONFIG
    if expected is None or classes[0] != expected or encoder:
        reason = f"{classes[0] or config.model_type} is not a decoder-only language model; its class must end in ForCausalLM"
    elif any(getattr(config, part, None) is not None for part in ("vision_config", "audio_config")):
        reason = f"{classes[0]} also takes images or audio; use a text-only model"
    elif any((getattr(config, key, None) or 0) > 1 for key in ("num_experts", "num_local_experts", "n_routed_experts")):
        reason = f"{classes[0]} is a mixture of experts, which is not supported yet; use a dense model"
    if reason:
        raise InputError(f"{place}: {reason}")


@contextmanager
def _silent() -> Iterator[None]:
    """Within the context, transformers does not warn about a model without weights."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

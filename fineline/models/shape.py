"""The shape of a model from its configuration: built on torch's meta device, where weights have sizes and no memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline.errors import InputError


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
    """True if adapters can be attached, see `fineline.models.classes.linear_layers`."""
    router: bool = False
    """True if the layer chooses experts; it is adapted only if `train.targets` names it."""

    @property
    def kind(self) -> str:
        """Return the last part of the name, such as q_proj."""
        return self.name.rpartition(".")[2]

    @property
    def weights(self) -> int:
        """Return the number of weights, without the bias."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Experts:
    """The weights of all experts of a layer in one parameter."""

    name: str
    count: int
    rows: int
    """Output features of an expert; rows and columns change places in some families."""
    columns: int

    @property
    def weights(self) -> int:
        """Return the number of weights of all experts."""
        return self.count * self.rows * self.columns


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
    frozen: int = 0
    """Number of parameters of the parts that process images or sound, which are never trained."""
    experts: tuple[Experts, ...] = ()
    """The parameters with the weights of experts."""
    active: float = 1.0
    """Share of the experts that process a token; 1 if it is not known."""

    @property
    def expert_weights(self) -> int:
        """Return the weights of all experts."""
        return sum(experts.weights for experts in self.experts)

    @property
    def active_weights(self) -> float:
        """Return the weights that a token is multiplied with, without the head."""
        return self.linear_weights + self.active * self.expert_weights

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
    from fineline.models import classes

    try:
        classes.model_class(config)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if not getattr(config, "architectures", None) and getattr(config, "is_decoder", None) is False:
        raise InputError(f"{place}: {config.model_type} is not a decoder-only language model: `is_decoder` is false")
    try:
        return _of_model(classes.skeleton(config), config)
    except (ValueError, ImportError, KeyError, AttributeError, RuntimeError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{place}: transformers cannot build this {config.model_type} model: {reason}") from error


def _of_model(model: Any, config: Any) -> Shape:
    import torch
    from transformers.pytorch_utils import Conv1D

    from fineline.models import classes

    text = config.get_text_config(decoder=True)
    head = model.get_output_embeddings()
    embedding = model.get_input_embeddings()
    adaptable, routers = classes.linear_layers(model), classes.router_layers(model)
    linear, biases = [], 0
    for name, module in classes.language_modules(model, torch.nn.Module).items():
        bias = getattr(module, "bias", None)
        biases += bias.numel() if isinstance(bias, torch.nn.Parameter) else 0
        if module is not head and isinstance(module, torch.nn.Linear | Conv1D):
            rows, columns = classes.sizes(module)
            adapted = name in adaptable or name in routers
            linear.append(Linear(name, rows, columns, bias is not None, adapted, name in routers))
    experts = tuple(Experts(name, *weight.shape) for name, weight in classes.expert_parameters(model).items())
    active = _first(text, "num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_k", "top_k")
    heads = _first(text, "num_attention_heads") or 0
    hidden = int(_first(text, "hidden_size") or embedding.weight.shape[1])
    vocabulary = next((layer.weight.shape[0] for layer in (head, embedding) if layer is not None), 0)
    inner = [_first(text, "intermediate_size") or 0]
    if experts and active:
        inner.append(active * (_first(text, "moe_intermediate_size", "intermediate_size") or 0))
    return Shape(
        model_type=config.model_type,
        layers=_first(text, "num_hidden_layers") or 1,
        hidden=hidden,
        intermediate=max(inner) or max((layer.rows for layer in linear), default=hidden),
        heads=heads,
        kv_heads=_first(text, "num_key_value_heads") or heads,
        head_dim=_first(text, "head_dim") or (hidden // heads if heads else 0),
        vocabulary=vocabulary,
        tied=head is not None and embedding is not None and head.weight is embedding.weight,
        linear=tuple(linear),
        biases=biases,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        frozen=sum(parameter.numel() for name in classes.towers(model) for parameter in model.get_submodule(name).parameters()),
        experts=experts,
        active=min(1.0, active / experts[0].count) if experts and active else 1.0,
    )


def _first(config: Any, *names: str) -> int | None:
    """Return the first of these values of a configuration that is a number; of a list, one per layer, the largest."""
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, list) and value and all(isinstance(each, int) for each in value):
            value = max(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None

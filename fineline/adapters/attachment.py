"""Putting the trainable part of a method on a base model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fineline.adapters import activations, initialization, reading, targets, virtual
from fineline.adapters.bitfit import BitFit
from fineline.adapters.bottleneck import WithBottlenecks
from fineline.adapters.full import Full
from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.project.params.training import Train


def attach(model: Any, train: Train, base: Path | None = None, batches: Iterable[dict[str, Any]] | None = None) -> Any:
    """Put what `train.method` trains on a model, in fp32, and freeze everything else.

    First values are drawn from PyTorch's global generator: seed it first.

    Args:
        model: A causal language model from `loading.base_model`.
        train: Its method is one of `METHODS`, not `auto`.
        base: The directory that the model came from, read by `loftq` and to show a fully trained model's base; by default what
            the model says.
        batches: First micro-steps, for `eva`: `input_ids` (rows, tokens), and `attention_mask` of that shape where rows are
            padded.

    Returns:
        A `PeftModel` or an `Adapted`: both have `get_base_model()` and `disable_adapter()`.

    Raises:
        InputError: The method, the targets or the initialization do not go with the model.
    """
    check(train)
    source = Path(model.config.name_or_path) if base is None else base
    model.requires_grad_(False)
    own: dict[str, Any] = {
        "bottleneck": lambda: WithBottlenecks.new(model, train.bottleneck),
        "bitfit": lambda: BitFit(model),
        "full": lambda: Full.new(model, source),
    }
    if train.method in own:
        return own[train.method]()
    from peft import get_peft_model

    with reading.without_recomputing(model):  # PEFT's own prefix cannot be computed again; the training loop's can
        adapted: Any = get_peft_model(model, _config(model, train))
    if train.method == "prefix":
        virtual.start_at_real_tokens(adapted)
    if train.initialization == "pissa":
        initialization.pissa(adapted)
    elif train.initialization == "loftq":
        initialization.loftq(adapted, source)
    elif train.initialization == "eva":
        if batches is None:
            raise InputError("train.initialization: eva needs rows to see the layers' inputs on")
        activations.eva(adapted, batches)
    return adapted


def check(train: Train) -> None:
    """Raise `InputError` if the method is none that can be put on a model."""
    if train.method not in METHODS:
        raise InputError(f"train.method: {train.method} is not one method; take one of {', '.join(METHODS)}")


def _config(model: Any, train: Train) -> Any:
    """The configuration of a method of PEFT's."""
    import peft

    task: Any = {"task_type": "CAUSAL_LM"}
    if train.method == "prefix":
        return peft.PrefixTuningConfig(num_virtual_tokens=train.virtual_tokens, **task)
    if train.method == "prompt":
        # words of the vocabulary to start at (Lester et al. 2021, arXiv 2104.08691, section 3.2)
        start: Any = "SAMPLE_VOCAB"
        return peft.PromptTuningConfig(num_virtual_tokens=train.virtual_tokens, prompt_tuning_init=start, **task)
    if train.method == "p-tuning":
        return peft.PromptEncoderConfig(num_virtual_tokens=train.virtual_tokens, **task)
    if train.method == "ia3":
        layers, inner = targets.rescaled_layers(model)
        return peft.IA3Config(target_modules=layers, feedforward_modules=inner, **task)
    layers = targets.resolve(model, train.targets)
    if train.method == "vera":
        # The projections are saved beside the vectors: what a seed gives depends on PyTorch's version.
        return peft.VeraConfig(
            r=train.rank,
            target_modules=layers,
            vera_dropout=train.dropout,
            projection_prng_key=train.seed,
            save_projection=True,
            **task,
        )
    rank, alpha = train.rank, float(train.alpha)
    if train.initialization == "pissa":
        rank, alpha = initialization.doubled(rank, alpha, root=train.method == "rslora")
    return peft.LoraConfig(
        r=rank,
        lora_alpha=int(alpha) if alpha.is_integer() else alpha,  # type: ignore[arg-type]
        lora_dropout=train.dropout,
        target_modules=layers,
        use_rslora=train.method == "rslora",
        use_dora=train.method in ("dora", "qdora"),
        **task,
    )

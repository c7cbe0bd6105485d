"""Stage `merge@A`: adapter and base -> one model in the precision of the training, verified in a new process."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fineline import adapters, artifacts
from fineline.adapters import methods
from fineline.adapters.methods import METHODS
from fineline.artifacts import Input, reports
from fineline.chat.settings import ChatSettings
from fineline.errors import FinelineError, ParameterError, parameters_of
from fineline.project import layout, params
from fineline.stages import handover
from fineline.stages.handover import Rows

# If the training was in bf16, which has 8 significant bits, merged weights differ from their fp32 sum by up to 2**-9 of it.
LARGEST_KL = 1e-3
LEAST_AGREEMENT = 0.99


@dataclass(frozen=True)
class MergeInputs:
    """Everything that a merge reads."""

    base: Path
    adapter: Path
    trained_with: Mapping[str, Any]
    """The parameters of the training, as the adapter's artifact records them."""
    chat: ChatSettings
    probes: Rows
    """The rows whose first ones compare the merged model with the trained one."""
    sources: Mapping[str, Input]
    """Role -> artifact from which the merged model is made."""


def run(name: str) -> None:
    """Merge adapter `name` into models/merged/<name>, and write reports/<name>/merge.json.

    Raises:
        InputError: Inputs are missing, or the method of the adapter cannot be merged.
        FinelineError: The merged model differs from the trained one; merge.json contains by how much.
        Refused: A file is not as its artifact recorded it.
    """
    with parameters_of(f"adapters.{name}"):
        inputs = read(name)
    chat = {"chat": inputs.trained_with["chat"]} if "chat" in inputs.trained_with else {}
    target, report_file = layout.merged(name), layout.reports(name) / "merge.json"
    with artifacts.create(
        target, kind="merged-model", name=name, stage="merge", inputs=inputs.sources, parameters=chat
    ) as directory:
        report = merge(inputs, directory)
        if not report["passed"]:
            reports.write(report_file, report)
            raise FinelineError(
                f"the merged model differs from the trained one: mean KL {report['mean_kl']:.2e} (at most {LARGEST_KL}), same"
                f" choice at {report['same_choice']:.1%} of positions (at least {LEAST_AGREEMENT:.0%})"
            )
    reports.write(report_file, report | {"digest": artifacts.read(target).digest})
    print(f"merged: mean KL {report['mean_kl']:.1e}, same choice at {report['same_choice']:.1%} of positions")


def read(name: str) -> MergeInputs:
    """Read and check the inputs of the merge of adapter `name`.

    Raises:
        InputError: Parameters, rows or models are missing, or the method of the adapter cannot be merged.
        Refused: A file is not as its artifact recorded it.
    """
    block, adapter = params.load_for(name).adapter(name), layout.adapter(name)
    base = layout.base(block.base)
    trained_with = artifacts.read(adapter).parameters
    check_mergeable(trained_with["method"])
    return MergeInputs(
        base=base,
        adapter=adapter,
        trained_with=trained_with,
        chat=ChatSettings.model_validate(trained_with.get("chat", {})),
        probes=handover.probe_rows(layout.curated(name)),
        sources={"base": artifacts.used(base), "adapter": artifacts.used(adapter)},
    )


def merge(inputs: MergeInputs, directory: Path) -> dict[str, Any]:
    """Write the merged model into an empty directory, and compare it with the trained one.

    Returns:
        The content of merge.json, without the digest.
    """
    from fineline.chat.tokens import chat_format
    from fineline.inference import probe
    from fineline.inference.fidelity import fidelity
    from fineline.merge import reference, write
    from fineline.models import loading

    trained_with = inputs.trained_with
    quantization, precision = methods.quantization_of(trained_with), methods.precision_of(trained_with)
    model = loading.base_model(inputs.base, quantization=quantization, precision=precision)
    model = adapters.load(model, inputs.adapter)
    write(inputs.base, model, directory, methods.method_of(trained_with), precision)
    tokens = probe.encoded(inputs.probes, chat_format(inputs.base, inputs.chat))
    # The reference is computed in fp32 with the weights that were trained on. Rounding activations to bf16, which both models
    # do in use, would only blur the comparison of weights.
    with closing(probe.fresh_logits(directory, tokens)) as merged:
        measured = fidelity(probe.torch_logits(reference(model), tokens), merged)
    return {
        "passed": measured.mean_kl <= LARGEST_KL and measured.same_choice >= LEAST_AGREEMENT,
        "merged_into": "dequantized" if quantization else "original",
        "precision": precision,
        **asdict(measured),
    }


def check_mergeable(method: str) -> None:
    """Raise `ParameterError` if an adapter of this method cannot be merged into the weights of its base."""
    if METHODS[method].mergeable:
        return
    others = ", ".join(other.name for other in METHODS.values() if other.mergeable)
    raise ParameterError(
        "train.method",
        f"a {method} adapter cannot be merged: {METHODS[method].not_mergeable}; serve it next to its base, or train with one"
        f" of {others}",
    )

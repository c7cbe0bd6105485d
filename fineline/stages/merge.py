"""Stage `merge@A`: adapter and base -> one model in the precision of the training, verified in a new process."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline import adapters, artifacts
from fineline.adapters import methods
from fineline.adapters.methods import METHODS
from fineline.artifacts import Input, reports
from fineline.chat.settings import ChatSettings
from fineline.errors import FinelineError, ParameterError, parameters_of
from fineline.project import layout, params
from fineline.stages import handover
from fineline.stages.handover import Rows

if TYPE_CHECKING:
    from fineline.chat.format import ChatFormat
    from fineline.merge.choice import Choice
    from fineline.models.config import Quantization

# If the training was in bf16, which has 8 significant bits, merged weights differ from their fp32 sum by up to 2**-9 of it.
LARGEST_KL = 1e-3
LEAST_AGREEMENT = 0.99
VALIDATION_ROWS = 64
"""Number of rows that choose the weights which an adapter trained on a base in four bits is merged into."""


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
    validation: Rows
    """The rows whose first ones choose the weights that the adapter is merged into."""
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
        validation=handover.read_rows(layout.curated(name), "validation")["validation"],
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
    from fineline.merge import weights

    trained_with = inputs.trained_with
    method, precision = methods.method_of(trained_with), methods.precision_of(trained_with)
    chat = chat_format(inputs.base, inputs.chat)
    quantization = methods.quantization_of(trained_with)
    measured = _measured(inputs, chat) if quantization else None
    if measured is not None and measured.into == "original":
        quantization = None
    # Bases in four bits are dequantized one weight at a time; all other weights are read when they are merged.
    model = weights.loaded(inputs.base, inputs.adapter, method, precision)
    weights.write(inputs.base, model, directory, method, precision, quantization)
    del model
    # The reference is computed in fp32 with the weights that were merged into. Rounding activations to bf16, which both models
    # do in use, would only blur the comparison of weights.
    tokens = probe.encoded(inputs.probes, chat)
    with closing(probe.fresh_logits(directory, tokens)) as merged:
        held = fidelity(probe.torch_logits(_reference(inputs, quantization), tokens), merged)
    return {
        "passed": held.mean_kl <= LARGEST_KL and held.same_choice >= LEAST_AGREEMENT,
        "merged_into": "dequantized" if quantization else "original",
        "precision": precision,
        **asdict(held),
    } | ({} if measured is None else {"choice": asdict(measured)})


def _reference(inputs: MergeInputs, quantization: "Quantization | None") -> Any:
    """Return the base with the adapter in fp32, with weights of the base in four bits or the original ones."""
    from fineline.inference import blockwise
    from fineline.models import loading

    precision = methods.precision_of(inputs.trained_with)
    return blockwise.in_fp32(
        adapters.load(loading.base_model(inputs.base, quantization=quantization, precision=precision), inputs.adapter)
    )


def _measured(inputs: MergeInputs, chat: "ChatFormat") -> "Choice | None":
    """Measure both kinds of weights that an adapter can be merged into; None if no validation row has a learned token."""
    from fineline.chat.tokens import encode
    from fineline.inference import probe
    from fineline.merge.choice import choice

    rows = [row.cut(probe.LONGEST) for row in (encode(chat, row) for row in inputs.validation[:VALIDATION_ROWS])]
    rows = [row for row in rows if row.learned]
    if not rows:
        return None
    models = (_reference(inputs, quantization) for quantization in (methods.quantization_of(inputs.trained_with), None))
    dequantized, original = (probe.torch_logits(model, [row.input_ids for row in rows]) for model in models)
    return choice(dequantized, original, rows)


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

"""Stage `export@A`: merged model -> ONNX in fp32, whose parity with PyTorch is measured, and quantized, which ships."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fineline import artifacts
from fineline.artifacts import Input, reports
from fineline.chat.settings import ChatSettings
from fineline.errors import FinelineError
from fineline.plan.workload import file_size
from fineline.project import layout, params
from fineline.stages import handover
from fineline.stages.handover import Rows

# fp32 compared with fp32: only the order of additions differs.
LARGEST_RELATIVE_DIFFERENCE = 1e-3
LARGEST_KL = 1e-6


@dataclass(frozen=True)
class ExportInputs:
    """Everything that an export reads."""

    merged: Path
    """Directory of the merged model."""
    precisions: Mapping[str, str]
    """Form (`fp32`, `quantized`) -> precision of its weights."""
    chat: ChatSettings
    probes: Rows
    """The rows whose first ones compare each form with the merged model."""
    source: Input
    """The merged model, as an artifact."""


def run(name: str) -> None:
    """Export adapter `name` into models/export/<name>/fp32 and models/export/<name>/quantized.

    Raises:
        InputError: Inputs are missing, or the builder does not support the architecture.
        FinelineError: The conversion failed, or the fp32 export differs from the merged model; export.json contains by how
            much.
        Refused: A file is not as its artifact recorded it.
    """
    inputs = read(name)
    targets = {form: layout.export(name, form) for form in inputs.precisions}
    report_file = layout.reports(name) / "export.json"
    with ExitStack() as stack:
        directories = {
            form: stack.enter_context(
                artifacts.create(
                    targets[form],
                    kind="exported-model",
                    name=f"{name}/{form}",
                    stage="export",
                    inputs={"merged": inputs.source},
                    parameters={"precision": precision},
                )
            )
            for form, precision in inputs.precisions.items()
        }
        report = export(inputs, directories)
        parity = report["parity"]
        if not parity["passed"]:
            reports.write(report_file, report)
            raise FinelineError(
                f"the fp32 export does not compute what the merged model computes: largest difference"
                f" {parity['max_abs_difference']:.2e} at logits up to {parity['max_abs_logit']:.1f}, mean KL"
                f" {parity['mean_kl']:.1e}"
            )
    for form, measured in report["forms"].items():
        measured["digest"] = artifacts.read(targets[form]).digest
        print(f"{form}: {file_size(measured['bytes'])}, {measured['tokens_per_second']} tokens/s")
    reports.write(report_file, report)


def read(name: str) -> ExportInputs:
    """Read and check the inputs of the export of adapter `name`.

    Raises:
        InputError: Parameters, rows or the merged model are missing.
        Refused: A file is not as its artifact recorded it.
    """
    block, merged = params.load().adapter(name), layout.merged(name)
    return ExportInputs(
        merged=merged,
        precisions={"fp32": "fp32", "quantized": block.export.precision},
        chat=block.chat,
        probes=handover.probe_rows(layout.curated(name)),
        source=artifacts.used(merged),
    )


def export(inputs: ExportInputs, directories: Mapping[str, Path]) -> dict[str, Any]:
    """Build each form, and measure its parity with the merged model, its size and its speed.

    Args:
        directories: Form -> empty directory to build it in.

    Returns:
        The content of export.json, without the digests.

    Raises:
        InputError: The builder does not support the architecture.
        FinelineError: The conversion failed.
    """
    from fineline.chat.tokens import chat_format
    from fineline.export import build, deployable_size, tokens_per_second
    from fineline.inference import probe
    from fineline.inference.fidelity import fidelity
    from fineline.inference.onnx_engine import OnnxEngine

    precisions = inputs.precisions
    print(f"building {', '.join(f'{form} ({precision})' for form, precision in precisions.items())}", flush=True)
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        with ThreadPoolExecutor() as pool:  # each build is a process that uses one core
            builds = [
                pool.submit(build, inputs.merged, precision, directories[form], scratch / form)
                for form, precision in precisions.items()
            ]
            for running in builds:
                running.result()
        tokens = probe.encoded(inputs.probes, chat_format(inputs.merged, inputs.chat))
        reference = probe.fresh_logits(inputs.merged, tokens, scratch, "float32")
    agreement = {form: fidelity(reference, _logits(OnnxEngine(directories[form]), tokens)) for form in precisions}
    exact = agreement["fp32"]
    passed = exact.max_abs_difference <= LARGEST_RELATIVE_DIFFERENCE * exact.max_abs_logit and exact.mean_kl <= LARGEST_KL
    return {
        "parity": {"passed": passed, **asdict(exact)},
        "forms": {
            form: {
                "precision": precision,
                "bytes": deployable_size(directories[form]),
                "tokens_per_second": round(tokens_per_second(directories[form], tokens[0]), 1),
                "mean_kl": agreement[form].mean_kl,
                "top1_agreement": agreement[form].top1_agreement,
            }
            for form, precision in precisions.items()
        },
    }


def _logits(engine: Any, tokens: list[list[int]]) -> np.ndarray:
    """Return the logits after every token of every row (all tokens, vocabulary)."""
    return np.concatenate([engine.logits(np.array([row]), np.array([len(row)]))[0] for row in tokens])

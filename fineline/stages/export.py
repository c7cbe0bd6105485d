"""Stage `export@A`: merged model -> ONNX in fp32, whose parity with PyTorch is measured, and quantized, which ships."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fineline import artifacts
from fineline.artifacts import reports
from fineline.errors import FinelineError
from fineline.project import layout, params
from fineline.project.versions import STAGES
from fineline.stages.rows import probe_rows

# fp32 against fp32: what remains is the order of additions.
LARGEST_RELATIVE_DIFFERENCE = 1e-3
LARGEST_KL = 1e-6


def run(name: str) -> None:
    """Export adapter `name` into models/export/<name>/fp32 and models/export/<name>/quantized."""
    block = params.load().adapter(name)
    merged = layout.merged(name)
    source = artifacts.used(merged)
    precisions = {"fp32": "fp32", "quantized": block.export.precision}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        directories = {
            form: stack.enter_context(
                artifacts.create(
                    layout.export(name, form),
                    kind="exported-model",
                    name=f"{name}/{form}",
                    stage="export",
                    version=STAGES["export"],
                    inputs={"merged": source},
                    parameters={"precision": precision},
                )
            )
            for form, precision in precisions.items()
        }
        from fineline.chat.tokens import tokenizer_of
        from fineline.export import builder, speed
        from fineline.inference import probe
        from fineline.inference.fidelity import fidelity
        from fineline.inference.onnx_engine import OnnxEngine

        print(f"building {', '.join(f'{form} ({precision})' for form, precision in precisions.items())}", flush=True)
        with ThreadPoolExecutor() as side_by_side:  # each is a process of one core
            for built in [
                side_by_side.submit(builder.build, merged, precision, directories[form], scratch / form)
                for form, precision in precisions.items()
            ]:
                built.result()
        tokens = probe.encoded(probe_rows(name), tokenizer_of(merged))
        reference = probe.fresh_logits(merged, tokens, scratch, "float32")
        agreement = {form: fidelity(reference, _logits(OnnxEngine(directories[form]), tokens)) for form in precisions}
        exact = agreement["fp32"]
        passed = exact.max_abs_difference <= LARGEST_RELATIVE_DIFFERENCE * exact.max_abs_logit and exact.mean_kl <= LARGEST_KL
        report: dict[str, dict[str, Any]] = {
            "parity": {"passed": passed, **asdict(exact)},
            "forms": {
                form: {
                    "precision": precision,
                    "bytes": builder.deployable_size(directories[form]),
                    "tokens_per_second": round(speed.tokens_per_second(directories[form], tokens[0]), 1),
                    "mean_kl": agreement[form].mean_kl,
                    "top1_agreement": agreement[form].top1_agreement,
                }
                for form, precision in precisions.items()
            },
        }
        if not passed:
            reports.write(layout.reports(name) / "export.json", report)
            raise FinelineError(
                f"the fp32 export does not compute what the merged model computes: largest difference"
                f" {exact.max_abs_difference:.2e} at logits up to {exact.max_abs_logit:.1f}, mean KL {exact.mean_kl:.1e}"
            )
    for form, measured in report["forms"].items():
        measured["digest"] = artifacts.read(layout.export(name, form)).digest
        print(f"{form}: {measured['bytes'] / 1e6:.0f} MB, {measured['tokens_per_second']} tokens/s")
    reports.write(layout.reports(name) / "export.json", report)


def _logits(engine: Any, tokens: list[list[int]]) -> np.ndarray:
    """Logits after every token of every row (all tokens, vocabulary)."""
    return np.concatenate([engine.logits(np.array([row]), np.array([len(row)]))[0] for row in tokens])

"""Stage `merge@A`: adapter and base -> one model in the precision of the training, checked in a fresh process."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from fineline import adapters, artifacts
from fineline.adapters import recorded
from fineline.adapters.methods import METHODS
from fineline.artifacts import reports
from fineline.errors import FinelineError, ParameterError, parameters_of
from fineline.project import layout, params
from fineline.project.versions import STAGES
from fineline.stages.rows import probe_rows

# Where the training was in bf16, which keeps 8 bits, merged weights differ from their fp32 sum by up to 2**-9 of their size.
LARGEST_KL = 1e-3
LEAST_AGREEMENT = 0.99


def run(name: str) -> None:
    """Merge adapter `name` into models/merged/<name>."""
    base, adapter = layout.base(params.load().adapter(name).base), layout.adapter(name)
    trained_with = artifacts.read(adapter).parameters
    with parameters_of(f"adapters.{name}"):
        check_mergeable(trained_with["method"])
    with (
        TemporaryDirectory() as scratch,
        artifacts.create(
            layout.merged(name),
            kind="merged-model",
            name=name,
            stage="merge",
            version=STAGES["merge"],
            inputs={"base": artifacts.used(base), "adapter": artifacts.used(adapter)},
        ) as directory,
    ):
        from fineline.chat.tokens import tokenizer_of
        from fineline.inference import probe
        from fineline.inference.fidelity import fidelity
        from fineline.merge import weights
        from fineline.models import loading

        quantization, precision = recorded.quantization_of(trained_with), recorded.precision_of(trained_with)
        model = loading.base_model(base, quantization=quantization, precision=precision)
        model = adapters.load(model, adapter)
        weights.write(base, model, directory, recorded.method_of(trained_with), precision)
        tokens = probe.encoded(probe_rows(name), tokenizer_of(base))
        # The reference is computed in fp32 with the very weights that were trained on: rounding of activations to bf16,
        # which both models share in use, would only blur the comparison of weights.
        trained = probe.torch_logits(weights.reference(model), tokens)
        measured = fidelity(trained, probe.fresh_logits(directory, tokens, Path(scratch), "float32"))
        passed = measured.mean_kl <= LARGEST_KL and measured.same_choice >= LEAST_AGREEMENT
        into = "dequantized" if quantization else "original"
        report = {"passed": passed, "merged_into": into, "precision": precision, **asdict(measured)}
        if not passed:
            reports.write(layout.reports(name) / "merge.json", report)
            raise FinelineError(
                f"the merged model differs from the trained one: mean KL {measured.mean_kl:.2e} (at most {LARGEST_KL}), same"
                f" choice at {measured.same_choice:.1%} of positions (at least {LEAST_AGREEMENT:.0%})"
            )
    report["digest"] = artifacts.read(layout.merged(name)).digest
    reports.write(layout.reports(name) / "merge.json", report)
    print(f"merged: mean KL {measured.mean_kl:.1e}, same choice at {measured.same_choice:.1%} of positions")


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

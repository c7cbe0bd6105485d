"""Trial of GGUF on a miniature of a model, in a new process: `python -m fineline.export.gguf.trial MODEL OUT`.

It writes the reason why the model cannot be made, or why llama.cpp computes something else than the model, or null, as JSON.
A new process, because llama.cpp ends its process where a file does not fit a graph.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline.errors import InputError
from fineline.export import miniature
from fineline.export.gguf import architectures, tensors, writing
from fineline.export.gguf.unsupported import Unsupported
from fineline.inference import llama_library, probe
from fineline.inference.fidelity import Fidelity, fidelity
from fineline.models import loading

LARGEST_RELATIVE_DIFFERENCE = 1e-2
LARGEST_KL = 1e-4
"""Of weights in fp32. llama.cpp keeps keys and values in fp16."""
_WINDOW = 8  # tokens of a window in a miniature
_SPREAD = 0.2
_ROWS = [[*range(3, 35)], [*range(40, 47)]]


def text_values(model: Path) -> dict[str, Any]:
    """Return the configuration of the text model in a directory, as transformers completes it.

    Raises:
        Unsupported: transformers does not know it.
    """
    from transformers import AutoConfig

    try:
        loaded = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of any kind: each configuration checks its own values
        raise Unsupported(f"transformers cannot read its configuration: {error}") from error
    found: dict[str, Any] = loaded.get_text_config().to_dict()
    found["tie_word_embeddings"] = found.get("tie_word_embeddings", loaded.tie_word_embeddings)
    return found


def is_equal(found: Fidelity) -> bool:
    """True if llama.cpp computes from weights in fp32 what the model computes."""
    near = found.max_abs_difference <= LARGEST_RELATIVE_DIFFERENCE * found.max_abs_logit
    return near and found.mean_kl <= LARGEST_KL


def reason(model: Path) -> str | None:
    """Return why a model cannot be a GGUF file that computes the same; None if it can."""
    try:
        architectures.family(text_values(model))
        with TemporaryDirectory() as temporary:
            found = ""
            for number, small in enumerate(_lively(miniature.of_directory(model))):
                directory = Path(temporary) / str(number)
                small.save_pretrained(directory / "model")
                try:
                    figures = measured(directory / "model", directory)
                except InputError as error:
                    found = found or str(error).replace(temporary, "")
                    continue
                if figures is None or is_equal(figures):
                    return None
                found = (
                    f"llama.cpp computes other numbers: mean KL {figures.mean_kl:.1e}, largest difference"
                    f" {figures.max_abs_difference:.1e}"
                )
            return found
    except (Unsupported, ValueError) as error:
        return str(error)


def measured(model: Path, scratch: Path) -> Fidelity | None:
    """Return how far llama.cpp is from a model with weights in fp32; None if it is not installed.

    Raises:
        Unsupported: It cannot be written.
        InputError: llama.cpp cannot load it.
    """
    from fineline.inference.llama_engine import LlamaEngine

    into = scratch / "gguf"
    into.mkdir(parents=True, exist_ok=True)
    values = text_values(model)
    writing.write(into / "model.gguf", values, tensors.Checkpoint(model), None, "fp32", {})
    if not llama_library.is_installed():
        return None
    reference = probe.torch_logits(loading.base_model(model, precision="fp32").eval(), _ROWS)
    return fidelity(reference, LlamaEngine(into).rows(_ROWS))


def _lively(models: Iterator[Any]) -> Iterator[Any]:
    """Yield the models with weights so large that every token depends on those before it, and with short windows."""
    import torch

    for small in models:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            for name, weight in small.named_parameters():
                if weight.dim() > 1:
                    weight.normal_(0, _SPREAD)
                elif "norm" in name:
                    weight.add_(torch.randn_like(weight) * _SPREAD)
                else:
                    weight.normal_(0, _SPREAD)
        text = small.config.get_text_config()
        if getattr(text, "sliding_window", None):
            text.sliding_window = _WINDOW
        yield small


def main(model: str, out: str) -> None:
    """Write the reason to a file; runs in the new process."""
    Path(out).write_text(json.dumps(reason(Path(model))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Trial of a format on a miniature of a model, in a new process: `python -m fineline.export.trial MODEL OUT`.

It writes precision -> reason why ONNX cannot be made or does not compute what the model computes, or null, as JSON.
"""

import contextlib
import io
import json
import runpy
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from fineline.export import miniature, onnx
from fineline.export.format import EQUAL
from fineline.export.onnx_trial import UNTRIED

_ROWS = [[*range(3, 35)], [*range(40, 47)]]
_WEIGHTS = {".safetensors", ".bin", ".gguf"}
_NOT_COPIED = ("config.json", "model.safetensors.index.json", "artifact.json")


def main(model: str, out: str) -> None:
    """Write the reasons to a file; runs in the new process."""
    Path(out).write_text(json.dumps(reasons(Path(model))), encoding="utf-8")


def reasons(model: Path) -> dict[str, str | None]:
    """Return precision -> reason why the builder cannot make ONNX of such a model, None if it can."""
    with TemporaryDirectory() as temporary:
        found: dict[str, str | None] = {}
        try:
            for number, small in enumerate(miniature.of_directory(model)):
                directory = Path(temporary) / str(number)
                small.save_pretrained(directory / "model")
                for file in model.iterdir():
                    if file.is_file() and file.suffix not in _WEIGHTS and file.name not in _NOT_COPIED:
                        shutil.copyfile(file, directory / "model" / file.name)
                found = {precision: _reason(directory / "model", precision, directory) for precision in onnx.OPTIONS}
                if not any(found.values()):
                    break
        except ValueError as error:
            return {UNTRIED: f"a small model of this configuration cannot be made: {error}"}
        return found


def _reason(model: Path, precision: str, scratch: Path) -> str | None:
    from fineline.inference import probe
    from fineline.inference.fidelity import fidelity
    from fineline.inference.onnx_engine import OnnxEngine
    from fineline.models import config, loading

    into = scratch / precision
    into.mkdir()
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            _build(model, precision, into, scratch / "cache")
            reference = probe.torch_logits(loading.base_model(model, precision="fp32").eval(), _ROWS)
            found = fidelity(reference, OnnxEngine(into).rows(_ROWS))
    except (Exception, SystemExit) as error:  # the builder has no common class of errors
        line = str(error).strip().replace(str(model), config.read(model)["model_type"]).partition("\n")[0][:300]
        return f"{type(error).__name__}: {line}"
    if precision == "fp32" and not EQUAL.holds(found):
        return f"it computes other numbers: mean KL {found.mean_kl:.1e}, largest difference {found.max_abs_difference:.1e}"
    return None if found.mean_kl == found.mean_kl else "it computes no numbers"


def _build(model: Path, precision: str, into: Path, cache: Path) -> None:
    arguments = onnx.arguments(model, precision, into, cache)
    with mock.patch.object(sys, "argv", [onnx.BUILDER, *arguments]):
        runpy.run_module(onnx.BUILDER, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The registry of export formats, and which of them a model can take: the only place that names every format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fineline.artifacts import Artifact
from fineline.errors import InputError, ParameterError, did_you_mean
from fineline.export.adapter import Adapter
from fineline.export.format import Format, Needed
from fineline.export.gguf.formats import Gguf, GgufAdapter
from fineline.export.onnx import Onnx
from fineline.export.safetensors import Safetensors
from fineline.inference.runtime import Runtime
from fineline.project.params.exporting import AUTO, Export

FORMATS: dict[str, Format] = {found.name: found for found in (Onnx(), Safetensors(), Adapter(), Gguf(), GgufAdapter())}
"""Value in `export.formats` -> its code."""

_PREFERRED, _ALWAYS = "onnx", "safetensors"
"""The choice of `auto` if the model can take it, and otherwise."""


def of_form(form: str) -> Format:
    """Return the format of a form, such as `onnx` for `quantized`.

    Raises:
        InputError: No format has such a form.
    """
    for found in FORMATS.values():
        if form in found.forms:
            return found
    raise InputError(
        f"unknown exported form {form!r}{did_you_mean(form, [name for one in FORMATS.values() for name in one.forms])}"
    )


def runtime(exported: Artifact, directory: Path, base: Path) -> Runtime:
    """Return how an exported model is opened for scoring.

    Args:
        exported: The record of the model, whose name ends with its form.
        directory: Where it is; a release has another place than a candidate.
        base: Directory of the base, for a form that is loaded on it.

    Raises:
        InputError: No format has such a form.
    """
    return of_form(exported.name.rpartition("/")[2]).runtime(directory, base)


def forecast(model: Path, settings: Export, method: str | None) -> dict[str, Any]:
    """Return, for each format, whether a model can be exported to it, why not, and what to do: `formats` of plan.json.

    Args:
        model: Directory of the model, or of its base.
        settings: The block `export:`, for what depends on the precision.
        method: The fine-tuning method; None if it is not decided yet.

    Raises:
        InputError: The configuration of the model is not valid JSON.
    """
    found = {}
    for name, one in FORMATS.items():
        missing, refusal = _missing(one), one.refusal(model, settings, method)
        found[name] = {
            "possible": not missing and refusal is None,
            "reason": refusal.reason if refusal else _lacks(missing) if missing else None,
            "instead": refusal.instead if refusal else _install(missing) if missing else None,
        }
    return found


def decide(settings: Export, model: Path, method: str | None) -> tuple[tuple[str, ...], str]:
    """Return the formats to export to, the one that is released first, and the reason in a sentence.

    Args:
        settings: The block `export:` of params.yaml.
        model: Directory of the model, or of its base.
        method: The fine-tuning method; None if it is not decided yet.

    Raises:
        ParameterError: A format was asked for that the model cannot take, or whose package is not installed.
    """
    if settings.formats == AUTO:
        if refusal := FORMATS[_PREFERRED].refusal(model, settings, method):
            return (_ALWAYS,), f"not {_PREFERRED}: {refusal.reason}"
        return (_PREFERRED,), "the ONNX builder takes this family"
    for name in settings.formats:
        if missing := _missing(FORMATS[name]):
            raise ParameterError("export.formats", f"{name} cannot be made: {_lacks(missing)}; {_install(missing)}")
        refusal = FORMATS[name].refusal(model, settings, method)
        if refusal and refusal.is_certain:
            raise ParameterError("export.formats", f"{name} cannot be made: {refusal.reason}; {refusal.instead}")
    return tuple(settings.formats), "export.formats names them"


def lines(found: dict[str, Any]) -> list[str]:
    """Return a line for each format that cannot be made, by the result of `forecast`."""
    return [
        f"{name}: not possible: {facts['reason']}; {facts['instead']}" for name, facts in found.items() if not facts["possible"]
    ]


def _missing(wanted: Format) -> Sequence[Needed]:
    return [one for one in wanted.needs if one.is_missing]


def _lacks(missing: Sequence[Needed]) -> str:
    return f"{' and '.join(one.package for one in missing)} {'is' if len(missing) == 1 else 'are'} not installed"


def _install(missing: Sequence[Needed]) -> str:
    return f"install with `pip install {' '.join(dict.fromkeys(repr(one.install) for one in missing))}`"

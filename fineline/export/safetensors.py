"""Safetensors: the merged model as it is, for every runtime that reads transformers' checkpoints."""

import shutil
import time
from pathlib import Path

from fineline.artifacts import RECORD
from fineline.errors import FinelineError
from fineline.export import decoding
from fineline.export.onnx import NEW_TOKENS, PROMPT_TOKENS


def build(model: Path, into: Path) -> None:
    """Copy the merged model `model` into `into`: weights in their shards, tokenizer, chat template, configuration.

    Its generation_config.json asks for greedy decoding, see `decoding`.
    """
    others = shutil.ignore_patterns(RECORD, decoding.FILE)
    shutil.copytree(model, into, ignore=others, copy_function=shutil.copyfile, dirs_exist_ok=True)
    decoding.write(model, into)


def check_copied(model: Path, into: Path) -> None:
    """Raise `FinelineError` if a file of the merged model, other than its decoding settings, is not in `into` byte by byte."""
    for file in sorted(model.rglob("*")):
        copy = into / file.relative_to(model)
        if file.is_file() and file.name not in (RECORD, decoding.FILE) and not _same(file, copy):
            raise FinelineError(f"{copy}: differs from {file}; check the disk, and run the export again")


def deployable_size(directory: Path) -> int:
    """Return the bytes of the weights."""
    return sum(file.stat().st_size for file in directory.glob("*.safetensors"))


def tokens_per_second(directory: Path, prompt: list[int]) -> float:
    """Return the greedy decoding speed for one request, `NEW_TOKENS` after `PROMPT_TOKENS`, in the second of two runs."""
    from fineline.inference.torch_engine import TorchEngine
    from fineline.models import config, loading

    precision = config.stored_precision(directory)
    plain = TorchEngine(loading.base_model(directory, precision=precision), precision).plain
    start = tuple((prompt * PROMPT_TOKENS)[:PROMPT_TOKENS])
    times: list[float] = []

    def timed(row: int, token: int) -> bool:
        times.append(time.perf_counter())
        return False

    for _ in range(2):
        times.clear()
        plain.generate([start], NEW_TOKENS, timed)
    return (NEW_TOKENS - 1) / (times[-1] - times[0])


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(1 << 20):
            if chunk != right.read(1 << 20):
                return False
    return True

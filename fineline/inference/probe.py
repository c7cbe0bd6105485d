"""Probe texts for fidelity checks, and their logits from a model directory in a new process, row by row.

`python -m fineline.inference.probe MODEL HOW` loads MODEL in a new process, so that the files on disk are measured and not the
state of an earlier step in memory. It reads the rows from its standard input, and writes the logits of each: no more than one
row of logits is in memory, and none on disk. A model that is large for this machine is computed block by block.
"""

import inspect
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from fineline.chat.tokens import encode
from fineline.errors import FinelineError
from fineline.models.config import Precision, Quantization

ROWS = 16
LONGEST = 1024  # tokens


@dataclass(frozen=True)
class Loading:
    """How a new process loads a model, before it computes in fp32."""

    precision: Precision = "fp32"
    """Precision that the weights are rounded to first."""
    quantization: Quantization | None = None
    """Form in which the weights are quantized first."""
    adapter: Path | None = None
    """Adapter that is applied."""

    def to_json(self) -> str:
        """Return the argument of the new process."""
        quantization = self.quantization.model_dump() if self.quantization else None
        adapter = str(self.adapter) if self.adapter else None
        return json.dumps({"precision": self.precision, "quantization": quantization, "adapter": adapter})

    @classmethod
    def from_json(cls, text: str) -> "Loading":
        """Return what `to_json` wrote."""
        values = json.loads(text)
        quantization, adapter = values["quantization"], values["adapter"]
        return cls(
            values["precision"],
            Quantization.model_validate(quantization) if quantization is not None else None,
            Path(adapter) if adapter else None,
        )


PLAIN = Loading()
"""A model as it is."""


def encoded(rows: Sequence[Mapping[str, Any]], chat: Any) -> list[list[int]]:
    """Return the token ids of the first `ROWS` rows, prompts with their completions, cut after `LONGEST` tokens."""
    return [encode(chat, row).input_ids[:LONGEST] for row in rows[:ROWS]]


def torch_logits(model: Any, tokens: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
    """Yield the logits after every token of each row (tokens, vocabulary) as float32, computed when they are needed."""
    import torch

    device = next(model.parameters()).device
    host = model.get_base_model() if hasattr(model, "get_base_model") else model
    options = {"use_cache": False} if "use_cache" in inspect.signature(host.forward).parameters else {}
    for row in tokens:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row], device=device), **options).logits[0]
        yield logits.float().cpu().numpy()


def fresh_logits(model: Path, tokens: Sequence[Sequence[int]], how: Loading = PLAIN) -> Generator[np.ndarray, None, None]:
    """Yield `torch_logits` of the model in a directory, computed in fp32 by a new process.

    The process ends with the iteration, and if this process ends in any way.

    Args:
        how: Quantization and adapter of the model.

    Raises:
        FinelineError: The directory cannot be loaded.
    """
    command = [sys.executable, "-m", "fineline.inference.probe", str(model), how.to_json()]
    with TemporaryFile() as messages:
        # Without an accelerator: its memory may be full of the model that is compared.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for row in tokens:
                # One row at a time: while one process computes, the other one only has the logits of a row.
                with suppress(BrokenPipeError):  # it failed, and the reason is in its messages
                    process.stdin.write(json.dumps(row).encode() + b"\n")
                    process.stdin.flush()
                logits = _received(process.stdout, len(row))
                if logits is None:
                    process.wait()
                    messages.seek(0)
                    raise FinelineError(
                        f"{model}: cannot be loaded by a new process:\n{messages.read().decode(errors='replace')[-2000:]}"
                    )
                yield logits
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.close()


def _received(stream: IO[bytes], positions: int) -> np.ndarray | None:
    """Return the next row (positions, vocabulary); None if the stream ends before."""
    size = stream.read(8)
    if len(size) < 8:
        return None
    logits = np.empty((positions, int.from_bytes(size, "little")), dtype=np.float32)
    room, filled = logits.data.cast("B"), 0
    while filled < len(room):
        count = stream.readinto(room[filled:])  # type: ignore[attr-defined]
        if not count:
            return None
        filled += count
    return logits


def main(model: str, how: str) -> None:
    """Write the logits of a model directory to standard output; runs in the new process."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is not part of the logits
    rows: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(rows,), daemon=True).start()

    model_loaded = loaded(Path(model), Loading.from_json(how))
    while True:
        for logits in torch_logits(model_loaded, [rows.get()]):
            out.write(logits.shape[1].to_bytes(8, "little"))
            out.write(np.ascontiguousarray(logits).data.cast("B"))
            out.flush()


def loaded(model: Path, how: Loading) -> Any:
    """Return the model in a directory in fp32."""
    from fineline import adapters
    from fineline.inference import blockwise
    from fineline.models import loading

    exact = how.quantization is None and how.precision == "fp32"  # as in the files, which are read when they are used
    found = loading.base_model(model, quantization=how.quantization, precision=None if exact else how.precision)
    return blockwise.in_fp32(adapters.load(found, how.adapter) if how.adapter else found)


def _receive(rows: "queue.SimpleQueue[list[int]]") -> None:
    """Receive rows until the end of standard input, which the parent leaves open as long as it lives, and end this process."""
    while line := sys.stdin.buffer.readline():
        rows.put(json.loads(line))
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

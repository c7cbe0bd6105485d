"""Probe texts for fidelity checks, and their logits from a model directory in a new process.

`python -m fineline.inference.probe MODEL TOKENS OUT DTYPE` loads MODEL in a new process, so that the files on disk are measured
and not the state of an earlier step in memory.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fineline.chat.tokens import encode
from fineline.errors import FinelineError

ROWS = 16
LONGEST = 1024  # tokens


def encoded(rows: Sequence[Mapping[str, Any]], chat: Any) -> list[list[int]]:
    """Return the token ids of the first `ROWS` rows, prompts with their completions, cut after `LONGEST` tokens."""
    return [encode(chat, row).input_ids[:LONGEST] for row in rows[:ROWS]]


def torch_logits(model: Any, tokens: list[list[int]]) -> np.ndarray:
    """Return the logits after every token of every row (all tokens, vocabulary) as float32."""
    import torch

    device = next(model.parameters()).device
    with torch.no_grad():
        return np.concatenate(
            [model(input_ids=torch.tensor([row], device=device)).logits[0].float().cpu().numpy() for row in tokens]
        )


def fresh_logits(model: Path, tokens: list[list[int]], scratch: Path, dtype: str) -> np.ndarray:
    """Return `torch_logits` of the model in a directory, computed by a new process.

    Raises:
        FinelineError: The directory cannot be loaded.
    """
    texts, out = scratch / "tokens.npz", scratch / f"logits-{dtype}.npy"
    np.savez(texts, *[np.array(row) for row in tokens])
    command = [sys.executable, "-m", "fineline.inference.probe", str(model), str(texts), str(out), dtype]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise FinelineError(f"{model}: cannot be loaded by a new process:\n{result.stderr[-2000:]}")
    return np.load(out)


def main(model: str, texts: str, out: str, dtype: str) -> None:
    """Write the logits of a model directory to a file; runs in the new process."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype), local_files_only=True).eval()
    with np.load(texts) as arrays:
        tokens = [arrays[name].tolist() for name in arrays.files]
    np.save(out, torch_logits(loaded, tokens))


if __name__ == "__main__":
    main(*sys.argv[1:])

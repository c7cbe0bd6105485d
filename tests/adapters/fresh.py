"""`python -m tests.adapters.fresh OUT NAME ADAPTER BASE ...`: logits of saved adapters, in a process that trained nothing."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from fineline import adapters
from tests.adapters.cases import CASES, loaded_base, logits


def main(out: str, *arguments: str) -> None:
    """Write the logits of every adapter under its name."""
    triples = zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True)
    torch.manual_seed(99)  # what is loaded must not depend on what is drawn
    save_file(
        {name: logits(adapters.load(loaded_base(CASES[name], Path(base)), Path(saved))) for name, saved, base in triples}, out
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

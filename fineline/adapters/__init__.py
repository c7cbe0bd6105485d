"""Adapters: what each fine-tuning method adds to a base model, how it is initialized, and how it is saved, loaded and merged.

No method or initialization changes the base: an adapter is a directory with `adapter_config.json` and
`adapter_model.safetensors`, and means the same on any copy of its base. The functions below are imported on first use, so that
params.yaml is checked and plans are made without importing torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fineline.adapters.adapted import FILES, attach, load, save
    from fineline.adapters.virtual import context_length, virtual_embeddings, virtual_key_values

_MODULES = dict.fromkeys(("FILES", "attach", "load", "save"), "adapted") | dict.fromkeys(
    ("context_length", "virtual_embeddings", "virtual_key_values"), "virtual"
)

__all__ = ["FILES", "attach", "context_length", "load", "save", "virtual_embeddings", "virtual_key_values"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

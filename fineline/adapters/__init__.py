"""Adapters: what each method of fine-tuning puts on a base model, how it starts, and how it is saved and loaded again.

The base is never changed, whatever the method or the first values: an adapter is one directory with `adapter_config.json` and
`adapter_model.safetensors`, and means the same on any copy of its base.
"""

from fineline.adapters.attachment import attach
from fineline.adapters.files import FILES, load, save
from fineline.adapters.virtual import context_length, virtual_embeddings, virtual_key_values

__all__ = ["FILES", "attach", "context_length", "load", "save", "virtual_embeddings", "virtual_key_values"]

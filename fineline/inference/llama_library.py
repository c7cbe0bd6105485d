"""llama.cpp's own functions, called in the library that the package xllamacpp brings.

The package offers a server, which returns no probabilities of given tokens. The functions of `llama.h` do, and the library
exports them. Parameters are handed over as structures, whose layout differs between releases: the values that the library fills
in are compared with those that are documented, and a library with other ones is refused.
"""

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from fineline.errors import InputError

PACKAGE = "xllamacpp"
_SIZE = 512  # bytes, more than any of the structures has
Token = ctypes.c_int32


class Parameters(ctypes.Structure):
    """A structure of unknown length, which is handed over by value as the last argument."""

    _fields_ = [("content", ctypes.c_ubyte * _SIZE), ("alignment", ctypes.c_uint64)]


class Batch(ctypes.Structure):
    """`llama_batch`: tokens, their positions and sequences, and after which of them logits are needed."""

    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(Token)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def is_installed() -> bool:
    """True if the package is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


@cache
def library() -> Any:
    """Return the library, with the types of its functions.

    Raises:
        InputError: The package is not installed, or its library has another interface.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError(f"a GGUF model needs the package {PACKAGE}: pip install 'fineline[gguf]'")
    place = Path(found.submodule_search_locations[0])
    files = [file for ending in ("so", "pyd") for file in sorted(place.glob(f"{PACKAGE}*.{ending}"))]
    try:
        loaded = ctypes.CDLL(str(files[0]))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (IndexError, OSError, AttributeError) as error:
        raise InputError(f"the installed {PACKAGE} does not have the functions of llama.cpp: {error}") from error
    loaded.llama_log_set(_SILENT, None)
    loaded.llama_backend_init()
    return loaded


_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_messages: list[str] = []


def _log(level: int, text: bytes, _: Any) -> None:
    _messages.append(text.decode(errors="replace"))
    del _messages[:-40]


_SILENT = _LOG(_log)
_P, _I, _B = ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "llama_log_set": (None, [_LOG, _P]),
    "llama_backend_init": (None, []),
    "llama_version": (ctypes.c_char_p, []),
    "llama_model_load_from_file": (_P, [ctypes.c_char_p, Parameters]),
    "llama_init_from_model": (_P, [_P, Parameters]),
    "llama_model_free": (None, [_P]),
    "llama_free": (None, [_P]),
    "llama_model_get_vocab": (_P, [_P]),
    "llama_model_n_ctx_train": (_I, [_P]),
    "llama_model_n_embd": (_I, [_P]),
    "llama_model_n_head": (_I, [_P]),
    "llama_model_n_head_kv": (_I, [_P]),
    "llama_model_n_layer": (_I, [_P]),
    "llama_model_is_recurrent": (_B, [_P]),
    "llama_model_is_hybrid": (_B, [_P]),
    "llama_vocab_n_tokens": (_I, [_P]),
    "llama_vocab_is_eog": (_B, [_P, Token]),
    "llama_vocab_get_add_bos": (_B, [_P]),
    "llama_tokenize": (_I, [_P, ctypes.c_char_p, _I, ctypes.POINTER(Token), _I, _B, _B]),
    "llama_n_ctx": (ctypes.c_uint32, [_P]),
    "llama_n_ctx_seq": (ctypes.c_uint32, [_P]),
    "llama_n_batch": (ctypes.c_uint32, [_P]),
    "llama_set_n_threads": (None, [_P, _I, _I]),
    "llama_get_memory": (_P, [_P]),
    "llama_memory_clear": (None, [_P, _B]),
    "llama_memory_seq_rm": (_B, [_P, _I, _I, _I]),
    "llama_memory_seq_cp": (None, [_P, _I, _I, _I, _I]),
    "llama_decode": (_I, [_P, Batch]),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [_P, _I]),
    "llama_adapter_lora_init": (_P, [_P, ctypes.c_char_p]),
    "llama_set_adapters_lora": (_I, [_P, ctypes.POINTER(_P), ctypes.c_size_t, ctypes.POINTER(ctypes.c_float)]),
}


def defaults(name: str) -> Parameters:
    """Return the default parameters that a function of the library returns."""
    function = getattr(library(), name)
    function.restype, function.argtypes = Parameters, []
    found: Parameters = function()
    return found


def last_message() -> str:
    return " ".join("".join(_messages[-4:]).split())[-300:] or "no message"

"""A GGUF file in llama.cpp, and the memory of its keys and values."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fineline.errors import InputError
from fineline.inference.llama_library import PACKAGE, Batch, Token, defaults, last_message, library

_BATCH, _MICROBATCH = 2048, 512
_FLAGS = bytes([0, 1, 1, 1, 1, 0])
"""embeddings, offload_kqv, no_perf, op_offload, swa_full, kv_unified"""
_DEFAULTS = (512, 2048, 512, 1)
"""n_ctx, n_batch, n_ubatch, n_seq_max"""


class LlamaModel:
    """A GGUF file in memory.

    Raises:
        InputError: The package is missing, or llama.cpp cannot load the file.
    """

    def __init__(self, file: Path, adapter: Path | None = None) -> None:
        self._library = library()
        self._model = self._library.llama_model_load_from_file(str(file).encode(), defaults("llama_model_default_params"))
        if not self._model:
            raise InputError(f"{file}: llama.cpp cannot load it: {last_message()}")
        self._vocabulary = self._library.llama_model_get_vocab(self._model)
        self.vocabulary_size = int(self._library.llama_vocab_n_tokens(self._vocabulary))
        self.context_length = int(self._library.llama_model_n_ctx_train(self._model))
        self.is_recurrent = bool(
            self._library.llama_model_is_recurrent(self._model) or self._library.llama_model_is_hybrid(self._model)
        )
        self._adapter = None
        if adapter is not None:
            self._adapter = self._library.llama_adapter_lora_init(self._model, str(adapter).encode())
            if not self._adapter:
                raise InputError(f"{adapter}: llama.cpp cannot load it: {last_message()}")

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._library.llama_model_free(self._model)
            self._model = None

    @property
    def token_bytes(self) -> int:
        """The memory that the keys and values of a token take in fp16, if every layer has a cache and heads share the width."""
        width, heads, shared, layers = (
            int(getattr(self._library, f"llama_model_n_{part}")(self._model)) for part in ("embd", "head", "head_kv", "layer")
        )
        return 2 * 2 * layers * (shared or heads) * max(1, width // max(1, heads))

    def tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        """Return the token ids of a text, in which special tokens are recognized.

        Args:
            add_special: Put the token for the beginning of a text before it, if the file asks for it.
        """
        content = text.encode()
        room = len(content) + 8
        found = (Token * room)()
        count = self._library.llama_tokenize(self._vocabulary, content, len(content), found, room, add_special, True)
        return list(found[:count])

    def ends(self, token: int) -> bool:
        """True if generation stops at a token."""
        return bool(self._library.llama_vocab_is_eog(self._vocabulary, token))

    def context(self, tokens: int, sequences: int, threads: int) -> "LlamaContext":
        """Return memory for the keys and values of some tokens in all, of some sequences."""
        return LlamaContext(self, tokens, sequences, threads)


class LlamaContext:
    """Keys and values of several sequences, which may share tokens.

    Raises:
        InputError: The library has another interface, or there is not enough memory.
    """

    def __init__(self, model: LlamaModel, tokens: int, sequences: int, threads: int) -> None:
        self.model, self._library = model, model._library
        parameters = defaults("llama_context_default_params")
        content = bytes(parameters.content)
        counts = np.frombuffer(content[:16], dtype=np.uint32)
        flags = content.find(_FLAGS, 100)
        if tuple(counts) != _DEFAULTS or flags < 0 or content.find(_FLAGS, flags + 1) >= 0:
            raise InputError(
                f"the installed {PACKAGE} has another interface than the one that fineline knows; install the version that"
                " `pip install 'fineline[gguf]'` selects"
            )
        self.batch = min(_BATCH, tokens)
        numbers = np.array([tokens, self.batch, min(_MICROBATCH, self.batch), sequences], dtype=np.uint32).tobytes()
        parameters.content[:16] = numbers
        parameters.content[flags + 5] = 1  # one memory for all sequences, so that they can share tokens
        self._context = self._library.llama_init_from_model(model._model, parameters)
        if not self._context:
            raise InputError(f"llama.cpp has no memory for {tokens} tokens: {last_message()}")
        self.tokens = int(self._library.llama_n_ctx(self._context))
        if self._library.llama_n_ctx_seq(self._context) != self.tokens or self.tokens < tokens:
            raise InputError(f"the installed {PACKAGE} does not share its memory between sequences")
        self._library.llama_set_n_threads(self._context, threads, threads)
        self._memory = self._library.llama_get_memory(self._context)
        if model._adapter:
            adapters, scales = (ctypes.c_void_p * 1)(model._adapter), (ctypes.c_float * 1)(1.0)
            self._library.llama_set_adapters_lora(self._context, adapters, 1, scales)

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._library.llama_free(self._context)
            self._context = None

    def clear(self) -> None:
        """Forget all tokens."""
        self._library.llama_memory_clear(self._memory, False)

    def forget(self, sequence: int, first: int = 0) -> None:
        """Forget the tokens of a sequence from a position on."""
        self._library.llama_memory_seq_rm(self._memory, sequence, first, -1)

    def share(self, sequence: int, other: int) -> None:
        """Make the tokens of a sequence those of another one too."""
        self._library.llama_memory_seq_cp(self._memory, sequence, other, -1, -1)

    def read(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[Sequence[int]], places: Sequence[int]
    ) -> Iterator[np.ndarray]:
        """Read tokens, and yield the logits (vocabulary,) after each of the places. They are valid until the next one.

        Args:
            positions: Position of each token in its sequences.
            sequences: The sequences of each token; it sees the earlier tokens of the first one.
            places: Indexes of tokens, ascending.

        Raises:
            InputError: llama.cpp cannot read them, for lack of memory or because of its kind of model.
        """
        wanted = sorted(set(places))
        for first in range(0, len(tokens), self.batch):
            last = min(first + self.batch, len(tokens))
            inside = [place for place in wanted if first <= place < last]
            with _batch(tokens[first:last], positions[first:last], sequences[first:last], [p - first for p in inside]) as batch:
                code = self._library.llama_decode(self._context, batch)
            if code:
                raise InputError(f"llama.cpp cannot read {last - first} tokens (code {code}): {last_message()}")
            for place in inside:
                pointer = self._library.llama_get_logits_ith(self._context, place - first)
                if not pointer:
                    raise InputError(f"llama.cpp returned no logits: {last_message()}")
                yield np.ctypeslib.as_array(pointer, shape=(self.model.vocabulary_size,))


@contextmanager
def _batch(
    tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[Sequence[int]], places: Sequence[int]
) -> Iterator[Batch]:
    count = len(tokens)
    lists = [(ctypes.c_int32 * len(own))(*own) for own in sequences]
    pointers = (ctypes.POINTER(ctypes.c_int32) * count)(*[ctypes.cast(own, ctypes.POINTER(ctypes.c_int32)) for own in lists])
    wanted = (ctypes.c_int8 * count)()
    for place in places:
        wanted[place] = 1
    yield Batch(
        count,
        (Token * count)(*tokens),
        None,
        (ctypes.c_int32 * count)(*positions),
        (ctypes.c_int32 * count)(*[len(own) for own in sequences]),
        pointers,
        wanted,
    )

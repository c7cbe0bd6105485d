"""Inference with llama.cpp on a GGUF file: the exported model as llama.cpp and Ollama run it.

Sequences of a pack share their tokens in llama.cpp's memory: a token belongs to all sequences that pass through it, and sees
the earlier tokens of these. Hybrid and recurrent models keep one state for each sequence, so they read one sequence at a time.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from fineline.errors import InputError
from fineline.inference import memory
from fineline.inference.llama_model import LlamaContext, LlamaModel
from fineline.inference.packs import Answers, Pack, Prompts
from fineline.inference.plain import PlainModel
from fineline.inference.trials import Rows

ADAPTER = "adapter"
"""Beginning of the name of an adapter's file."""
_PACK_TOKENS = 512  # llama.cpp computes this many at once
_SEQUENCES = 256  # the most that llama.cpp keeps apart
_PIECE = 64  # logits in memory at once

Prefix = tuple[int, ...]


def model_file(directory: Path) -> Path:
    """Return the file of a model in a directory.

    Raises:
        InputError: There is none, or several.
    """
    files = [file for file in sorted(directory.glob("*.gguf")) if not file.name.startswith(ADAPTER)]
    if len(files) != 1:
        raise InputError(f"{directory}: {len(files)} GGUF files of a model, but exactly one can be run")
    return files[0]


class LlamaEngine:
    """A GGUF file in llama.cpp.

    Args:
        directory: Directory with the file.
        adapter: File of an adapter for it.

    Raises:
        InputError: xllamacpp is not installed, or llama.cpp cannot load the file.
    """

    plain: PlainModel | None = None
    row_length = 0
    generates: Rows = "single"

    def __init__(self, directory: Path, adapter: Path | None = None) -> None:
        self.model = LlamaModel(model_file(directory), adapter)
        self.context_length = self.model.context_length
        self.limits = memory.limits("cpu", token_bytes=self.model.token_bytes, vocabulary=self.model.vocabulary_size)
        self.pack_tokens = min(_PACK_TOKENS, self.context_length)
        self.tree_length = 0 if self.model.is_recurrent else self.context_length
        # threads wait for each other after every operation, so more of them than free cores are slower than one
        self._threads = min(len(os.sched_getaffinity(0)), torch.get_num_threads())
        self._context: LlamaContext | None = None
        self._held: Prefix | None = None

    @property
    def path(self) -> str:
        """Return how requests were read."""
        return "read by llama.cpp, sequences one at a time" if self.model.is_recurrent else "read by llama.cpp"

    def encode(self, prefix: Sequence[int]) -> Prefix:
        """See `Engine.encode`. A prefix is read when a pack needs it."""
        return tuple(prefix)

    def score(self, prefix: Prefix | None, pack: Pack) -> Answers:
        """See `Engine.score`."""
        answers = Answers(len(pack.targets))
        places = sorted({place for place, _ in pack.targets})
        context = self._memory(len(prefix or ()) + len(pack))
        self._hold(context, prefix)
        paths = pack_paths(pack)
        for first in range(0, len(paths), _SEQUENCES - 1):
            group = _Group.of(pack, paths[first : first + _SEQUENCES - 1], 1)
            wanted = [place for place in places if place in group.place]
            logits = group.read(context, wanted, shared=bool(prefix))
            done: list[int] = []
            rows: list[np.ndarray] = []
            for place, row in zip(wanted, logits, strict=True):
                done.append(place)
                rows.append(row.copy())
                if len(rows) == _PIECE or place == wanted[-1]:
                    pack.read_off(torch.from_numpy(np.stack(rows)), done, answers)
                    done, rows = [], []
            for sequence in group.sequences:
                context.forget(sequence)
        return answers

    def open(self, prefix: Prefix | None, packs: Sequence[Prompts], room: int) -> tuple[np.ndarray, "_DecodingRows"]:
        """See `Engine.open`."""
        ways = [(prompts.pack, path) for prompts in packs for path in prompts.paths]
        tokens: list[int] = []
        found = _DecodingRows([], [], [], np.array([pack.behind + len(path) for pack, path in ways]))
        for first in range(0, len(ways), _SEQUENCES - 1):
            own = ways[first : first + _SEQUENCES - 1]
            size = len(prefix or ()) + sum(len(path) + room for _, path in own)
            context = LlamaContext(self.model, _rounded(size), len(own) + 1, self._threads)
            if prefix:
                _finish(context.read(prefix, range(len(prefix)), [[0]] * len(prefix), []))
            number = 1
            for pack, shared in groupby(own, key=lambda way: way[0]):
                paths = [path for _, path in shared]
                group = _Group.of(pack, paths, number)
                ends = sorted({path[-1] for path in paths})
                likeliest = {
                    end: int(row.argmax())
                    for end, row in zip(ends, group.read(context, ends, shared=bool(prefix)), strict=True)
                }
                tokens += [likeliest[path[-1]] for path in paths]
                number += len(paths)
            found.contexts.append(context)
            found.owners += [len(found.contexts) - 1] * len(own)
            found.sequences += range(1, number)
        return np.array(tokens), found

    def write(self, rows: "_DecodingRows", tokens: np.ndarray) -> np.ndarray:
        """See `Engine.write`."""
        chosen = np.zeros(len(tokens), dtype=np.int64)
        for number, context in enumerate(rows.contexts):
            own = [row for row, owner in enumerate(rows.owners) if owner == number]
            if not own:
                continue
            sequences = [[rows.sequences[row]] for row in own]
            logits = context.read(tokens[own].tolist(), rows.lengths[own].tolist(), sequences, range(len(own)))
            for row, found in zip(own, logits, strict=True):
                chosen[row] = found.argmax()
        rows.lengths = rows.lengths + 1
        return chosen

    def keep(self, rows: "_DecodingRows", kept: np.ndarray) -> None:
        """See `Engine.keep`."""
        for row in set(range(len(rows.owners))) - set(kept.tolist()):
            rows.contexts[rows.owners[row]].forget(rows.sequences[row])
        rows.owners = [rows.owners[row] for row in kept]
        rows.sequences = [rows.sequences[row] for row in kept]
        rows.lengths = rows.lengths[kept]

    def rows(self, rows: Iterable[Sequence[int]]) -> Iterator[np.ndarray]:
        """Yield the logits after every token of each row (tokens, vocabulary), computed when they are needed."""
        for row in rows:
            context = self._memory(len(row))
            self._hold(context, None)
            found = [logits.copy() for logits in context.read(row, range(len(row)), [[1]] * len(row), range(len(row)))]
            context.forget(1)
            yield np.stack(found)

    def _memory(self, tokens: int) -> LlamaContext:
        if self._context is None or self._context.tokens < tokens:
            self._context, self._held = None, None
            sequences = 2 if self.model.is_recurrent else _SEQUENCES  # each has a state in memory
            self._context = LlamaContext(self.model, _rounded(max(tokens, 4 * _PACK_TOKENS)), sequences, self._threads)
        return self._context

    def _hold(self, context: LlamaContext, prefix: Prefix | None) -> None:
        """Read a prefix into the first sequence, unless it is there."""
        if self._held == prefix:
            return
        context.clear()
        if prefix:
            _finish(context.read(prefix, range(len(prefix)), [[0]] * len(prefix), []))
        self._held = prefix


@dataclass
class _DecodingRows:
    """Rows that are being generated: the memory and the sequence of each, and the number of its tokens."""

    contexts: list[LlamaContext]
    owners: list[int]
    sequences: list[int]
    lengths: np.ndarray


@dataclass(frozen=True)
class _Group:
    """Paths of a pack that are read together, each as a sequence."""

    pack: Pack
    place: dict[int, int]
    """Place in the pack -> place in the group."""
    members: list[list[int]]
    """The sequences of each token of the group; it sees the earlier tokens of the first one."""
    sequences: range

    @classmethod
    def of(cls, pack: Pack, paths: Sequence[Sequence[int]], first: int) -> "_Group":
        """Return the group of some paths, which become the sequences from `first` on."""
        members: dict[int, list[int]] = {}
        for sequence, path in enumerate(paths, first):
            for place in path:
                members.setdefault(place, []).append(sequence)
        ordered = sorted(members)
        places = {place: number for number, place in enumerate(ordered)}
        return cls(pack, places, [members[place] for place in ordered], range(first, first + len(paths)))

    def read(self, context: LlamaContext, places: Sequence[int], *, shared: bool) -> Iterator[np.ndarray]:
        """Read the tokens, after the prefix in the first sequence if `shared`. Yield the logits after places of the pack,
        ascending."""
        for sequence in self.sequences if shared else ():
            context.share(0, sequence)
        tokens, positions = ([values[place] for place in self.place] for values in (self.pack.tokens, self.pack.positions))
        return context.read(tokens, positions, self.members, [self.place[place] for place in places])


def pack_paths(pack: Pack) -> list[list[int]]:
    """Return the places of every sequence of a pack that no longer one begins with."""
    inner = set(pack.parents)
    found = []
    for place in range(len(pack)):
        if place in inner:
            continue
        path = [place]
        while pack.parents[path[-1]] >= 0:
            path.append(pack.parents[path[-1]])
        found.append(path[::-1])
    return found


def _finish(reading: Iterator[np.ndarray]) -> None:
    for _ in reading:
        pass


def _rounded(tokens: int) -> int:
    return -(-tokens // 256) * 256

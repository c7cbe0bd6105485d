"""Trials of the faster ways to read several rows at once, on the very model at hand: each is used only where it is exact.

A tree of sequences (see `packs`), rows padded to one length, and rows of equal length are compared with the same rows alone.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch

from fineline.inference.batches import TokenIds
from fineline.inference.packs import Pack, Prompts
from fineline.inference.plain import PlainModel
from fineline.models.config import Precision

Rows = Literal["padded", "equal", "single"]
"""Rows of any length, of one length, or one at a time."""

TESTED = 512  # tokens of the longest window that a trial exceeds; rows longer than a wider one are read alone
_LENGTH = 24  # tokens of a trial without a window
_NEW = 3  # tokens that a trial generates
_WINDOWS = ("window", "windows", "window_size", "window_sizes", "chunk_size", "chunk_sizes")
_SPECIAL = ("token_id", "token_ids", "token_index")
"""Ends of the names of keys in a configuration."""
_TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "bf16": 2.0**-6}
"""Largest difference of two logits, relative to the largest logit."""


class Inexact(Exception):
    """A way to read rows that does not give the numbers of one row at a time."""


def windows(config: Any) -> list[int]:
    """Return the lengths of the windows and chunks of attention in a configuration, in tokens, shortest first."""
    found = {number for key, number in _text(config) if key.endswith(_WINDOWS)}
    return sorted(number for number in found if number > 1)


def original_context(config: Any) -> int | None:
    """Return the length in tokens beyond which the positions of a model may be scaled by the longest row; None if none is."""
    found = [number for key, number in _text(config) if key == "original_max_position_embeddings" and number > 0]
    return min(found, default=None)


def sample(config: Any, length: int, start: int = 0) -> TokenIds:
    """Return tokens of text: none that a model reads as a picture or a sound, or that ends or pads a text."""
    special = {number for key, number in _numbers(config.to_dict()) if key.endswith(_SPECIAL)}
    tokens = [token for token in range(min(config.get_text_config().vocab_size, 4 * TESTED)) if token not in special]
    return tuple(tokens[(7 * place + 3 * (place // 5) + start) % len(tokens)] for place in range(length))


def _text(config: Any) -> Iterator[tuple[str, int]]:
    return _numbers(config.get_text_config().to_dict())


def _numbers(content: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Yield key and value of every integer in a nested configuration; those of a list have the key of the list."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _numbers(value, str(name))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _numbers(value, key)
    elif isinstance(content, int) and not isinstance(content, bool):
        yield key, content


def check_trees(engine: Any, plain: PlainModel, longest: int) -> None:
    """Compare trees, in likelihoods and in generation, with the same sequences alone.

    Args:
        engine: A `TorchEngine`.
        longest: Tokens of the longest sequence that may be part of a tree.

    Raises:
        Inexact: The numbers differ, or the model cannot read a tree.
    """
    length = min(longest, _LENGTH) - _NEW
    if length < 4:
        raise Inexact(f"sequences of at most {longest} tokens are not worth a tree")
    config = plain.host.config
    whole = sample(config, length)
    behind = length // 3
    sequences = sorted([whole, whole[:-2] + sample(config, 2, 1), whole[: behind + 1] + sample(config, length // 2 - 1, 2)])
    with _failing("a tree"), torch.inference_mode():
        state, pack = engine.encode(whole[:behind]), Pack(behind)
        paths = [pack.add(sequence[behind:]) for sequence in sequences]
        alone = [plain.logits([sequence], range(behind, len(sequence)))[0].float() for sequence in sequences]
        candidates = sample(config, 8, 5)
        numbers = [pack.ask([place] * len(candidates), candidates) for path in paths for place in path]
        found = engine.score(state, pack).scores[numbers]
        expected = torch.cat(alone)
        scores = expected.log_softmax(-1)[:, list(candidates)].cpu().numpy()
        room = _room(plain.precision, expected)
        _require(np.abs(found - scores).max(), room)
        _check_generation(engine, plain, sequences, behind, state, room)


def _check_generation(engine: Any, plain: PlainModel, sequences: list[TokenIds], behind: int, state: Any, room: float) -> None:
    """Compare tokens that are generated together with those that each sequence has alone; a row that ends is left out."""
    prompts = Prompts(Pack(behind))
    prompts.paths += [prompts.pack.add(sequence[behind:]) for sequence in sequences]
    tokens, rows = engine.open(state, [prompts], _NEW)
    texts = list(sequences)
    for step in range(_NEW):
        for text, token in zip(texts, tokens.tolist(), strict=True):
            logits = plain.logits([text], [len(text) - 1])[0, 0].float()
            _require((logits.max() - logits[token]).item(), room)
        texts = [(*text, token) for text, token in zip(texts, tokens.tolist(), strict=True)]
        if step == 0:
            kept = np.array([2, 1])
            engine.keep(rows, kept)
            texts, tokens = [texts[number] for number in kept], tokens[kept]
        tokens = engine.write(rows, tokens)


def check_padding(plain: PlainModel) -> None:
    """Compare rows of different lengths, padded on the right, with each row alone.

    Raises:
        Inexact: The logits differ, or the model cannot read padded rows.
    """
    rows = [sample(plain.host.config, length, length) for length in (_LENGTH, _LENGTH // 2, 5)]
    with _failing("padded rows"):
        together = plain.logits(rows, range(_LENGTH)).float()
        room = _room(plain.precision, together)
        for row, found in zip(rows, together, strict=True):
            alone = plain.logits([row], range(len(row)))[0].float()
            _require((found[: len(row)] - alone).abs().max().item(), room)


def check_generation(plain: PlainModel, longest: int, *, padded: bool) -> None:
    """Compare rows that are generated together with each row alone.

    Args:
        longest: Tokens of the longest row, including new ones.
        padded: Rows of different lengths, the longest of which exceeds every window of at most `TESTED` tokens.

    Raises:
        Inexact: The logits differ, or the model cannot generate such rows together.
    """
    config = plain.host.config
    beyond = max([_LENGTH, *(window + 2 for window in windows(config) if window <= TESTED)])
    lengths = (min(beyond, longest - _NEW), 9, 4) if padded else (9, 9)
    rows = [sample(config, min(length, longest - _NEW), place) for place, length in enumerate(lengths)]
    with _failing("rows generated together"):
        together = plain.next_logits(rows, _NEW)
        room = _room(plain.precision, torch.cat(together))
        for number, row in enumerate(rows):
            for step, alone in enumerate(plain.next_logits([row], _NEW)):
                _require((together[step][number] - alone[0]).abs().max().item(), room)
                token = int(alone[0].argmax())
                if token != int(together[step][number].argmax()):  # equally likely: the rows continue differently
                    break


def _room(precision: Precision, logits: torch.Tensor) -> float:
    return _TOLERANCE[precision] * max(1.0, logits.abs().max().item())


def _require(difference: float, room: float) -> None:
    if not difference <= room:  # NaN counts as different
        raise Inexact(f"differs by {difference:.1e} from one row at a time")


class _failing:
    """Within the context, an error of the model is `Inexact`: the plain path does not need what failed."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Inexact):
            raise Inexact(f"{self.subject} {error}") from None
        if isinstance(error, Exception):
            line = str(error).partition("\n")[0][:200]
            raise Inexact(f"the model cannot read {self.subject}: {type(error).__name__}: {line}") from error

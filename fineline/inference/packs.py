"""Packs: many token sequences read as one, with shared beginnings once and without padding.

Sequences with a common beginning form a tree: a context with its choices, prompts that share a template. The tokens of the tree
are listed depth first. Each token has its position in its sequence and sees only its ancestors, so a model reads the tree as it
would read every sequence alone (the tree attention of SpecInfer, Miao et al. 2023, arXiv 2305.09781, section 4.2).
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

_PIECE = 1024  # tokens that are read in one pass
_CHUNK = 64  # rows of logits that are processed at once: 64 x 50,000 numbers fit in a processor's cache


class Pack:
    """A tree of tokens after a prefix that all of its sequences share, and the log-probabilities that are needed from it.

    Args:
        behind: Number of tokens of the prefix. Sequences are added without it.
    """

    def __init__(self, behind: int = 0) -> None:
        self.behind = behind
        self.tokens: list[int] = []
        self.parents: list[int] = []
        """Place of the preceding token; -1 for the last one of the prefix."""
        self.positions: list[int] = []
        """Number of tokens before each in its sequence, including the prefix."""
        self.targets: dict[tuple[int, int], int] = {}
        """(place, token), for which the log-probability of the token after the one at the place is needed -> its number."""
        self._last: tuple[Sequence[int], list[int]] = ((), [])

    def __len__(self) -> int:
        return len(self.tokens)

    def growth(self, sequence: Sequence[int]) -> int:
        """Return the number of tokens that `add` would add."""
        return len(sequence) - alike(sequence, self._last[0])

    def add(self, sequence: Sequence[int]) -> list[int]:
        """Add a sequence, and return the places of its tokens. A sequence shares tokens only with the previous one, so
        sequences should be added in lexical order."""
        before, path = self._last
        path = path[: alike(sequence, before)]
        for token in sequence[len(path) :]:
            self.parents.append(path[-1] if path else -1)
            self.positions.append(self.behind + len(path))
            path.append(len(self.tokens))
            self.tokens.append(token)
        self._last = (sequence, path)
        return path

    def ask(self, places: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """Request the log-probability of each token after the one at its place, and return the numbers of the requests."""
        return [self.targets.setdefault(pair, len(self.targets)) for pair in zip(places, tokens, strict=True)]

    @property
    def is_chain(self) -> bool:
        """True if the pack is a single sequence."""
        return all(parent == place - 1 for place, parent in enumerate(self.parents))

    def visible(self) -> np.ndarray:
        """Return the tokens that each token sees, (tokens, prefix + tokens) of bool."""
        size = len(self)
        own = np.zeros((size + 1, size), dtype=bool)  # the last row is for tokens directly after the prefix
        for place, parent in enumerate(self.parents):
            own[place] = own[parent]
            own[place, place] = True
        return np.concatenate([np.ones((size, self.behind), dtype=bool), own[:size]], axis=1)

    def pieces(self, places: int) -> Iterator[tuple[int, int, list[int]]]:
        """Cut the pack, so that the logits of at most `places` places are in memory at once. Yield for each piece the first
        place, the place after the last, and the places in between with a request."""
        wanted = sorted({place for place, _ in self.targets})
        first = 0
        while first < len(self):
            last = min(first + _PIECE, len(self))
            inside = wanted[bisect_left(wanted, first) : bisect_left(wanted, last)]
            if len(inside) > places:
                last = inside[places]
            yield first, last, inside[:places]
            first = last

    def read_off(self, logits: torch.Tensor, places: Sequence[int], answers: "Answers") -> None:
        """Fill in the requests that logits (places, vocabulary) answer."""
        line_of = {place: line for line, place in enumerate(places)}
        found = [(number, line_of[place], token) for (place, token), number in self.targets.items() if place in line_of]
        if not found:
            return
        numbers, *rest = (np.array(part) for part in zip(*found, strict=True))
        lines, tokens = (torch.from_numpy(part).to(logits.device) for part in rest)
        scores, greedy = logits.new_empty(len(lines), dtype=torch.float64), lines.new_empty(len(lines), dtype=torch.bool)
        for first in range(0, len(logits), _CHUNK):
            chunk = logits[first : first + _CHUNK].float()
            highest, likeliest = chunk.max(dim=-1)
            inside = ((lines >= first) & (lines < first + len(chunk))).nonzero()[:, 0]
            line, token = lines[inside] - first, tokens[inside]
            total = (chunk - highest[:, None]).exp_().sum(dim=-1).log_()
            scores[inside] = (chunk[line, token] - highest[line]).double() - total[line]
            greedy[inside] = likeliest[line] == token
        answers.scores[numbers], answers.greedy[numbers] = scores.cpu().numpy(), greedy.cpu().numpy()


@dataclass
class Prompts:
    """Prompts that share a pack, each of which becomes a separate row."""

    pack: Pack
    paths: list[list[int]] = field(default_factory=list)
    """The places of the tokens of each prompt, without the prefix."""

    @property
    def lengths(self) -> list[int]:
        """Number of tokens of each prompt, with the prefix."""
        return [self.pack.behind + len(path) for path in self.paths]

    def slots(self, longest: int, ahead: int = 0) -> np.ndarray:
        """Return the slots of the tokens of each prompt in the cache that the pack was read into, (prompts, ahead + longest).
        Slots after the last token are arbitrary. `ahead` is the number of virtual tokens before the prefix."""
        before = ahead + self.pack.behind
        slots = np.zeros((len(self.paths), ahead + longest), dtype=np.int64)
        slots[:, :before] = np.arange(before)
        for row, path in zip(slots, self.paths, strict=True):
            row[before : before + len(path)] = before + np.array(path)
        return slots


class Answers:
    """The answers to the requests of a pack.

    Args:
        count: Number of targets of the pack.
    """

    def __init__(self, count: int) -> None:
        self.scores = np.full(count, np.nan)
        """(targets,): log-probabilities in nats."""
        self.greedy = np.zeros(count, dtype=bool)
        """(targets,): True for the likeliest token at its place."""

    def of(self, numbers: Sequence[int]) -> tuple[float, bool]:
        """Return the log-likelihood of the continuation of these requests, and True if greedy decoding would produce it."""
        score = float(self.scores[list(numbers)].sum())
        return score, bool(self.greedy[list(numbers)].all()) and score == score


def alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the number of tokens that two sequences have in common at the beginning."""
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same

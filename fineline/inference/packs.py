"""Packs: many token sequences read as one, what they begin with only once and no padding anywhere.

Sequences that begin alike are a tree: a context with its choices, prompts that share a template. Its tokens stand one behind
another, depth first; each has the position that it has in its sequence and sees its own ancestors only, so a model reads the
tree as if every sequence stood alone (the tree attention of SpecInfer, Miao et al. 2023, arXiv 2305.09781, section 4.2).
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

_CHUNK = 64  # rows of logits that are worked on at once: 64 x 50,000 numbers lie in a processor's cache


class Pack:
    """A tree of tokens behind a prefix that all of its sequences share, and what is to be read off it.

    Args:
        behind: Tokens of the prefix. Sequences are added without it.
    """

    def __init__(self, behind: int = 0) -> None:
        self.behind = behind
        self.tokens: list[int] = []
        self.parents: list[int] = []
        """Place of the token before; -1 is the last one of the prefix."""
        self.positions: list[int] = []
        """How many tokens stand before each in its sequence, those of the prefix too."""
        self.targets: dict[tuple[int, int], int] = {}
        """(place, token): the log-probability of a token after the one at its place is needed; its number."""
        self._last: tuple[Sequence[int], list[int]] = ((), [])

    def __len__(self) -> int:
        return len(self.tokens)

    def growth(self, sequence: Sequence[int]) -> int:
        """How many tokens `add` would add."""
        return len(sequence) - alike(sequence, self._last[0])

    def add(self, sequence: Sequence[int]) -> list[int]:
        """Add a sequence: the places of its tokens. Only what it has in common with the sequence before is shared, so
        sequences should come in lexical order."""
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
        """Ask for the log-probability of each token after the one at its place: their numbers."""
        return [self.targets.setdefault(pair, len(self.targets)) for pair in zip(places, tokens, strict=True)]

    @property
    def is_chain(self) -> bool:
        """Whether it is one sequence."""
        return all(parent == place - 1 for place, parent in enumerate(self.parents))

    def visible(self) -> np.ndarray:
        """(tokens, prefix + tokens) of bool: what each token sees."""
        size = len(self)
        own = np.zeros((size + 1, size), dtype=bool)  # the last line is seen by those right behind the prefix
        for place, parent in enumerate(self.parents):
            own[place] = own[parent]
            own[place, place] = True
        return np.concatenate([np.ones((size, self.behind), dtype=bool), own[:size]], axis=1)

    def pieces(self, longest: int) -> Iterator[tuple[int, int, list[int]]]:
        """Cut for models that are not to hold too many logits at once: first place, place behind the last, and the places in
        between after which something is asked."""
        wanted = sorted({place for place, _ in self.targets})
        for first in range(0, len(self), longest):
            last = min(first + longest, len(self))
            yield first, last, wanted[bisect_left(wanted, first) : bisect_left(wanted, last)]

    def read_off(self, logits: torch.Tensor, places: Sequence[int], answers: "Answers") -> None:
        """Fill in what can be read off logits (places, vocabulary)."""
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
    """Prompts that share a pack, each to become a row of its own."""

    pack: Pack
    paths: list[list[int]] = field(default_factory=list)
    """For each, the places of its tokens, without those of the prefix."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each, with the prefix."""
        return [self.pack.behind + len(path) for path in self.paths]

    def slots(self, longest: int, ahead: int = 0) -> np.ndarray:
        """(prompts, ahead + longest): where the tokens of each stand in the cache that the pack was read into; behind the last
        one anything. `ahead` tokens that are not ours stand before the prefix."""
        before = ahead + self.pack.behind
        slots = np.zeros((len(self.paths), ahead + longest), dtype=np.int64)
        slots[:, :before] = np.arange(before)
        for row, path in zip(slots, self.paths, strict=True):
            row[before : before + len(path)] = before + np.array(path)
        return slots


class Answers:
    """What was asked of a pack.

    Args:
        count: Targets of the pack.
    """

    def __init__(self, count: int) -> None:
        self.scores = np.full(count, np.nan)
        """(targets,): log-probabilities in nats."""
        self.greedy = np.zeros(count, dtype=bool)
        """(targets,): whether each is the likeliest token at its place."""

    def of(self, numbers: Sequence[int]) -> tuple[float, bool]:
        """The log-likelihood of a continuation whose tokens have these numbers, and whether greedy decoding would give it."""
        score = float(self.scores[list(numbers)].sum())
        return score, bool(self.greedy[list(numbers)].all()) and score == score


def alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same

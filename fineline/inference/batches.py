"""Batches: which requests are answered together. They depend on the requests alone, so every model sees the same ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, NamedTuple, TypeVar

from fineline.inference.packs import Pack, alike

Tokens = tuple[int, ...]

_WORTH = 512  # tokens that a prefix of its own must save: reading it costs a pass, and it leaves packs that are not full


class Question(NamedTuple):
    """How likely is a continuation after its context?"""

    context: Tokens
    continuation: Tokens

    @property
    def start(self) -> Tokens:
        """What may be in common with others."""
        return self.context

    @property
    def length(self) -> int:
        """Tokens that the model reads: the last one is only asked for."""
        return len(self.context) + len(self.continuation) - 1


class Prompt(NamedTuple):
    """What is written after a prompt?"""

    tokens: Tokens
    limit: int
    """New tokens at most."""
    stops: tuple[str, ...]
    """Texts that end the answer and do not belong to it."""

    @property
    def start(self) -> Tokens:
        """What may be in common with others."""
        return self.tokens

    @property
    def length(self) -> int:
        """Tokens at most, with those that are written."""
        return len(self.tokens) + self.limit


Request = TypeVar("Request", Question, Prompt)


@dataclass(frozen=True)
class Batch(Generic[Request]):
    """Requests that are answered together."""

    prefix: Tokens
    """What all of them begin with, and at least one token less than the shortest start: read once, also for other batches."""
    requests: list[Request]
    """In lexical order."""


def of_questions(questions: Iterable[Question], *, capacity: int, longest: int) -> Iterator[Batch[Question]]:
    """Batches that make packs of about `capacity` tokens; the choices of a context stay together.

    Args:
        longest: Tokens of a sequence that may share a pack; longer ones are asked alone.
    """
    yield from _families(questions, longest, lambda family: _packed(family, capacity))


def of_prompts(prompts: Iterable[Prompt], *, budget: int, longest: int) -> Iterator[Batch[Prompt]]:
    """Batches of like length whose caches together hold at most `budget` tokens.

    Args:
        longest: Tokens of a sequence that may stand beside others; longer ones are written alone.
    """
    yield from _families(prompts, longest, lambda family: _beside(family, budget))


def _families(
    requests: Iterable[Request], longest: int, cut: Callable[[Batch[Request]], Iterator[list[Request]]]
) -> Iterator[Batch[Request]]:
    ordered = sorted(requests)
    short = [request for request in ordered if request.length <= longest]
    for prefix, members in _alike(short, 0):
        for part in cut(Batch(prefix, members)):
            yield Batch(prefix, part)
    for request in ordered:
        if request.length > longest:
            yield Batch((), [request])


def _alike(requests: Sequence[Request], shared: int) -> Iterator[tuple[Tokens, list[Request]]]:
    """Requests by the prefix that is worth reading apart; all given begin with the same `shared` tokens and one more."""
    rest: list[Request] = []
    for _, run in groupby(requests, key=lambda request: request.start[shared]):
        same = list(run)
        short = [request for request in same if len(request.start) == shared + 1]  # the run's token is their own last one
        rest += short
        longer = same[len(short) :]  # shorter ones come first in lexical order
        if not longer:
            continue
        deeper = min(alike(longer[0].start, longer[-1].start), min(len(request.start) for request in longer) - 1)
        if (deeper - shared) * (len(longer) - 1) > _WORTH:
            yield from _alike(longer, deeper)
        else:
            rest += longer
    if rest:
        yield rest[0].start[:shared], rest


def _packed(family: Batch[Question], capacity: int) -> Iterator[list[Question]]:
    behind = len(family.prefix)
    part: list[Question] = []
    pack = Pack()
    for question in family.requests:
        sequence = (question.context + question.continuation[:-1])[behind:]
        if part:
            begun = question.context == part[-1].context  # to cut here would mean to read the context again
            most = capacity + (max(capacity, len(question.context) - behind) if begun else 0)
            if len(pack) + pack.growth(sequence) > most:
                yield part
                part, pack = [], Pack()
        pack.add(sequence)
        part.append(question)
    if part:
        yield part


def _beside(family: Batch[Prompt], budget: int) -> Iterator[list[Prompt]]:
    part: list[Prompt] = []
    for prompt in sorted(family.requests, key=lambda prompt: (prompt.length, prompt)):
        if part and prompt.length * (len(part) + 1) > budget:  # the last is the longest
            yield sorted(part)
            part = []
        part.append(prompt)
    if part:
        yield sorted(part)

"""Batches of requests. They depend only on the requests, so every model is asked the same batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, NamedTuple, TypeVar

from fineline.inference.packs import Pack, alike

TokenIds = tuple[int, ...]

_WORTH = 512  # tokens that a separate prefix must save: reading it costs a pass and leaves packs that are not full


class Question(NamedTuple):
    """A request for the likelihood of a continuation after its context."""

    context: TokenIds
    continuation: TokenIds

    @property
    def start(self) -> TokenIds:
        """The tokens of which a beginning may be shared with other requests."""
        return self.context

    @property
    def length(self) -> int:
        """Number of tokens that the model reads: all but the last."""
        return len(self.context) + len(self.continuation) - 1


class Prompt(NamedTuple):
    """A request for a greedy continuation of a prompt."""

    tokens: TokenIds
    limit: int
    """Largest number of new tokens."""
    stops: tuple[str, ...]
    """Texts that end the answer and are not part of it."""

    @property
    def start(self) -> TokenIds:
        """The tokens of which a beginning may be shared with other requests."""
        return self.tokens

    @property
    def length(self) -> int:
        """Largest number of tokens, including new ones."""
        return len(self.tokens) + self.limit


Request = TypeVar("Request", Question, Prompt)


@dataclass(frozen=True)
class Batch(Generic[Request]):
    """Requests that are answered together."""

    prefix: TokenIds
    """Common beginning of all requests, at least one token shorter than the shortest start. Batches with it share one pass."""
    requests: list[Request]
    """In lexical order."""
    tree: bool = True
    """True if the requests may form a pack; False if each is a separate row."""


def of_questions(questions: Iterable[Question], *, capacity: int, longest: int) -> Iterator[Batch[Question]]:
    """Yield batches that form packs of about `capacity` tokens. The choices of a context stay together.

    Args:
        longest: Tokens of the longest sequence that may share a pack; longer ones are left out.
    """
    short = [question for question in questions if question.length <= longest]
    yield from _families(short, lambda family: _packed(family, capacity))


def of_prompts(prompts: Iterable[Prompt], *, budget: int, longest: int) -> Iterator[Batch[Prompt]]:
    """Yield batches of similar length whose caches together have at most `budget` tokens.

    Args:
        longest: Tokens of the longest sequence that may be generated together with others in a pack; longer ones are left out.
    """
    short = [prompt for prompt in prompts if prompt.length <= longest]
    yield from _families(short, lambda family: _together(family.requests, budget))


def rows(requests: Iterable[Request], *, budget: int, longest: int, equal: bool = False) -> Iterator[Batch[Request]]:
    """Yield batches of separate rows that have, padded to one length, at most `budget` tokens.

    Args:
        longest: Tokens of the longest sequence that may be padded; longer ones form separate batches.
        equal: Put only requests that begin with the same number of tokens into a batch, so that none is padded.
    """
    ordered = sorted(requests)
    short = [request for request in ordered if request.length <= longest]
    alone = [request for request in ordered if request.length > longest]
    by_start = sorted(short, key=lambda request: len(request.start)) if equal else short
    for _, group in groupby(by_start, key=lambda request: len(request.start) if equal else 0):
        for part in _together(list(group), budget):
            yield Batch((), part, tree=False)
    for request in alone:
        yield Batch((), [request], tree=False)


def _families(
    requests: Iterable[Request], cut: Callable[[Batch[Request]], Iterator[list[Request]]]
) -> Iterator[Batch[Request]]:
    for prefix, members in _alike(sorted(requests), 0):
        for part in cut(Batch(prefix, members)):
            yield Batch(prefix, part)


def _alike(requests: Sequence[Request], shared: int) -> Iterator[tuple[TokenIds, list[Request]]]:
    """Group requests, which all begin with the same `shared` tokens, by the prefixes that are worth a separate pass."""
    rest: list[Request] = []
    for _, run in groupby(requests, key=lambda request: request.start[shared]):
        same = list(run)
        short = [request for request in same if len(request.start) == shared + 1]  # the token of the run is their last one
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
            begun = question.context == part[-1].context  # a cut here would read the context again
            most = capacity + (max(capacity, len(question.context) - behind) if begun else 0)
            if len(pack) + pack.growth(sequence) > most:
                yield part
                part, pack = [], Pack()
        pack.add(sequence)
        part.append(question)
    if part:
        yield part


def _together(requests: Sequence[Request], budget: int) -> Iterator[list[Request]]:
    part: list[Request] = []
    for request in sorted(requests, key=lambda request: (request.length, request)):
        if part and request.length * (len(part) + 1) > budget:  # the last is the longest
            yield sorted(part)
            part = []
        part.append(request)
    if part:
        yield sorted(part)

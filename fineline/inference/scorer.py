"""The lm-eval model class of fineline, which scores every form of a model (PyTorch, ONNX) in the same way.

Requests with a common beginning are read together (see `packs`) where the engine may do so: a context with all its choices, a
system prompt or few-shot prefix with all its continuations. The others are read as separate rows (see `plain`). Generation
produces many rows at once, and each row ends separately. Batches depend only on the requests and on what the engine may do, so
an adapter and its base are asked the same ones.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from fineline.chat.tokens import chat_of, cut
from fineline.errors import InputError
from fineline.inference import batches
from fineline.inference.batches import Batch, Prompt, Question, TokenIds
from fineline.inference.journal import AnswerJournal
from fineline.inference.memory import Limits
from fineline.inference.packs import Answers, Pack, Prompts
from fineline.inference.plain import PlainModel
from fineline.inference.trials import Rows
from fineline.inference.writing import GeneratedText

_NEW_TOKENS = 256  # for a task without a limit, as in lm-eval


class Engine(Protocol):
    """A causal language model in some runtime."""

    context_length: int
    """Longest sequence in tokens."""
    pack_tokens: int
    """Number of tokens at which reading is most efficient."""
    limits: Limits
    """How much is in memory at once."""

    @property
    def path(self) -> str:
        """Return how requests were read so far, and why."""

    @property
    def plain(self) -> PlainModel | None:
        """The model that reads what may not share a pack; None if a pack of a single sequence does that."""

    @property
    def tree_length(self) -> int:
        """Longest sequence that may share a pack with others, or be generated together with others in one; 0 if none may."""

    @property
    def row_length(self) -> int:
        """Longest sequence that `plain` may read in padded rows; 0 if none may."""

    @property
    def generates(self) -> Rows:
        """The rows that `plain` may generate together."""

    def encode(self, prefix: Sequence[int]) -> Any:
        """Read a prefix of many sequences, and return the state that packs after it need."""

    def score(self, prefix: Any, pack: Pack) -> Answers:
        """Read a pack after a prefix (None if there is none), and return the answers to its requests."""

    def open(self, prefix: Any, packs: Sequence[Prompts], room: int) -> tuple[np.ndarray, Any]:
        """Read prompts after a prefix (None if there is none).

        Args:
            room: Largest number of new tokens per row.

        Returns:
            The likeliest next token of each prompt (rows,), and the rows for `write`.
        """

    def write(self, rows: Any, tokens: np.ndarray) -> np.ndarray:
        """Append a token to each row (rows,), and return the likeliest next tokens (rows,)."""

    def keep(self, rows: Any, kept: np.ndarray) -> None:
        """Continue with the given rows, in that order. Rows that keep their place cost nothing."""


class Scorer(TemplateLM):
    """Answers lm-eval's requests with an `Engine`.

    Contexts are fully rendered chat prompts, so no special token is added when they are tokenized.

    Args:
        chat: The `ChatFormat` of the model, or its tokenizer.
        journal: Stores the answers of every finished batch; batches in it are not computed again.
        budget: Size of batches as a share of the default. Another size gives the same answers up to the order of additions.
    """

    def __init__(self, engine: Engine, chat: Any, journal: AnswerJournal | None = None, *, budget: float = 1.0) -> None:
        super().__init__()
        self.engine = engine
        self.chat = chat_of(chat)
        self._ends = frozenset(self.chat.ends.values())
        self.journal = journal
        self.budget = budget
        self._encoded = _tokenized(self.chat.tokenizer)
        self._prefix: tuple[TokenIds, Any] = ((), None)

    @property
    def eot_token_id(self) -> int:
        """A token that ends a turn: the tokenizer's end-of-sequence token if it does."""
        return self.chat.ends.get(self.chat.eos or "", min(self._ends))

    @property
    def prefix_token_id(self) -> int:
        """The token before a text without context."""
        begin = self.chat.tokenizer.special.get("bos_token")
        return self.eot_token_id if begin is None else self.chat.tokenizer.added.get(begin, self.eot_token_id)

    @property
    def tokenizer_name(self) -> str:
        """Part of lm-eval's cache keys, which fineline does not use."""
        return "fineline"

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Return the token ids of a text."""
        return list(self._encoded(string))

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a context and of its continuation, cut as those of training are."""
        return cut(self.chat.tokenizer.ids, context, continuation, self.chat.eos)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return a prompt rendered with the chat template; without a generation prompt, the last message is a begun answer."""
        if add_generation_prompt:
            return self.chat.prompt(chat_history)
        return self.chat.prompt(chat_history[:-1]) + chat_history[-1]["content"]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Return lm-eval's results without showing its progress bar."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation after its context, and True if greedy decoding would produce it."""
        asked = [self._question(context, continuation) for _text, context, continuation in requests]
        capacity = max(1, int(self.engine.pack_tokens * self.budget))
        longest = self.engine.tree_length
        parts = list(batches.of_questions(set(asked), capacity=capacity, longest=longest))
        if others := {question for question in asked if question.length > longest}:
            parts += batches.rows(others, budget=capacity, longest=self.engine.row_length)
        answers: dict[Question, tuple[float, bool]] = {}
        for batch in parts:
            answers.update(zip(batch.requests, self._answered("likelihood", batch, self._score), strict=True))
        self._prefix = ((), None)
        return [answers[question] for question in asked]

    def _question(self, context: Sequence[int], continuation: Sequence[int]) -> Question:
        if not continuation:
            raise ValueError("an empty continuation has no likelihood")
        room = self.engine.context_length + 1 - len(continuation)  # the last token is not read
        if room < 1:
            raise InputError(
                f"a continuation has {len(continuation)} tokens, but the model's context is {self.engine.context_length}"
            )
        return Question(tuple(context[-room:]), tuple(continuation))

    def _score(self, batch: Batch[Question]) -> list[tuple[float, bool]]:
        if self.engine.plain is not None and not batch.tree:
            return self.engine.plain.score(batch.requests)
        behind = len(batch.prefix)
        pack = Pack(behind)
        numbers = []
        for context, continuation in batch.requests:
            places = pack.add((context + continuation[:-1])[behind:])
            numbers.append(pack.ask(places[-len(continuation) :], continuation))
        found = self.engine.score(self._read(batch.prefix), pack)
        return [found.of(those) for those in numbers]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of whole texts, in disjoint windows of the context length."""
        windows, owners = [], []
        for number, request in enumerate(requests):
            for window in get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.engine.context_length,
                context_len=1,
            ):
                windows.append((None, *make_disjoint_window(window)))
                owners.append(number)
        totals = [0.0] * len(requests)
        for owner, (score, _) in zip(owners, self._loglikelihood_tokens(windows), strict=True):
            totals[owner] += score
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return greedy continuations. Each ends at the end-of-turn token, at a stop text, or at its limit of new tokens."""
        asked = [self._prompt(*request.args) for request in requests]
        budget = max(1, int(self.engine.limits.tokens * self.budget))
        texts: dict[Prompt, str] = {}
        longest = self.engine.tree_length
        parts = list(batches.of_prompts(set(asked), budget=budget, longest=longest))
        if others := {prompt for prompt in asked if prompt.length > longest}:
            kind = self.engine.generates
            shared = 0 if kind == "single" else self.engine.row_length
            parts += batches.rows(others, budget=budget, longest=shared, equal=kind == "equal")
        for batch in parts:
            texts.update(zip(batch.requests, self._answered("text", batch, self._write), strict=True))
        self._prefix = ((), None)
        return [texts[prompt] for prompt in asked]

    def _prompt(self, context: str, options: dict[str, Any]) -> Prompt:
        if options.get("do_sample") or options.get("temperature"):
            raise ValueError("the scorer decodes greedily; remove do_sample and temperature from the task")
        limit = int(options.get("max_gen_toks", _NEW_TOKENS))
        room = self.engine.context_length - limit
        if room < 1:
            raise InputError(
                f"max_gen_toks is {limit}, but the model's context, including the prompt, is {self.engine.context_length}"
            )
        until = options.get("until") or []
        stops = [until] if isinstance(until, str) else until
        tokens = self.tok_encode(context)[-room:] or [self.prefix_token_id]
        return Prompt(tuple(tokens), limit, tuple(stop for stop in stops if stop))

    def _write(self, batch: Batch[Prompt]) -> list[str]:
        texts = [GeneratedText(self.chat.tokenizer.decode, self._ends, prompt.limit, prompt.stops) for prompt in batch.requests]
        if self.engine.plain is not None and not batch.tree:
            prompts = [prompt.tokens for prompt in batch.requests]
            room = max(prompt.limit for prompt in batch.requests)
            self.engine.plain.generate(prompts, room, lambda number, token: texts[number].take(token))
            return [str(text) for text in texts]
        packs = self._prompts(batch)
        tokens, rows = self.engine.open(self._read(batch.prefix), packs, max(prompt.limit for prompt in batch.requests))
        writing = np.arange(len(texts))  # index of the text of each row
        while True:
            going = np.array([not texts[owner].take(token) for owner, token in zip(writing, tokens.tolist(), strict=True)])
            if not going.any():
                return [str(text) for text in texts]
            if not going.all():
                kept = _closed_up(going)
                self.engine.keep(rows, kept)
                writing, tokens = writing[kept], tokens[kept]
            tokens = self.engine.write(rows, tokens)

    def _prompts(self, batch: Batch[Prompt]) -> list[Prompts]:
        """Return the prompts of a batch in packs."""
        behind = len(batch.prefix)
        packs = [Prompts(Pack(behind))]
        for prompt in batch.requests:
            tokens = prompt.tokens[behind:]
            if packs[-1].paths and len(packs[-1].pack) + packs[-1].pack.growth(tokens) > self.engine.pack_tokens:
                packs.append(Prompts(Pack(behind)))
            packs[-1].paths.append(packs[-1].pack.add(tokens))
        return packs

    def _read(self, prefix: TokenIds) -> Any:
        """Return the engine's state after a prefix; the last one is cached."""
        if self._prefix[0] != prefix:
            self._prefix = (prefix, self.engine.encode(prefix) if prefix else None)
        return self._prefix[1]

    def _answered(self, kind: str, batch: Batch[Any], compute: Callable[[Batch[Any]], list[Any]]) -> list[Any]:
        """Return the answers to a batch, from the journal if it has them."""
        if self.journal is None:
            return compute(batch)
        asked = [kind, batch.requests]
        answers = self.journal.answers(asked)
        if answers is None:
            answers = compute(batch)
            self.journal.add(asked, answers)
        return answers


def _tokenized(tokenizer: Any) -> Callable[[str], TokenIds]:
    """Return a function from text to tokens with a cache: lm-eval tokenizes a context again for every choice.

    It has no reference to the scorer, which would keep itself, and so the engine's memory, until a garbage collection.
    """

    @lru_cache(maxsize=1024)
    def encoded(text: str) -> TokenIds:
        return tuple(tokenizer.ids(text))

    return encoded


def _closed_up(going: np.ndarray) -> np.ndarray:
    """Return the rows to continue with: the first ones keep their places, and rows from the end fill the gaps."""
    kept = np.arange(going.sum())
    kept[~going[: len(kept)]] = len(kept) + going[len(kept) :].nonzero()[0]
    return kept

"""Our lm-eval model class: one way of scoring for every form of a model (PyTorch, ONNX).

Multiple choice encodes each context once and continues from its key-value cache for every choice, which costs n + C*m tokens
instead of C*(n + m). Requests are batched by length within a budget of tokens; the composition of batches depends on the
requests alone, so two models see the same batches.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

# rows x (context + continuation), which bound the memory of a batch
SCORED_TOKENS = 4096  # logits of every continuation token are held at once
WRITTEN_TOKENS = 12288  # generation holds the logits of one token a row; what grows is the key-value cache

Request = tuple[tuple[str, str], list[int], list[int]]


class Engine(Protocol):
    """A causal language model with a key-value cache, in whatever runtime. Rows are padded at the right."""

    context_length: int
    """Longest sequence in tokens."""

    def start(self, input_ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, Any]:
        """Encode contexts (rows, tokens) of the given lengths.

        Returns:
            Logits after the last token of each row (rows, vocabulary) as float32, and the cache.
        """

    def extend(self, input_ids: np.ndarray, lengths: np.ndarray, cache: Any) -> tuple[np.ndarray, Any]:
        """Append tokens (rows, new tokens) to cached rows whose lengths so far are `lengths`.

        Returns:
            Logits after each new token (rows, new tokens, vocabulary) as float32, and the cache.
        """

    def select(self, cache: Any, rows: np.ndarray) -> Any:
        """A cache of the given rows, in that order; a row may be named more than once."""


class Scorer(TemplateLM):
    """Answers lm-eval's requests with an `Engine`.

    Contexts are chat prompts rendered in full, so no special token is added when they are tokenised.
    """

    def __init__(self, engine: Engine, tokenizer: Any) -> None:
        super().__init__()
        self.engine = engine
        self.tokenizer = tokenizer

    @property
    def eot_token_id(self) -> int:
        """The token that ends a turn."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that has no context."""
        return self.eot_token_id if self.tokenizer.bos_token_id is None else self.tokenizer.bos_token_id

    @property
    def tokenizer_name(self) -> str:
        """Part of lm-eval's cache keys, which fineline does not use."""
        return "fineline"

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids of a text."""
        return self.tokenizer(string, add_special_tokens=False)["input_ids"]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The prompt as the tokenizer's own template renders it."""
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """As lm-eval has it, without its progress bar."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        """Log-probability of each continuation after its context, and whether greedy decoding would give it."""
        places: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, (_text, context, continuation) in enumerate(requests):
            if not continuation:
                raise ValueError("an empty continuation has no likelihood")
            places[tuple(context[-(self.engine.context_length - len(continuation)) :])].append(place)
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        longest = {context: max(len(requests[place][2]) for place in same) for context, same in places.items()}
        sizes = {context: (len(context) + longest[context]) * len(same) for context, same in places.items()}
        # alike in continuations first: their padding is paid once per choice, that of contexts only once
        ordered = sorted(places, key=lambda context: (longest[context], len(context), context))
        for contexts in _batches(ordered, sizes, SCORED_TOKENS):
            order = [place for context in contexts for place in places[context]]
            owner = np.repeat(np.arange(len(contexts)), [len(places[context]) for context in contexts])
            scored = self._score(contexts, owner, [requests[place][2] for place in order])
            for place, answer in zip(order, scored, strict=True):
                answers[place] = answer
        return answers

    def _score(
        self, contexts: Sequence[tuple[int, ...]], owner: np.ndarray, continuations: list[list[int]]
    ) -> list[tuple[float, bool]]:
        """Score continuations, the i-th after `contexts[owner[i]]`."""
        input_ids, lengths = _padded(contexts)
        first, cache = self.engine.start(input_ids, lengths)
        heads = np.array([tokens[0] for tokens in continuations])
        scores, greedy = _log_probabilities(first[owner], heads)
        longer = np.array([row for row, tokens in enumerate(continuations) if len(tokens) > 1], dtype=np.int64)
        if longer.size:
            tails, steps = _padded([continuations[row][:-1] for row in longer])
            wanted, _ = _padded([continuations[row][1:] for row in longer])
            logits, _ = self.engine.extend(tails, lengths[owner[longer]], self.engine.select(cache, owner[longer]))
            real = np.arange(tails.shape[1]) < steps[:, None]
            tail_scores, tail_greedy = _log_probabilities(logits, wanted)
            scores[longer] += np.where(real, tail_scores, 0.0).sum(axis=1)
            greedy[longer] &= (tail_greedy | ~real).all(axis=1)
        return [(float(score), bool(same)) for score, same in zip(scores, greedy, strict=True)]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, in disjoint windows of the context length."""
        totals = []
        for request in requests:
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.engine.context_length - 1,
                context_len=1,
            )
            pairs = [(("", ""), *make_disjoint_window(window)) for window in windows]
            totals.append(sum(score for score, _ in self._loglikelihood_tokens(pairs)))
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations. A row ends at the end-of-turn token, at a stop text, or at its limit of new tokens."""
        prompts = [tuple(self.tok_encode(request.args[0])) for request in requests]
        options = [request.args[1] for request in requests]
        for option in options:
            if option.get("do_sample") or option.get("temperature"):
                raise ValueError("the scorer decodes greedily; remove do_sample and temperature from the task")
        limits = [int(option.get("max_gen_toks", 256)) for option in options]
        stops = [[stop for stop in option.get("until", []) if stop] for option in options]
        sizes = {place: len(prompts[place]) + limits[place] for place in range(len(requests))}
        texts = [""] * len(requests)
        ordered = sorted(sizes, key=lambda place: (sizes[place], prompts[place], place))
        for batch in _batches(ordered, sizes, WRITTEN_TOKENS):
            written = self._generate(
                [prompts[place] for place in batch],
                [limits[place] for place in batch],
                [stops[place] for place in batch],
            )
            for place, text in zip(batch, written, strict=True):
                texts[place] = text
        return texts

    def _generate(self, prompts: list[tuple[int, ...]], limits: list[int], stops: list[list[str]]) -> list[str]:
        input_ids, lengths = _padded(prompts)
        last, cache = self.engine.start(input_ids, lengths)
        written: list[list[int]] = [[] for _ in prompts]
        texts = [""] * len(prompts)
        rows = np.arange(len(prompts))  # which prompt each cached row belongs to
        while rows.size:
            chosen = last.argmax(axis=-1)
            going = np.ones(len(rows), dtype=bool)
            for place, (row, token) in enumerate(zip(rows, chosen, strict=True)):
                if token != self.eot_token_id:
                    written[row].append(int(token))
                ended = token == self.eot_token_id or len(written[row]) >= limits[row]
                if ended or stops[row]:
                    texts[row] = self.tokenizer.decode(written[row], skip_special_tokens=True)
                    cut = min((at for stop in stops[row] if (at := texts[row].find(stop)) >= 0), default=None)
                    texts[row] = texts[row][:cut]
                    ended = ended or cut is not None
                going[place] = not ended
            kept = going.nonzero()[0]
            if len(kept) < len(rows):
                cache = self.engine.select(cache, kept)
                rows, chosen, lengths = rows[kept], chosen[kept], lengths[kept]
            if rows.size:
                logits, cache = self.engine.extend(chosen[:, None].astype(np.int64), lengths, cache)
                last = logits[:, 0]
                lengths = lengths + 1
        return texts


def _batches(ordered: Sequence[Any], sizes: dict[Any, int], budget: int) -> Iterator[list[Any]]:
    """Cut a sequence into batches whose padded size (rows times the largest) stays within the budget."""
    batch: list[Any] = []
    largest = 0
    for item in ordered:
        largest = max(largest, sizes[item])
        if batch and largest * (len(batch) + 1) > budget:
            yield batch
            batch, largest = [], sizes[item]
        batch.append(item)
    if batch:
        yield batch


def _padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows padded at the right with zeros (rows, longest), and their lengths (rows)."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded, lengths


def _log_probabilities(logits: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log softmax(logits)[token] for logits (..., vocabulary) and tokens (...), and whether the token is the greedy choice."""
    wide = torch.from_numpy(logits)
    chosen = torch.from_numpy(tokens)
    scores = wide.gather(-1, chosen.unsqueeze(-1)).squeeze(-1) - wide.logsumexp(dim=-1)
    return scores.double().numpy(), (wide.argmax(dim=-1) == chosen).numpy()

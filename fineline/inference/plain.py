"""The plain path: a model's own forward pass over padded rows, and its own `generate` with its own type of cache.

It works for every causal language model that transformers loads: recurrent layers, windows, chunks, caches of any type.
"""

import inspect
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, StoppingCriteria

from fineline.inference.batches import Question, TokenIds
from fineline.models.config import Precision, autocast

Take = Callable[[int, int], bool]
"""Called with the number of a row and its next token; returns True if that was its last one."""


class PlainModel:
    """A `transformers` model, with or without an adapter, that reads rows as it is.

    Args:
        precision: Precision of the computation.
        within: Context of every pass.
        places: Places whose logits may be in memory at once.
    """

    def __init__(
        self, model: Any, precision: Precision, within: Callable[[], AbstractContextManager[None]], places: int
    ) -> None:
        self.model = model
        self.precision = precision
        self.host = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.device = next(model.parameters()).device
        self.places = places
        self._within = within
        self._accepted = set(inspect.signature(self.host.forward).parameters)

    @torch.inference_mode()
    def logits(self, rows: Sequence[TokenIds], keep: Sequence[int]) -> torch.Tensor:
        """Return the logits after the places in `keep` of each row, (rows, places, vocabulary).

        Shorter rows are padded on the right: no token of a causal model depends on those after it. A row is padded with its
        last token, which is a token of text for every model.
        """
        longest = max(len(row) for row in rows)
        ids = torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows], device=self.device)
        options = {"use_cache": False, "logits_to_keep": torch.tensor(keep, device=self.device)}
        options = {name: value for name, value in options.items() if name in self._accepted}
        with autocast(self.precision, self.device.type), self._within():
            logits: torch.Tensor = self.model(input_ids=ids, **options).logits
        return logits if logits.shape[1] == len(keep) else logits[:, list(keep)]

    def score(self, questions: Sequence[Question]) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation, and True if greedy decoding would produce it.

        A sequence that another one begins with is not read again.
        """
        rows = _longest_of([question.context + question.continuation[:-1] for question in questions])
        asked = [(bisect_left(rows, one.context + one.continuation[:-1]), len(one.context) - 1) for one in questions]
        lengths = [len(question.continuation) for question in questions]
        wanted = sorted({first + step for (_, first), length in zip(asked, lengths, strict=True) for step in range(length)})
        size = max(1, self.places // len(rows)) if "logits_to_keep" in self._accepted else len(wanted)
        scores, greedy = [0.0] * len(questions), [True] * len(questions)
        for start in range(0, len(wanted), size):
            places = wanted[start : start + size]
            logits = self.logits(rows, places)
            for number, (question, (row, first)) in enumerate(zip(questions, asked, strict=True)):
                after = first + len(question.continuation)
                inside = [place for place in range(first, after) if places[0] <= place <= places[-1]]
                if not inside:
                    continue
                lines = [bisect_left(places, place) for place in inside]
                tokens = torch.tensor([question.continuation[place - first] for place in inside], device=self.device)
                found = logits[row, lines].float().log_softmax(-1)
                scores[number] += found.gather(-1, tokens[:, None]).double().sum().item()
                greedy[number] &= bool((found.argmax(-1) == tokens).all())
        return [(score, likeliest and score == score) for score, likeliest in zip(scores, greedy, strict=True)]

    @torch.inference_mode()
    def generate(self, prompts: Sequence[TokenIds], room: int, take: Take) -> None:
        """Continue each prompt greedily until `take` ends it, by at most `room` tokens."""
        if getattr(self.model, "virtual_tokens", 0):
            for number, prompt in enumerate(prompts):
                self._continue(prompt, room, partial(take, number))
            return
        longest = max(len(prompt) for prompt in prompts)
        ended = _Ended(longest, len(prompts), take)
        self._generate(prompts, room, stopping_criteria=[ended])

    @torch.inference_mode()
    def next_logits(self, prompts: Sequence[TokenIds], room: int) -> list[torch.Tensor]:
        """Return the logits (rows, vocabulary) of each of the first `room` new tokens, which `generate` chooses from."""
        found = self._generate(prompts, room, return_dict_in_generate=True, output_logits=True)
        return [logits.float() for logits in found.logits]

    def _generate(self, prompts: Sequence[TokenIds], room: int, **options: Any) -> Any:
        """Call the model's `generate` without the decoding settings that it came with. Rows are padded on the left."""
        longest = max(len(prompt) for prompt in prompts)
        padding = [longest - len(prompt) for prompt in prompts]
        ids = [[prompt[0]] * added + list(prompt) for prompt, added in zip(prompts, padding, strict=True)]
        if any(padding):
            mask = [[0] * added + [1] * (longest - added) for added in padding]
            options["attention_mask"] = torch.tensor(mask, device=self.device)
        greedy = GenerationConfig(do_sample=False, num_beams=1, max_new_tokens=room, use_cache=self._builds_cache)
        with autocast(self.precision, self.device.type), self._within(), _without_defaults(self.host):
            return self.host.generate(torch.tensor(ids, device=self.device), generation_config=greedy, **options)

    @cached_property
    def _builds_cache(self) -> bool:
        """False if `generate` cannot build the cache of this model; the whole text is then read for every token."""
        try:
            DynamicCache(config=self.host.config.get_text_config(decoder=True))
        except AttributeError:  # a configuration without a number of layers
            return False
        return True

    def _continue(self, prompt: TokenIds, room: int, take: Callable[[int], bool]) -> None:
        """Continue one prompt of a model that adds virtual tokens in its own forward pass."""
        past, read = None, list(prompt)
        for _ in range(room):
            with autocast(self.precision, self.device.type), self._within():
                output = self.model(
                    input_ids=torch.tensor([read], device=self.device), past_key_values=past, use_cache=True, logits_to_keep=1
                )
            past, read = output.past_key_values, [int(output.logits[0, -1].argmax())]
            if take(read[0]):
                return


class _Ended(StoppingCriteria):
    """Ends each row by itself. It may be asked later than at every token, and about rows that have ended."""

    def __init__(self, width: int, rows: int, take: Take) -> None:
        self._width, self._take = width, take
        self._taken, self._ended = [0] * rows, [False] * rows

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Return True for each row that has ended."""
        for number, row in enumerate(input_ids[:, self._width :].tolist()):
            while not self._ended[number] and self._taken[number] < len(row):
                self._ended[number] = self._take(number, row[self._taken[number]])
                self._taken[number] += 1
        return torch.tensor(self._ended, device=input_ids.device)


@contextmanager
def _without_defaults(model: Any) -> Iterator[None]:
    """Within the context, the model has no decoding settings; `generate` would add them to those that it is given."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _longest_of(sequences: Sequence[TokenIds]) -> list[TokenIds]:
    """Return the sequences that no other one begins with, in lexical order."""
    ordered = sorted(set(sequences))
    following: list[TokenIds] = [*ordered[1:], ()]
    return [one for one, other in zip(ordered, following, strict=True) if other[: len(one)] != one]

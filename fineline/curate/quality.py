"""The criteria for rows: signs of texts that should not be trained on, the language, and the length in tokens.

Each sign is cheap and rarely wrong; thresholds follow Rae et al. 2021 (arXiv 2112.11446, appendix A) where given, relaxed
because instruction data are shorter and more varied than web pages.

The model of languages is that of py3langid (Lui and Baldwin 2012, langid.py: naive Bayes over byte sequences that an automaton
finds). Here the automaton advances in all texts together, and one sparse matrix product gives all scores: the same answers as
the library's (tests/curate/test_quality.py) in a third of the time.

Lengths are those of whole rows under the base model's tokenizer and chat template. The tokenizer is read without torch, which
keeps the processes of curation small.
"""

import json
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from scipy.sparse import csr_matrix
from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from fineline.errors import InputError

UNKNOWN_LANGUAGE = "und"
_CLEARLY = 0.95  # probability from which a language counts as detected
_FEWEST_CHARACTERS = 40  # a shorter text would be a guess
_SAMPLE_CHARACTERS = 200  # more of them change few answers
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

_BOILERPLATE = (
    "as an ai language model",
    "as a large language model",
    "i'm sorry, but i cannot",
    "my knowledge cutoff",
    "regenerate response",
    "lorem ipsum",
    "all rights reserved",
    "click here to unsubscribe",
    "subscribe to our newsletter",
    "accept all cookies",
    "enable javascript",
    "terms of service and privacy policy",
)
_REPEATED = 0.5  # share of three-word sequences that occurred earlier in the text
_REPEATED_WORDS = 20  # shorter texts are not judged


def is_repetitive(shingles: list[int]) -> bool:
    """True if most three-word sequences of a text repeat earlier ones."""
    total = len(shingles)
    return total >= _REPEATED_WORDS and total - len(set(shingles)) > _REPEATED * total


def is_boilerplate(normalized: str) -> bool:
    """True if a normalized text contains a stock phrase of assistants or web pages."""
    return any(phrase in normalized for phrase in _BOILERPLATE)


def detect_languages(texts: list[str]) -> list[str]:
    """Return the ISO 639-1 code of each text; `und` for short texts, JSON, and texts with two likely languages."""
    samples = [text[:_SAMPLE_CHARACTERS] for text in texts]
    prose = [place for place, text in enumerate(samples) if len(text) >= _FEWEST_CHARACTERS and text[0] not in "{["]
    answers = [UNKNOWN_LANGUAGE] * len(texts)
    for place, (language, probability) in zip(prose, classify_languages([samples[place] for place in prose]), strict=True):
        if probability >= _CLEARLY and language != "zxx":  # zxx: no language at all
            answers[place] = language
    return answers


def classify_languages(texts: list[str]) -> list[tuple[str, float]]:
    """Return the most likely language of each text and its probability, as py3langid's `classify` with `norm_probs` does."""
    if not texts:
        return []
    model = _model()
    encoded = [_encoded(text) for text in texts]
    lengths = np.array([len(text) for text in encoded])
    visits = _feature_counts(model, encoded, lengths)
    scores = visits @ model.nb_ptc + model.nb_pc
    scores[np.diff(visits.indptr) == 0] = 0  # no feature was found: all languages are equally likely
    scores /= np.sqrt(np.maximum(lengths, 1))[:, None]
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    for first, again in model._alias_pairs:  # two columns of one language
        likely[:, first] += likely[:, again]
        likely[:, again] = 0
    best = likely.argmax(axis=1)
    return [(model.nb_classes[column], float(likely[row, column])) for row, column in enumerate(best)]


def known_languages() -> set[str]:
    """Return the languages that can be detected."""
    return set(_model().nb_classes)


@cache
def _model() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _automaton() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the start of each row of moves, the moves, and the feature of each state (-1: none)."""
    model = _model()
    return np.asarray(model.tk_row, dtype=np.int64) << 8, np.asarray(model.tk_nextmove), np.asarray(model.tk_output)


def _encoded(text: str) -> bytes:
    text = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", text).encode("utf-8", errors="surrogatepass")


def _feature_counts(model: LanguageIdentifier, encoded: list[bytes], lengths: np.ndarray) -> csr_matrix:
    """Return log(1 + count) of each feature in each text as (texts, features)."""
    rows, moves, output = _automaton()
    letters = np.zeros((len(encoded), int(lengths.max())), dtype=np.int64)
    for row, text in enumerate(encoded):
        letters[row, : len(text)] = np.frombuffer(text, dtype=np.uint8)
    state = np.zeros(len(encoded), dtype=np.int64)
    seen = np.full(letters.shape, -1, dtype=np.int64)
    for place in range(letters.shape[1]):
        state = moves[rows[state] + letters[:, place]].astype(np.int64)
        seen[:, place] = np.where(place < lengths, output[state], -1)
    features = model.nb_ptc.shape[0]
    row_seen, place_seen = np.nonzero(seen >= 0)
    distinct, counts = np.unique(row_seen * features + seen[row_seen, place_seen], return_counts=True)
    shape = (len(encoded), features)
    return csr_matrix((np.log1p(counts.astype(np.float32)), (distinct // features, distinct % features)), shape=shape)


class TokenCounter:
    """Counts the tokens of whole rows."""

    def __init__(self, directory: Path) -> None:
        """Load the tokenizer in a directory.

        Raises:
            InputError: The directory has no tokenizer.json, or no chat template.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
            settings = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
            template = directory / "chat_template.jinja"
            self._template = template.read_text(encoding="utf-8") if template.is_file() else settings["chat_template"]
        except Exception as error:  # tokenizers raises nothing more specific
            raise InputError(
                f"{directory}: no tokenizer.json with a chat template ({error}); use a base model that has both"
            ) from error
        special = {name: settings[name] for name in _SPECIAL if settings.get(name)}
        self._special: dict[str, Any] = {
            name: token["content"] if isinstance(token, dict) else str(token) for name, token in special.items()
        }

    def count(self, rows: list[tuple[list[dict[str, Any]], list[Any] | None]]) -> list[int | None]:
        """Return the number of tokens of each (messages, tools); None if the chat template rejects the row."""
        texts = self._texts(rows)
        taken = [text for text in texts if text is not None]
        encoded = iter(self._tokenizer.encode_batch_fast(taken, add_special_tokens=False))
        return [None if text is None else len(next(encoded)) for text in texts]

    def _texts(self, rows: list[tuple[list[dict[str, Any]], list[Any] | None]]) -> Sequence[str | None]:
        """Render all rows at once if no row has tools and the template accepts every row, else one by one."""
        together = None if any(tools for _, tools in rows) else self._rendered([messages for messages, _ in rows], None)
        if together is not None:
            return together
        return [text[0] if (text := self._rendered([messages], tools)) else None for messages, tools in rows]

    def _rendered(self, conversations: list[list[dict[str, Any]]], tools: list[Any] | None) -> list[str] | None:
        """Return the text of each conversation; None if the template rejects one of them."""
        try:
            rendered: Any = render_jinja_template(
                conversations=conversations, tools=tools, chat_template=self._template, **self._special
            )
        except (TemplateError, TypeError, ValueError):
            return None
        texts: list[str] = rendered[0]
        return texts

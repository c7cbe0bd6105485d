"""The criteria for rows: signs of texts that should not be trained on, and the language.

Each sign is cheap and rarely wrong; thresholds follow Rae et al. 2021 (arXiv 2112.11446, appendix A) where given, relaxed
because instruction data are shorter and more varied than web pages.

The model of languages is that of py3langid (Lui and Baldwin 2012, langid.py: naive Bayes over byte sequences that an automaton
finds). Here the automaton advances in all texts together, and one sparse matrix product gives all scores: the same answers as
the library's (tests/curate/test_quality.py) in a third of the time.
"""

import unicodedata
from functools import cache

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from scipy.sparse import csr_matrix

UNKNOWN_LANGUAGE = "und"
_CLEARLY = 0.95  # probability from which a language counts as detected
_FEWEST_CHARACTERS = 40  # a shorter text would be a guess
_SAMPLE_CHARACTERS = 200  # more of them change few answers

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

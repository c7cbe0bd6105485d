"""The pre-tokenizer of llama.cpp that cuts texts as a byte-level BPE tokenizer does, found by cutting the same texts with both.

llama.cpp has the pre-tokenizers of known models in its code, each under a name, and reads the name from the file. The names and
patterns below are those of `llama-vocab.cpp`, the patterns as the models' tokenizer.json has them.
"""

from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, pre_tokenizers

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_CAMEL = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%(end)s"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%(end)s"
    r"|\p{N}%(digits)s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_WORDS = _CONTRACTIONS + (r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%(digits)s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_MARKS = _CONTRACTIONS + (r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_CHINESE = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class PreTokenizer:
    """A pre-tokenizer of llama.cpp."""

    name: str
    steps: tuple[str, ...]
    """Patterns of the cuts in order. `digits` cuts each digit off, `words` is the cut of GPT-2."""
    whole_words: bool = False
    """True if a word that is a token is not put together from smaller ones (`ignore_merges` in tokenizer.json)."""
    approximate: bool = False
    """True if llama.cpp's own pattern treats combining marks otherwise, as in Hindi, Thai and decomposed accents."""

    def build(self) -> Any:
        """Return it as a pre-tokenizer of the tokenizers library."""
        made: list[Any] = []
        for step in self.steps:
            if step == "digits":
                made.append(pre_tokenizers.Digits(individual_digits=True))
            elif step != "words":
                made.append(pre_tokenizers.Split(Regex(step), "isolated"))
        made.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex="words" in self.steps))
        return pre_tokenizers.Sequence(made)


KNOWN = (
    PreTokenizer("gpt-2", ("words",)),
    PreTokenizer("smollm", ("digits", "words")),
    PreTokenizer("qwen2", (_WORDS % {"digits": ""},)),
    PreTokenizer("llama-bpe", (_WORDS % {"digits": "{1,3}"},), whole_words=True),
    PreTokenizer("smaug-bpe", (_WORDS % {"digits": "{1,3}"},)),
    PreTokenizer("qwen35", (_MARKS,)),
    PreTokenizer("tekken", (_CAMEL % {"end": "", "digits": ""},), whole_words=True, approximate=True),
    PreTokenizer("gpt-4o", (_CAMEL % {"end": f"{_CONTRACTIONS}?", "digits": "{1,3}"},), approximate=True),
    PreTokenizer("deepseek-v3", (r"\p{N}{1,3}", "[一-龥\u3040-\u309f\u30a0-\u30ff]+", _CHINESE)),
)

TEXTS = (
    "Hello, World! It's 5 o'clock; WE'RE late, isn'T it? You'LL see. he'd they'Ve I'M d'accord 'tis 're",
    "1 12 123 1234 12345 123456 1234567 3.14 1,000,000 x2y22z222 ٣٤٥ १२३ ²³ Ⅳ ½ 2024-11-05T12:34:56",
    "a  b   c    d \t e\t\tf \n g\n\nh\n\n\ni \n\n j\r\nk\r\n\r\nl  \n  m   ",
    " leading\n  indented\n\tdef f(x):\n\t\treturn {'a': [1, 2], \"b\": x[0]}  # done\n",
    "camelCase HTTPServer XMLHttpRequest McDonald iPhone ÜberStraße ǅungla Ёлка ΑΘΗΝΑ ﬁne",
    "naïve café e\u0301te\u0301 a\u0308 n\u0303o \u0915\u094d\u0937\u093f हिन्दी भाषा ภาษาไทย ਪੰਜਾਬੀ",
    "我在apple工作1314151天\uff5e こんにちは世界、カタカナー 한국어 텍스트 中文\uff0c标点。",
    "🚀 (normal) 😶\u200d🌫️ ✅ 🦙🦙 👩🏽\u200d🚀 \u00a0nbsp\u2003em\u200bzero\ufeff",
    "------======= '''''' ```` \"\"\"\" ...... !!!!!! ?????? #$%&*()+/:;<=>@[\\]^_{|}~ //\n/ !\n!\n\n ?\r\n",
    '{"intent": "HassGetState", "domain": "switch", "state": "off", "floor": "second floor"}',
    "https://example.org/a/b?c=d&e=f#g user@mail.example C:\\Users\\x ~/.config/%20 $HOME ${x} <|tag|> </s>",
    "Нещо на Български, Ελληνικά, עברית, العربية، türkçe İstanbul ﷺ ½¼ €5 £6 ¥7",
)
"""Texts that every two of these pre-tokenizers, and those of many other models, cut differently."""


def find(tokenizer: Any) -> PreTokenizer | None:
    """Return the pre-tokenizer of llama.cpp that cuts `TEXTS` as a tokenizer does; None if none does.

    Args:
        tokenizer: A `tokenizers.Tokenizer` with a BPE model.
    """
    own = tokenizer.pre_tokenizer
    if own is None:
        return None
    whole_words = bool(getattr(tokenizer.model, "ignore_merges", False))
    expected = [own.pre_tokenize_str(text) for text in TEXTS]
    for known in KNOWN:
        if known.whole_words != whole_words:
            continue
        other = known.build()
        if all(other.pre_tokenize_str(text) == cuts for text, cuts in zip(TEXTS, expected, strict=True)):
            return known
    return None

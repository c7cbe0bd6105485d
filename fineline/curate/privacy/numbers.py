"""What recognisers of numbers share: is there a long number at all, and is it called what it looks like."""

import re

is_long_in = re.compile(r"\d(?:[ .()/+\-]{0,2}\d){6}", re.ASCII).search
"""The gate of phones, cards and most national numbers: seven digits with little between them."""
follows_letters_in = re.compile(r"\d(?:(?<=[A-Za-z]{2}\d)|(?<=[A-Z]{2} \d))\d", re.ASCII).search
"""The gate of numbers that start with letters: two letters and two digits."""

_BEFORE, _AFTER = 40, 24  # characters


class Words:
    """Words that say what a number is: a label, the key of a JSON field, or the sentence around it.

    A word in a placeholder (`<PHONE>`) says nothing about the next number.
    """

    def __init__(self, whole: str = "", anywhere: str = "") -> None:
        """Words as alternatives of a regular expression: `whole` ones stand alone, `anywhere` ones may be part of a word."""
        whole = rf"(?<![^\W_])(?<!<)(?:{whole})(?![^\W_])" if whole else ""
        anywhere = rf"(?<!<)(?:{anywhere})" if anywhere else ""
        self._pattern = re.compile("|".join(filter(None, (whole, anywhere))), re.IGNORECASE)

    def near(self, text: str, start: int, end: int) -> bool:
        """Whether one stands shortly before or after a span of the text."""
        before = text[max(0, start - _BEFORE) : start]
        return bool(self._pattern.search(before) or self._pattern.search(text[end : end + _AFTER]))

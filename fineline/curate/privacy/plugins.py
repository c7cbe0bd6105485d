"""Plugged-in recognizers, named in params.yaml by import path.

A recognizer is a callable `(text) -> iterable of (kind, start, end)`. Its results are checked; no error quotes the text.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fineline.curate.privacy.match import PrivacyMatch
from fineline.errors import FinelineError, ParameterError

_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")

Recognizer = Callable[[str], Iterable[tuple[str, int, int]]]


def load(path: str) -> Callable[[str], Iterator[PrivacyMatch]]:
    """Return the recognizer at an import path `package.module:function`.

    Raises:
        InputError: The path has another form, cannot be imported, or is not callable.
    """
    key = "curate.privacy.recognizers"
    module, colon, name = path.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ParameterError(key, f"{path!r} is not an import path; write package.module:function")
    try:
        recognizer = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ParameterError(
            key, f"{path!r} cannot be imported ({error}); install its package in this environment, or correct the path"
        ) from error
    except Exception as error:  # a module can raise anything at import
        raise ParameterError(key, f"{path!r} cannot be imported ({type(error).__name__}: {error}); correct {module}") from error
    if not callable(recognizer):
        raise ParameterError(key, f"{path!r}: {module} has no function {name!r}")
    return lambda text: _checked(path, recognizer, text)


def _checked(path: str, recognizer: Recognizer, text: str) -> Iterator[PrivacyMatch]:
    for returned in _called(path, recognizer, text):
        yield _match(path, returned, len(text))


def _called(path: str, recognizer: Recognizer, text: str) -> list[Any]:
    """Return its results. Its exception is not chained, because its message and frames may contain the text."""
    try:
        return list(recognizer(text))
    except (Exception, SystemExit) as error:
        cause = type(error).__name__
    raise FinelineError(f"the recognizer {path} raised {cause} on a text of {len(text)} characters, which is not shown")


def _match(path: str, returned: Any, length: int) -> PrivacyMatch:
    """Return a result as a match. Raises `FinelineError` unless it is a kind and a span within the text."""
    if not isinstance(returned, tuple) or len(returned) != 3:
        raise FinelineError(f"the recognizer {path} must return tuples (kind, start, end), found {type(returned).__name__}")
    kind, start, end = returned
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise FinelineError(f"the recognizer {path} returned a kind that is not a lower-case name such as `person`")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        raise FinelineError(f"the recognizer {path} returned a {kind} whose span is not within the text of {length} characters")
    return PrivacyMatch(kind, start, end)

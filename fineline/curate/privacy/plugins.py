"""Recognisers of others, named in params.yaml by import path.

One is a callable `(text) -> iterable of (kind, start, end)`. What it returns is checked; an error never quotes the text.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fineline.curate.privacy.finding import Finding
from fineline.errors import FinelineError, InputError

_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")

Recogniser = Callable[[str], Iterable[tuple[str, int, int]]]


def load(path: str) -> Callable[[str], Iterator[Finding]]:
    """The recogniser at an import path `package.module:function`.

    Raises:
        InputError: The path has another form, or there is nothing to call at it.
    """
    place = f"params.yaml: curate.privacy.recognizers: {path!r}"
    module, colon, name = path.partition(":")
    if not (module and colon and name.isidentifier()):
        raise InputError(f"{place} is no import path; write package.module:function")
    try:
        recogniser = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise InputError(
            f"{place} cannot be imported ({error}); install the package that holds it in this environment, or correct the path"
        ) from error
    except Exception as error:  # whatever a module does at import: a model file that is not there, a mistake
        raise InputError(f"{place} cannot be imported ({type(error).__name__}: {error}); correct {module}") from error
    if not callable(recogniser):
        raise InputError(f"{place}: there is no function {name!r} in {module}")
    return lambda text: _checked(path, recogniser, text)


def _checked(path: str, recogniser: Recogniser, text: str) -> Iterator[Finding]:
    for returned in _called(path, recogniser, text):
        yield _finding(path, returned, len(text))


def _called(path: str, recogniser: Recogniser, text: str) -> list[Any]:
    """What it returns. Its own exception is not chained: the message and the frames of it may hold the text."""
    try:
        return list(recogniser(text))
    except (Exception, SystemExit) as error:
        cause = type(error).__name__
    raise FinelineError(f"the recogniser {path} raised {cause} on a text of {len(text)} characters, which is not shown")


def _finding(path: str, returned: Any, length: int) -> Finding:
    """Raises `FinelineError` unless it is a kind and a span within the text."""
    if not isinstance(returned, tuple) or len(returned) != 3:
        raise FinelineError(f"the recogniser {path} must return tuples (kind, start, end), found {type(returned).__name__}")
    kind, start, end = returned
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise FinelineError(f"the recogniser {path} returned a kind that is no lower-case name such as `person`")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        raise FinelineError(f"the recogniser {path} returned a {kind} whose span is not within the text of {length} characters")
    return Finding(kind, start, end)

"""The errors of fineline, and the exit code of each.

Every message names the cause, the place (file, line or key) and the remedy. Errors that a user can cause never show a
traceback: `fineline.project.root` and `fineline.cli` print the message and exit with the code of its class.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Found = TypeVar("Found")


class FinelineError(Exception):
    """The work failed although the input was right (exit code 1)."""

    exit_code = 1


class Unreachable(FinelineError):
    """A remote source did not answer; the same command may succeed later (exit code 1)."""


class InputError(FinelineError):
    """The input or the configuration is wrong (exit code 2)."""

    exit_code = 2


class ParameterError(InputError):
    """A parameter cannot be used with this data, model or machine (exit code 2).

    Args:
        key: Path of the key in params.yaml, as far as the code that raises it knows; see `parameters_of`.
        problem: The value that was found, and what is accepted.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"params.yaml: {key}: {problem}")
        self.key = key
        self.problem = problem

    def __reduce__(self) -> tuple[type["ParameterError"], tuple[str, str]]:
        """Let worker processes hand it over: by default an exception is rebuilt from its message alone."""
        return ParameterError, (self.key, self.problem)


class Refused(FinelineError):
    """A policy or a digest does not allow it (exit code 3)."""

    exit_code = 3


@contextmanager
def parameters_of(place: str) -> Iterator[None]:
    """Within the context, the key of a `ParameterError` is completed by its place, such as `adapters.home-en`."""
    try:
        yield
    except ParameterError as error:
        raise ParameterError(f"{place}.{error.key}", error.problem) from error


def did_you_mean(word: str, accepted: Sequence[str]) -> str:
    """Return the end of a message about an unknown word: the nearest accepted word, or all of them."""
    near = difflib.get_close_matches(word, accepted, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; accepted: {', '.join(accepted)}"


def or_reason(ask: Callable[[], Found]) -> tuple[Found | None, str | None]:
    """Return an answer, or None and its error: a page or a status also describes a project in which something is wrong."""
    try:
        return ask(), None
    except FinelineError as error:
        return None, str(error)

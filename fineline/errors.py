"""What can go wrong, and the exit code that says so.

Every message names the cause, the place (file, line or key) and the remedy. Errors a user can cause never show a
traceback: `fineline.stages.entry` and `fineline.cli` print the message and leave with the exit code of its class.
"""


class FinelineError(Exception):
    """The work failed although the input was right (exit code 1)."""

    exit_code = 1


class Unreachable(FinelineError):
    """What has to be fetched did not come; the same may succeed later (exit code 1)."""


class InputError(FinelineError):
    """The input or the configuration is wrong (exit code 2)."""

    exit_code = 2


class Refused(FinelineError):
    """A policy or a digest does not allow it (exit code 3)."""

    exit_code = 3

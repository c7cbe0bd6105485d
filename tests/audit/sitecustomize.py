"""Records the files that a stage opens, in a stage's process and its children. Python imports it if it is on PYTHONPATH."""

import os
import sys

LOG, STAGE = "FINELINE_TEST_OPENED", "FINELINE_TEST_STAGE"


def record(directory: str) -> None:
    """Record every open file of a stage in a file of `directory`, named by the stage: `r` or `w`, and the path."""
    match sys.orig_argv:
        case [_, "-m", module, name] if module.startswith("pipelines."):
            os.environ[STAGE] = f"{module.removeprefix('pipelines.')}@{name}"
    if STAGE not in os.environ:
        return
    log = os.open(f"{directory}/{os.environ[STAGE]}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def opened(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        file, mode, flags = os.fsdecode(arguments[0]), arguments[1], arguments[2] or 0
        if mode is None and not file.startswith("/"):  # os.open, perhaps relative to a directory that is not known here
            return
        kind = "r" if flags & os.O_ACCMODE == os.O_RDONLY else "w"
        os.write(log, f"{kind} {os.path.abspath(file)}\n".encode())  # noqa: PTH100 (resolve() would follow links)

    sys.addaudithook(opened)


if LOG in os.environ:
    record(os.environ[LOG])

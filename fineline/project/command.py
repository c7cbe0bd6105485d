"""Running a function on the name given on the command line, with fineline's exit codes."""

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from fineline.errors import FinelineError, InputError


def command(run: Callable[[str], None]) -> NoReturn:
    """Call `run` with the only argument of the command line, and exit.

    Exit codes: 0 done, 1 the work failed, 2 the input or configuration is wrong, 3 refused by policy, 130 interrupted. A
    `FinelineError` prints its message; any other exception is a defect and shows its traceback.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' progress bars flood logs; stages print lines of their own
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # bitsandbytes warns on import that an optional kernel package is missing; its built-in kernels are the ones used here
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        match sys.argv[1:]:
            case [name]:
                run(name)
            case _:
                raise InputError(f"usage: python -m {_started_as()} NAME")
    except FinelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _started_as() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name.removesuffix(".__main__") if spec else sys.argv[0]

"""How a stage is started from a terminal: `python -m pipelines.<stage> NAME`."""

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from fineline.errors import FinelineError, InputError


def main(run: Callable[[str], None]) -> NoReturn:
    """Run a stage on the name given on the command line and leave with its exit code.

    0 done, 1 the work failed, 2 the input or configuration is wrong, 3 refused. A `FinelineError` is told in its own
    words; any other exception is a defect of ours and shows its traceback.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars flood logs; stages print lines of their own
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # bitsandbytes reports at import that an optional kernel package is absent; its built-in kernels are what we use
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

"""Reading params.yaml, with messages that name every wrong key."""

from pathlib import Path

import yaml

from fineline.artifacts import validation
from fineline.errors import InputError
from fineline.project.params.project import Params

FILE = Path("params.yaml")


def load(file: Path = FILE) -> Params:
    """Return the checked content of the file.

    Raises:
        InputError: The file is missing, is not valid YAML, repeats a key, or has an unknown key or a value that is not
            accepted. The message has one line per problem, with the path of its key.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=validation.NoRepeats)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid YAML: {error}") from error
    except TypeError as error:
        raise InputError(f"{file}: a key is a list or a mapping; quote values that begin with '[' or '{{'") from error
    return validation.check(Params, content, str(file))

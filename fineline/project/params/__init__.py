"""params.yaml as frozen models: an undeclared key is an error, and every declared key is read by a stage.

The classes are the reference of the file: every key with its type, unit and default.
"""

from fineline.project.params.file import FILE, load, load_adapter, load_each
from fineline.project.params.project import Adapter, Params

__all__ = ["FILE", "Adapter", "Params", "load", "load_adapter", "load_each"]

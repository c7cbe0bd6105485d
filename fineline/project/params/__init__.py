"""params.yaml as frozen models: what is not declared here is an error, and what is declared here is read by a stage.

The classes are the reference of the file: every key, its type, its default, its unit.
"""

from fineline.project.params.file import FILE, load, load_adapter, load_each
from fineline.project.params.project import Adapter, Params

__all__ = ["FILE", "Adapter", "Params", "load", "load_adapter", "load_each"]

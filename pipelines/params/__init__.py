"""params.yaml as frozen models: what is not declared here is an error, and what is declared here is read by a stage.

The classes are the reference of the file: every key, its type, its default, its unit.
"""

from pipelines.params.file import FILE, load
from pipelines.params.project import Adapter, Params

__all__ = ["FILE", "Adapter", "Params", "load"]

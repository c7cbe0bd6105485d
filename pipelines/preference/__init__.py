"""Pairwise preference: a judge behind an OpenAI-compatible endpoint says which of two answers is better. Off by default.

Nothing of this runs unless the command is given: it sends questions and answers to another machine.
"""

from pipelines.preference.endpoint import Endpoint, connect
from pipelines.preference.session import Settings, prefer

__all__ = ["Endpoint", "Settings", "connect", "prefer"]

"""Pairwise preference: a judge behind an OpenAI-compatible endpoint says which of two answers is better. Off by default.

Nothing of this runs unless the command is given: it sends questions and answers to another machine.
"""

from fineline.preference.endpoint import Endpoint, connect
from fineline.preference.session import Settings, prefer

__all__ = ["Endpoint", "Settings", "connect", "prefer"]

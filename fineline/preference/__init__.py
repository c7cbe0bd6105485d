"""Pairwise preference: a judge behind an OpenAI-compatible endpoint decides which of two answers is better. Off by default.

Nothing here runs unless `fineline preference` is called: it sends questions and answers to another machine.
"""

from fineline.preference.answers import Answers, read
from fineline.preference.endpoint import Endpoint, connect
from fineline.preference.session import NAME, Settings, prefer

__all__ = ["NAME", "Answers", "Endpoint", "Settings", "connect", "prefer", "read"]

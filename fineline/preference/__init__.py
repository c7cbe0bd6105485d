"""Pairwise preference: a judge behind an OpenAI-compatible endpoint decides which of two answers is better. Off by default.

Nothing here runs unless `fineline preference` is called: it sends questions and answers to another machine.
"""

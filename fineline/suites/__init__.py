"""Suites: the tasks that a model is asked, and how each answer is scored."""

from pathlib import Path

DIRECTORY = Path("suites")
"""The suites of a project, relative to its root, which is the working directory."""

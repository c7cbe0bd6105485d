"""Suites: the tasks that models are asked, and how each answer is scored."""

"""The Dagster front of dvc.yaml: it shows and starts the stages, and decides nothing about them.

Every step process imports this package again, so nothing in it imports torch or transformers.
"""

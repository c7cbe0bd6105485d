"""Merging: the adapter merged into full-precision weights, and the verification that the result is base plus adapter."""

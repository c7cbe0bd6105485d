"""Merging: the adapter folded into full-precision weights, and the proof that the result is the same model."""

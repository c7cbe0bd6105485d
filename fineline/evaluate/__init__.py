"""Evaluation: the same items for base, adapter and exported model, and a verdict that statistics can carry."""

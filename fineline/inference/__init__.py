"""Inference: engines that answer requests, and how requests are packed for them."""
